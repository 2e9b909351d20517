"""An invitation opens one company for one address, once, by its newest link."""

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.utils import timezone

from calqsync.tenancy import scope, services
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, Role, User
from tests.conftest import SignedInClient

GUEST = "guest@example.com"


@pytest.fixture
def guest(db):
    return User.objects.create_user(GUEST, "x", name="guest")


def invite(cast, post_office, email=GUEST, role=Role.MEMBER):
    """The link's path from the mail, as the invited person gets it."""
    with scope.tenant(cast.tenant.pk):
        services.invitation_create(
            tenant=cast.tenant, email=email, role=role, by=cast.alice, now=timezone.now()
        )
    post_office(cast.tenant)
    return path_in(mail.outbox[-1])


def path_in(message):
    return re.search(r"http://\S+?(/invite/\S+)", message.body)[1]


@pytest.fixture
def link(cast, post_office):
    return invite(cast, post_office)


@pytest.fixture
def invitation(cast, link):
    with scope.tenant(cast.tenant.pk):
        return Invitation.objects.get()


def signed_in(user, *, recently=True):
    client = SignedInClient()
    client.force_login(user, recently=recently)
    return client


def accept(client, link):
    client.get(link)
    return client.post("/invite/")


def members(cast):
    with scope.tenant(cast.tenant.pk):
        return set(Membership.objects.values_list("user__email", flat=True))


def url_of(cast, invitation, act):
    return cast.url(f"settings/team/invitations/{invitation.public_id}/{act}/")


def test_i5_the_invited_address_joins_with_the_offered_role(cast, link, guest):
    answer = accept(signed_in(guest), link)
    assert answer["Location"] == f"/t/{cast.tenant.slug}/"
    with scope.tenant(cast.tenant.pk):
        assert Membership.objects.get(user=guest).role == Role.MEMBER


def test_i5_nobody_accepts_with_another_address(cast, link):
    before = members(cast)
    client = signed_in(cast.mallory)
    assert accept(client, link).status_code == 422
    assert members(cast) == before
    page = client.get("/invite/").content.decode()
    assert "mallory@example.com" in page
    assert ">Join<" not in page


def test_i5_it_is_accepted_once(cast, link, guest):
    first, second = signed_in(guest), signed_in(guest)
    first.get(link)
    second.get(link)
    assert first.post("/invite/").status_code == 302
    assert second.post("/invite/").status_code == 404
    assert signed_in(guest).get(link).status_code == 404
    with scope.tenant(cast.tenant.pk):
        services.member_remove(membership=Membership.objects.get(user=guest), by=cast.alice)
    assert accept(signed_in(guest), link).status_code == 404
    assert GUEST not in members(cast)


def test_i5_a_sent_again_invitation_opens_by_its_new_link_alone(
    cast, link, invitation, guest, post_office
):
    holder = signed_in(guest)
    holder.get(link)
    answer = signed_in(cast.ann).post(url_of(cast, invitation, "resend"))
    assert answer.status_code == 302
    assert signed_in(guest).get(link).status_code == 404, "the old link works before the new one"
    assert holder.post("/invite/").status_code == 404, "an opened old link still accepts"
    post_office(cast.tenant)
    assert len(mail.outbox) == 2
    assert accept(signed_in(guest), path_in(mail.outbox[-1])).status_code == 302
    assert GUEST in members(cast)


def test_i5_a_withdrawn_invitation_opens_nothing(cast, link, invitation, guest):
    holder = signed_in(guest)
    holder.get(link)
    page = signed_in(cast.ann).post(url_of(cast, invitation, "revoke"), follow=True)
    assert f"The invitation to {GUEST} is withdrawn." in page.content.decode()
    assert holder.post("/invite/").status_code == 404
    assert signed_in(guest).get(link).status_code == 404
    assert GUEST not in members(cast)


def test_i5_an_expired_invitation_opens_nothing(cast, link, guest):
    with scope.tenant(cast.tenant.pk):
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert accept(signed_in(guest), link).status_code == 404
    assert GUEST not in members(cast)


def test_i5_an_expired_invitation_is_shown_so_and_can_be_sent_again(
    cast, link, invitation, guest, post_office
):
    with scope.tenant(cast.tenant.pk):
        Invitation.objects.update(expires_at=timezone.now() - timedelta(days=1))
    admin = signed_in(cast.ann)
    assert "Expired" in admin.get(cast.url("settings/team/")).content.decode()
    admin.post(url_of(cast, invitation, "resend"))
    post_office(cast.tenant)
    assert "Expired" not in admin.get(cast.url("settings/team/")).content.decode()
    assert accept(signed_in(guest), path_in(mail.outbox[-1])).status_code == 302


@pytest.mark.parametrize("act", ["resend", "revoke"])
def test_i5_another_company_reaches_no_invitation_of_this_one(cast, link, invitation, act):
    stranger = f"/t/{cast.stranger_tenant.slug}/settings/team/invitations/"
    client = signed_in(cast.mallory)
    assert client.post(f"{stranger}{invitation.public_id}/{act}/").status_code == 404
    assert client.post(url_of(cast, invitation, act)).status_code == 404
    with scope.tenant(cast.tenant.pk):
        assert Invitation.objects.get().token_hash == invitation.token_hash


@pytest.mark.parametrize("act", ["resend", "revoke"])
@pytest.mark.parametrize("who", ["bob", "vera", "ivan"])
def test_i5_who_may_not_invite_may_not_change_invitations(cast, link, invitation, who, act):
    client = signed_in(getattr(cast, who))
    assert client.post(url_of(cast, invitation, act)).status_code == 403
    with scope.tenant(cast.tenant.pk):
        assert Invitation.objects.get().token_hash == invitation.token_hash


