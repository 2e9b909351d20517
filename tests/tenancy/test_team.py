"""Roles rise only as far as the giver's, and an owner remains."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.utils import timezone

from calqsync.tenancy import scope, services
from calqsync.tenancy.context import Company
from calqsync.tenancy.models import Invitation, Membership, Role, Tenant


def test_the_last_owner_cannot_be_removed_or_lowered(cast):
    with scope.tenant(cast.tenant.pk):
        owner = Membership.objects.get(user=cast.alice)
        with pytest.raises(ValidationError):
            services.member_remove(membership=owner, by=cast.alice)
        with pytest.raises(ValidationError):
            services.member_change_role(membership=owner, role=Role.VIEWER, by=cast.alice)


def test_a_second_owner_frees_the_first(cast):
    with scope.tenant(cast.tenant.pk):
        ann = Membership.objects.get(user=cast.ann)
        services.member_change_role(membership=ann, role=Role.OWNER, by=cast.alice)
        services.member_remove(membership=Membership.objects.get(user=cast.alice), by=cast.ann)
        assert Membership.objects.filter(role=Role.OWNER).get().user == cast.ann


def test_an_owner_whose_account_is_off_frees_nobody(cast):
    with scope.tenant(cast.tenant.pk):
        ann = Membership.objects.get(user=cast.ann)
        services.member_change_role(membership=ann, role=Role.OWNER, by=cast.alice)
        cast.ann.is_active = False
        cast.ann.save()
        own = Membership.objects.get(user=cast.alice)
        assert services.is_last_owner(own)
        with pytest.raises(ValidationError):
            services.member_remove(membership=own, by=cast.alice)
        with pytest.raises(ValidationError):
            services.member_change_role(membership=own, role=Role.ADMIN, by=cast.alice)
        services.member_remove(membership=ann, by=cast.alice)
        assert Membership.objects.get(role=Role.OWNER).user == cast.alice


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("bob", 200), ("vera", 200), ("mallory", 404)]
)
def test_the_team_page_is_for_the_team(client, cast, who, status):
    client.force_login(getattr(cast, who))
    assert client.get(cast.url("settings/team/")).status_code == status


@pytest.mark.parametrize(
    ("who", "role", "status"),
    [
        ("ann", "member", 302),
        ("ann", "owner", 422),
        ("bob", "viewer", 403),
        ("mallory", "viewer", 404),
    ],
)
def test_admins_invite_up_to_their_own_role(client, cast, who, role, status):
    client.force_login(getattr(cast, who))
    answer = client.post(
        cast.url("settings/team/invite/"), {"email": "new@example.com", "role": role}
    )
    assert answer.status_code == status
    with scope.tenant(cast.tenant.pk):
        assert Invitation.objects.exists() == (status == 302)


def test_a_changed_role_and_a_removal_are_said(client, cast):
    with scope.tenant(cast.tenant.pk):
        bob = Membership.objects.get(user=cast.bob)
    client.force_login(cast.alice)
    url = cast.url(f"settings/team/members/{bob.public_id}/")
    changed = client.post(url, {"role": "viewer"}, follow=True).content.decode()
    assert "now has the role Viewer" in changed
    assert "is off the team" in client.post(url, {"remove": "1"}, follow=True).content.decode()


def test_before_a_removal_a_page_says_what_it_does(client, cast):
    with scope.tenant(cast.tenant.pk):
        bob = Membership.objects.get(user=cast.bob)
    client.force_login(cast.alice)
    url = cast.url(f"settings/team/members/{bob.public_id}/")
    assert f'href="{url}?remove"' in client.get(cast.url("settings/team/")).content.decode()
    page = client.get(f"{url}?remove").content.decode()
    for words in (bob.user.email, "This will go", "This stays", "invite them again"):
        assert words in page
    with scope.tenant(cast.tenant.pk):
        assert Membership.objects.filter(pk=bob.pk).exists()
    client.post(url, {"remove": "1"})
    with scope.tenant(cast.tenant.pk):
        assert not Membership.objects.filter(pk=bob.pk).exists()


@pytest.mark.parametrize(("who", "status"), [("ann", 302), ("bob", 403), ("mallory", 404)])
def test_nobody_is_asked_about_a_removal_that_they_may_not_make(client, cast, who, status):
    with scope.tenant(cast.tenant.pk):
        owner = Membership.objects.get(user=cast.alice)
    client.force_login(getattr(cast, who))
    url = cast.url(f"settings/team/members/{owner.public_id}/")
    assert client.get(f"{url}?remove").status_code == status


def test_who_takes_themselves_off_the_team_lands_on_their_account(client, cast):
    with scope.tenant(cast.tenant.pk):
        own = Membership.objects.get(user=cast.ann)
    client.force_login(cast.ann)
    answer = client.post(cast.url(f"settings/team/members/{own.public_id}/"), {"remove": "1"})
    assert answer["Location"] == "/account/"


def test_ones_own_row_of_the_team_leads_to_leaving(client, cast):
    with scope.tenant(cast.tenant.pk):
        own = Membership.objects.get(user=cast.alice)
    client.force_login(cast.alice)
    leave = f"/account/companies/{own.public_id}/leave/"
    assert f'href="{leave}"' in client.get(cast.url("settings/team/")).content.decode()
    asked = client.get(cast.url(f"settings/team/members/{own.public_id}/?remove"), follow=True)
    assert asked.redirect_chain[-1][0] == leave
    assert "You are its only owner" in asked.content.decode()


def test_a_strangers_member_id_is_not_found(client, cast):
    with scope.tenant(cast.tenant.pk):
        theirs = Membership.objects.get(user=cast.bob)
    client.force_login(cast.mallory)
    url = f"/t/{cast.stranger_tenant.slug}/settings/team/members/{theirs.public_id}/"
    assert client.post(url, {"remove": "1"}).status_code == 404
    with scope.tenant(cast.tenant.pk):
        assert Membership.objects.filter(pk=theirs.pk).exists()


def test_invitations_cannot_be_used_to_flood_mailboxes(cast, monkeypatch):
    monkeypatch.setattr(services, "INVITATIONS_A_DAY", 1)
    invite = {"tenant": cast.tenant, "role": Role.VIEWER, "by": cast.alice, "now": timezone.now()}
    with scope.tenant(cast.tenant.pk):
        services.invitation_create(email="one@example.com", **invite)
        Invitation.objects.all().delete()  # withdrawing one does not make room for another
        with pytest.raises(ValidationError):
            services.invitation_create(email="two@example.com", **invite)


def test_pages_of_a_company_are_kept_in_no_cache(client, cast):
    client.force_login(cast.bob)
    answer = client.get(cast.url("settings/team/"))
    assert {"private", "no-store"} <= set(answer["Cache-Control"].split(", "))


def test_a_company_name_with_bytes_that_no_text_holds_is_refused(client, cast):
    client.force_login(cast.bob)
    assert client.post("/companies/new/", {"name": "a\0b"}).status_code == 302
    with scope.user(cast.bob.pk):
        assert list(Tenant.objects.all()) == [cast.tenant]


def test_a_person_founds_a_few_companies_a_day(client, cast, monkeypatch):
    monkeypatch.setattr(services, "COMPANIES_A_DAY", 2)
    client.force_login(cast.mallory)  # who founded one today
    for number in range(3):
        client.post("/companies/new/", {"name": f"Company {number}"})
    with scope.user(cast.mallory.pk):
        names = set(Tenant.objects.values_list("name", flat=True))
    assert names == {"Vieras Oy", "Company 0"}
    assert "tomorrow" in client.get("/?choose").content.decode()


def test_companies_of_other_days_and_of_other_founders_do_not_count(client, cast, monkeypatch):
    monkeypatch.setattr(services, "COMPANIES_A_DAY", 1)
    client.force_login(cast.ann)  # a member of a company founded today by somebody else
    assert client.post("/companies/new/", {"name": "Ann Oy"})["Location"].startswith("/t/")
    with scope.tenant(cast.stranger_tenant.pk):
        Tenant.objects.update(created_at=timezone.now() - timedelta(days=2))
    client.force_login(cast.mallory)
    assert client.post("/companies/new/", {"name": "New Oy"})["Location"].startswith("/t/")


def test_a_page_knows_the_reader_s_membership_as_it_is_stored(client, cast):
    def columns(row):
        return {field.attname: getattr(row, field.attname) for field in row._meta.concrete_fields}

    client.force_login(cast.vera)
    request = client.get(cast.url("growth/")).wsgi_request
    with scope.tenant(cast.tenant.pk):
        stored = Membership.objects.select_related("tenant").get(user=cast.vera)
    assert request.tenants == [Company(cast.tenant.name, cast.tenant.slug)]
    assert columns(request.membership) == columns(stored)
    assert columns(request.tenant) == columns(stored.tenant)
