"""The company's side of support access, how staff are made, and who is told."""

from __future__ import annotations

import io

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.management import CommandError, call_command
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import mails, scope
from calqsync.tenancy.models import AuditEvent, SupportGrant, Tenant, User
from calqsync.tenancy.support import grants
from tests.conftest import SignedInClient
from tests.staff import grant_make, staff_make

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "support"])


@pytest.fixture
def company(committed_cast):
    return committed_cast


@pytest.fixture
def sam(company):
    return staff_make()


def signed_in(user, *, recently=True):
    client = SignedInClient()
    client.force_login(user, recently=recently)
    return client


def wants_consent(company, wanted=True):
    with transaction.atomic(), scope.tenant(company.tenant.pk):
        Tenant.objects.filter(pk=company.tenant.pk).update(support_consent_required=wanted)


def stored(company, grant):
    with transaction.atomic(), scope.tenant(company.tenant.pk):
        return SupportGrant.objects.get(pk=grant.pk)


def answer(company, user, grant, word):
    url = company.url(f"settings/security/support/{grant.public_id}/")
    return signed_in(user).post(url, {"answer": word})


class TestConsent:
    def test_an_admin_switches_it_on_and_off(self, company):
        url, ann = company.url("settings/security/consent/"), signed_in(company.ann)
        for value, wanted in (("on", True), ("off", False)):
            assert ann.post(url, {"consent": value}).status_code == 302
            with transaction.atomic(), scope.tenant(company.tenant.pk):
                tenant = Tenant.objects.get(pk=company.tenant.pk)
                assert tenant.support_consent_required is wanted
                log = AuditEvent.objects.filter(act="tenant.updated").latest("pk")
                assert log.after == {"support_consent_required": wanted}

    @pytest.mark.parametrize("who", ["bob", "vera"])
    def test_members_below_admin_change_and_answer_nothing(self, company, sam, who):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        client, base = signed_in(getattr(company, who)), company.url("settings/security/")
        for path in ("consent/", f"support/{grant.public_id}/", f"support/{grant.public_id}/end/"):
            assert client.post(base + path, {"answer": "approve"}).status_code == 403
        assert stored(company, grant).expires_at is None

    def test_an_old_sign_in_is_asked_again_before_a_change_but_not_to_end_a_grant(
        self, company, sam
    ):
        client = signed_in(company.ann, recently=False)
        grant = grant_make(company.tenant, sam, company.vera)
        base = company.url("settings/security/")
        for path in ("consent/", f"support/{grant.public_id}/"):
            assert "/accounts/reauthenticate/" in client.post(base + path)["Location"]
        client.post(base + f"support/{grant.public_id}/end/")
        assert stored(company, grant).ended_at is not None

    def test_approving_opens_the_company_for_half_an_hour(self, company, sam):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        assert signed_in(sam).get(company.url("growth/")).status_code == 404
        answer(company, company.ann, grant, "approve")
        assert signed_in(sam).get(company.url("growth/")).status_code == 200
        found = stored(company, grant)
        assert found.approved_by == company.ann
        assert timezone.now() < found.expires_at <= timezone.now() + grants.GRANT_LIFE

    def test_refusing_opens_nothing(self, company, sam):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        answer(company, company.alice, grant, "refuse")
        assert signed_in(sam).get(company.url("growth/")).status_code == 404
        page = answer(company, company.alice, grant, "approve")
        assert page.status_code == 302
        assert stored(company, grant).expires_at is None

    def test_an_owner_ends_a_live_grant(self, company, sam):
        grant = grant_make(company.tenant, sam, company.vera)
        url = company.url(f"settings/security/support/{grant.public_id}/end/")
        signed_in(company.alice).post(url)
        assert signed_in(sam).get(company.url("growth/")).status_code == 404

    def test_another_company_answers_no_request(self, company, sam):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        url = f"/t/{company.stranger_tenant.slug}/settings/security/support/{grant.public_id}/"
        for path in (url, url + "end/"):
            assert signed_in(company.mallory).post(path, {"answer": "approve"}).status_code == 404
        found = stored(company, grant)
        assert (found.expires_at, found.ended_at) == (None, None)