def test_i5_an_admin_cannot_send_an_owners_invitation_again(cast, post_office):
    invite(cast, post_office, role=Role.OWNER)
    with scope.tenant(cast.tenant.pk):
        invitation = Invitation.objects.get()
    signed_in(cast.ann).post(url_of(cast, invitation, "resend"))
    assert post_office(cast.tenant) == 0


def test_i5_clicks_at_once_make_one_member(committed_cast, post_office):
    cast = committed_cast
    with transaction.atomic():
        person = User.objects.create_user(GUEST, "x", name="guest")
        with scope.tenant(cast.tenant.pk):
            services.invitation_create(
                tenant=cast.tenant,
                email=GUEST,
                role=Role.MEMBER,
                by=cast.alice,
                now=timezone.now(),
            )
    post_office(cast.tenant)
    held = services.token_hash(path_in(mail.outbox[-1]).strip("/").split("/")[-1])

    def click(_number):
        try:
            services.invitation_accept(held=held, user=person, now=timezone.now())
        except ValidationError:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(click, range(6))) == 1
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        assert Membership.objects.filter(user=person).count() == 1
        assert AuditEvent.objects.filter(act="invitation.accepted").count() == 1


def test_inviting_asks_for_a_recent_sign_in(cast):
    client = signed_in(cast.ann, recently=False)
    answer = client.post(
        cast.url("settings/team/invite/"), {"email": GUEST, "role": Role.VIEWER.value}
    )
    assert "/accounts/reauthenticate/" in answer["Location"]
    with scope.tenant(cast.tenant.pk):
        assert not Invitation.objects.exists()


def test_one_mailbox_is_not_flooded_by_sending_again(cast, invitation, post_office, monkeypatch):
    monkeypatch.setattr(services, "INVITATIONS_A_DAY_TO_ONE", 2)
    admin = signed_in(cast.ann)
    for _ in range(3):
        admin.post(url_of(cast, invitation, "resend"))
        post_office(cast.tenant)
    assert len(mail.outbox) == 2
    assert "tomorrow" in admin.get(cast.url("settings/team/")).content.decode()


def test_a_failing_mail_server_is_said_on_the_team_page(cast, settings, post_office):
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_PORT = 1  # nothing listens there
    admin = signed_in(cast.ann)
    invited = {"email": GUEST, "role": Role.VIEWER.value}
    assert admin.post(cast.url("settings/team/invite/"), invited).status_code == 302
    assert "Being sent" in admin.get(cast.url("settings/team/")).content.decode()
    post_office(cast.tenant)
    assert "Trying again" in admin.get(cast.url("settings/team/")).content.decode()


def test_the_token_stands_in_the_mail_and_nowhere_else(cast, link, guest):
    token = link.strip("/").split("/")[-1]
    client = signed_in(guest)
    answer = client.get(link)
    assert answer["Location"] == "/invite/"
    assert token not in client.get("/invite/").content.decode()
    kept = [str(session.get_decoded()) for session in Session.objects.all()]
    assert not any(token in session for session in kept)
    with scope.tenant(cast.tenant.pk):
        assert Invitation.objects.get().token_hash == services.token_hash(token)


def test_someone_elses_session_can_be_left_from_the_invitation(cast, link, guest):
    client = signed_in(cast.mallory)
    client.get(link)
    answer = client.post("/invite/", {"switch": "1"})
    assert answer["Location"] == "/accounts/login/"
    client.force_login(guest)
    assert client.post("/invite/")["Location"] == f"/t/{cast.tenant.slug}/"


def test_signing_in_leads_back_to_the_invitation(client, cast, link, guest):
    client.get(link)
    client.force_login(guest)
    assert client.get("/")["Location"] == "/invite/"
    # "Not now" is respected: the choice of companies opens.
    assert client.get("/?choose").status_code == 200


def test_an_invited_person_is_asked_for_no_company(client, cast, link):
    assert "company_name" in client.get("/accounts/signup/").content.decode()
    client.get(link)
    page = client.get("/accounts/signup/").content.decode()
    assert "company_name" not in page
    assert "free trial" not in page
    assert GUEST in page


def test_an_expired_invitation_does_not_keep_anyone_from_founding_a_company(client, cast, link):
    client.get(link)
    with scope.tenant(cast.tenant.pk):
        Invitation.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert "company_name" in client.get("/accounts/signup/").content.decode()


def test_a_guessed_link_leaves_no_session_behind(client, db):
    assert client.get("/invite/guessed/").status_code == 404
    assert not Session.objects.exists()


def test_inviting_a_member_is_said_to_the_team_only(cast):
    answer = signed_in(cast.ann).post(
        cast.url("settings/team/invite/"), {"email": "bob@example.com", "role": "viewer"}
    )
    assert "already on the team" in answer.content.decode()


def test_i13_inviting_another_companys_member_tells_nothing_about_it(cast, post_office):
    """A person of another company and an unknown address are answered alike."""
    admin = signed_in(cast.ann)
    answers = [
        admin.post(cast.url("settings/team/invite/"), {"email": email, "role": "viewer"})
        for email in ("mallory@example.com", "nobody@example.com")
    ]
    assert [answer.status_code for answer in answers] == [302, 302]
    post_office(cast.tenant)
    bodies = [re.sub(r"/invite/\S+", "", message.body) for message in mail.outbox]
    assert len(bodies) == 2
    assert bodies[0] == bodies[1]