class TestWhatTheCompanySees:
    def page(self, company, who="alice"):
        client = signed_in(getattr(company, who))
        return client.get(company.url("settings/security/")).content.decode()

    def test_a_request_with_its_reason_and_both_answers(self, company, sam):
        wants_consent(company)
        grant_make(company.tenant, sam, company.vera)
        page = self.page(company)
        for words in ("Sam", "vera", "T-1", "Figures look wrong", 'value="approve"', "refuse"):
            assert words in page

    def test_who_looked_in_why_and_at_how_many_pages(self, company, sam):
        grant = grant_make(company.tenant, sam, company.vera)
        client = signed_in(sam)
        for path in ("growth/", "growth/", "cashflow/"):
            client.get(company.url(path))
        assert "End now" in self.page(company)
        with transaction.atomic(), scope.tenant(company.tenant.pk):
            grants.grant_end(grant=grant, by=sam, now=timezone.now())
        page = self.page(company, "vera")
        row = page.split("Who looked in before")[1].split("</tr>")[1]
        assert "Sam" in row
        assert "T-1" in row
        assert ">2<" in row

    def test_a_viewer_sees_it_without_buttons(self, company, sam):
        wants_consent(company)
        grant_make(company.tenant, sam, company.vera)
        page = self.page(company, "vera")
        assert "Sam of support asks to look in" in page
        assert 'value="approve"' not in page


class TestMail:
    def letter(self, company, name, grant, reader):
        with scope.tenant(company.tenant.pk):
            from calqsync.tenancy.models import Membership

            with transaction.atomic():
                member = Membership.objects.get(user=reader)
            return mails.deliver(
                letter=name, about=str(grant.public_id), member=str(member.public_id)
            )

    def wanted(self, company):
        from calqsync.jobs.models import Job

        with transaction.atomic(), scope.tenant(company.tenant.pk):
            jobs = Job.objects.filter(kind="calqsync.mail").order_by("pk")
            return [job.payload["letter"] for job in jobs]

    def test_owners_and_admins_are_told_of_each_grant(self, company, sam):
        grant = grant_make(company.tenant, sam, company.vera)
        assert self.wanted(company) == ["support.opened"] * 2
        assert self.letter(company, "support.opened", grant, company.alice) == "sent"
        [sent] = mail.outbox
        assert sent.to == ["alice@example.com"]
        for words in ("Sam", "Kuura Oy", "vera", "T-1", "Figures look wrong", "settings/security"):
            assert words in sent.subject + sent.body

    def test_where_consent_is_required_they_are_asked(self, company, sam):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        assert self.wanted(company) == ["support.asked"] * 2
        self.letter(company, "support.asked", grant, company.ann)
        assert "Approve or refuse" in mail.outbox[0].body

    def test_nobody_is_asked_about_a_request_that_was_answered_meanwhile(self, company, sam):
        wants_consent(company)
        grant = grant_make(company.tenant, sam, company.vera)
        answer(company, company.alice, grant, "refuse")
        self.letter(company, "support.asked", grant, company.ann)
        assert mail.outbox == []


class TestStaff:
    def person(self, *, verified=True):
        user = User.objects.create_user("nora@grants.example", "correct horse battery")
        EmailAddress.objects.create(user=user, email=user.email, verified=verified, primary=True)
        return user

    def told(self, *words):
        out = io.StringIO()
        call_command("staff", *words, stdout=out)
        return out.getvalue()

    def test_the_command_makes_staff_lists_and_unmakes_them(self, company):
        user = self.person()
        assert "turn two-step sign-in on" in self.told("add", "Nora@grants.example")
        user.refresh_from_db()
        assert user.is_staff
        assert not user.is_superuser
        assert "nora@grants.example  no second step yet" in self.told("list")
        grant = grant_make(company.tenant, user, company.vera)
        self.told("remove", "nora@grants.example")
        user.refresh_from_db()
        assert not user.is_staff
        assert stored(company, grant).ended_at is not None

    def test_nobody_becomes_staff_by_an_address_that_was_never_confirmed(self, company):
        self.person(verified=False)
        with pytest.raises(CommandError, match="not confirmed"):
            self.told("add", "nora@grants.example")
        with pytest.raises(CommandError, match="Nobody signs in"):
            self.told("add", "missing@grants.example")

    def test_no_page_makes_staff(self, company, sam):
        wish = {"is_staff": "on", "is_superuser": "on"}
        SignedInClient().post(
            "/accounts/signup/",
            wish
            | {
                "email": "eve@example.com",
                "password1": "correct horse battery",
                "company_name": "Eve Oy",
                "accept_terms": "on",
            },
        )
        assert User.objects.filter(email="eve@example.com").exists()
        alice, staff = signed_in(company.alice), signed_in(sam)
        alice.post(company.url("settings/company/"), wish | {"name": "Kuura Oy"})
        alice.post("/companies/new/", wish | {"name": "Other Oy"})
        for path in ("/admin/tenancy/user/add/", f"/admin/tenancy/user/{company.vera.pk}/change/"):
            assert staff.post(path, wish | {"email": "vera@example.com"}).status_code == 403
        assert list(User.objects.filter(is_staff=True)) == [sam]
        assert not User.objects.filter(is_superuser=True).exists()
