"""The support console: a read-only directory without secrets, and acts that say why."""

import re
from datetime import UTC, datetime, timedelta
from itertools import product
from urllib.parse import urlsplit

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import decrypt
from django.contrib import admin
from django.db import transaction
from django.test import Client
from django.utils import timezone

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.admin import DirectoryAdmin
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, Role, SupportGrant, Tenant
from calqsync.tenancy.services import invitation_create
from calqsync.tenancy.support.console import actions
from integrations.models import Connection, Credential, SyncRun, SyncStream
from tests.conftest import SignedInClient
from tests.staff import grant_make, staff_make
from tests.tenancy.people import digits

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
LISTS = [
    *("tenancy/tenant", "tenancy/membership", "tenancy/user", "tenancy/supportgrant"),
    *("jobs/job", "billing/account", "integrations/connection", "integrations/syncrun"),
]


@pytest.fixture
def world(committed_cast):
    """Committed, because the console reads over a database connection of its own."""
    from billing.services import account_of_tenant

    cast = committed_cast
    cast.sam = staff_make()
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        Tenant.objects.filter(pk=cast.tenant.pk).update(business_id="1234567-8")
        cast.account = account_of_tenant()
        Job.objects.create(kind="integrations.sync", key="7", queue="sync", error="Boom: x")
        cast.eu = Connection.objects.create(
            name="EU account", company_id="1", company_name="Kuusi Oy", business_id="765-4"
        )
        Credential.objects.create(connection=cast.eu, kind="api_key", secret=b"sealed-secret")
        cast.run = SyncRun.objects.create(
            connection=cast.eu,
            mode="first",
            trigger="person",
            state="our_fault",
            started_at=NOW,
            window_to=NOW,
            error="KeyError: x",
            error_kind="internal",
        )
        SyncStream.objects.create(run=cast.run, stream="invoices", fetched=41)
        invitation_create(
            tenant=cast.tenant,
            email="new@example.com",
            role=Role.MEMBER,
            by=cast.alice,
            now=timezone.now(),
        )
        cast.invited = Invitation.objects.get()
    cast.page = f"/admin/tenancy/tenant/{cast.tenant.pk}/change/"
    return cast


@pytest.fixture
def console(world):
    client = SignedInClient()
    client.force_login(world.sam)
    return client


def text(response):
    assert response.status_code == 200, response
    return response.content.decode()


@pytest.mark.django_db(transaction=True, databases=["default", "support"])
class TestConsole:
    def test_signed_out_staff_come_in_through_the_normal_sign_in(self, world):
        for url in ("/admin/", "/admin/login/", "/admin/tenancy/tenant/"):
            answer = Client().get(url, follow=True)
            assert answer.redirect_chain[-1][0].startswith("/accounts/login/")

    def test_a_password_alone_opens_nothing_and_with_a_code_all_of_it(self, world):
        EmailAddress.objects.create(
            user=world.sam, email=world.sam.email, verified=True, primary=True
        )
        client = Client()
        known = {"login": world.sam.email, "password": "correct horse battery"}
        # The console's own form of Django, which knows neither codes nor limits, is not there.
        client.post("/admin/login/", {"username": known["login"], "password": known["password"]})
        last = client.get("/admin/", follow=True).redirect_chain[-1][0]
        assert last.startswith("/accounts/login/")
        asked = client.post("/accounts/login/?next=/admin/", known)
        assert asked["Location"].startswith("/accounts/2fa/authenticate/")
        last = client.get("/admin/", follow=True).redirect_chain[-1][0]
        assert last.startswith("/accounts/")
        kept = Authenticator.objects.get(user=world.sam, type="totp")
        client.post(asked["Location"], {"code": digits(decrypt(kept.data["secret"]))})
        assert "What needs support" in text(client.get("/admin/"))

    def test_an_owner_of_a_company_is_no_staff(self, world):
        client = Client()
        client.force_login(world.alice)
        for path in LISTS:
            assert client.get(f"/admin/{path}/", follow=True).status_code == 403

    def test_every_list_opens_and_offers_nothing_to_add(self, console):
        for path in LISTS:
            page = text(console.get(f"/admin/{path}/"))
            assert "addlink" not in page, path
            assert console.get(f"/admin/{path}/add/").status_code == 403, path

    @pytest.mark.parametrize(
        "asked",
        ["user/?password__startswith=p", "membership/?tenant__data_key_id__startswith=a",
         "membership/?user__password__startswith=p", "supportgrant/?staff__password__startswith=p",
         "supportgrant/?approved_by__is_superuser=1", "tenant/?data_key_wrapped__isnull=0"],
    )  # fmt: skip
    def test_a_list_is_not_narrowed_by_what_support_does_not_see(self, console, asked):
        assert console.get(f"/admin/tenancy/{asked}").status_code == 400
        assert console.get("/admin/tenancy/membership/?tenant__id__exact=1").status_code == 200

    def test_staff_without_a_second_step_are_sent_to_turn_it_on(self, world):
        client = SignedInClient()
        client.force_login(staff_make("pat", second_step=False))
        for url in ("/admin/", *(f"/admin/{path}/" for path in LISTS)):
            answer = client.get(url, follow=True)
            assert answer.redirect_chain[-1][0] == "/accounts/2fa/", url
            assert "Kuura Oy" not in answer.content.decode()

    def test_the_front_page_counts_what_needs_work_and_finds_a_company(self, console, world):
        page = text(console.get("/admin/"))
        assert 'name="q"' in page
        for words in ("Connections in trouble", "Stuck jobs", "Trials ending soon", "Open grants"):
            assert words in page

    def test_every_number_of_the_front_page_opens_a_list(self, console, world):
        counters = console.get("/admin/").context["counters"]
        assert len(counters) > 5, "hardly any number, so this guards nothing"
        for counter in counters:
            page = console.get(counter.url)
            assert page.status_code == 200, counter.url
            assert page.context["cl"].result_count == counter.number, counter.label

    def test_a_company_is_found_by_its_connections(self, console):
        for term in ("EU account", "Kuusi", "765-4"):
            page = text(console.get("/admin/tenancy/tenant/", {"q": term}))
            assert "Kuura Oy" in page, term
            assert "Vieras Oy" not in page.split('id="changelist"')[1], term

    def test_everything_is_found_by_tenant_business_id_and_e_mail(self, console):
        lists = ("tenancy/tenant", "integrations/syncrun", "jobs/job")
        for path, term in product(lists, ("kuura", "1234567-8", "bob@example.com")):
            page = text(console.get(f"/admin/{path}/", {"q": term}))
            assert "Kuura Oy" in page, (path, term)
            assert "Vieras Oy" not in page.split('id="changelist"')[1], (path, term)

    def test_a_word_that_nothing_has_finds_nothing(self, console):
        page = text(console.get("/admin/tenancy/tenant/", {"q": "nobody"}))
        assert "Kuura Oy" not in page

    def test_a_tenant_shows_its_people_and_no_key(self, console, world):
        page = text(console.get(world.page))
        assert "bob@example.com" in page
        assert "data_key" not in page
        assert 'name="_save"' not in page

    def test_i12_the_page_of_a_company_shows_its_own_and_nothing_of_another(self, console, world):
        page = text(console.get(world.page))
        for words in ("Kuusi Oy", "fault of ours", "KeyError: x", "Boom: x", "Ours to mend"):
            assert words in page
        assert "mallory" not in page
        theirs = text(console.get(f"/admin/tenancy/tenant/{world.stranger_tenant.pk}/change/"))
        assert "mallory@example.com" in theirs
        for words in ("Kuusi Oy", "Boom: x", "bob@example.com", "KeyError: x"):
            assert words not in theirs

    def test_i12_the_companys_own_log_is_shown_without_decisions_about_the_books(
        self, console, world
    ):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            AuditEvent.objects.create(act="subscription.confirmed", target="Secret Buyer Oy")
            AuditEvent.objects.create(act="sync.requested", target="EU account")
        page = text(console.get(world.page))
        assert "sync.requested" in page
        assert "Secret Buyer" not in page
        # Not with a grant either: what a grant opens is looked at where it is on the record.
        grant_make(world.tenant, world.sam, world.vera)
        assert "Secret Buyer" not in text(console.get(world.page))

    def test_links_on_the_page_of_a_company_lead_somewhere(self, console, world):
        found = set(re.findall(r'href="(/admin/[^"#]+)"', text(console.get(world.page))))
        assert len(found) > 8
        for url in found:
            assert console.get(url.replace("&amp;", "&")).status_code in {200, 302}, url

    def test_a_run_shows_its_streams_and_its_error(self, console, world):
        page = text(console.get(f"/admin/integrations/syncrun/{world.run.pk}/change/"))
        for words in ("KeyError: x", "41", "EU account", "Kuura Oy"):
            assert words in page

    def test_a_connection_shows_no_credential(self, console, world):
        page = text(console.get(f"/admin/integrations/connection/{world.eu.pk}/change/"))
        assert "Kuusi Oy" in page
        assert "sealed-secret" not in page

    def test_a_job_shows_its_error(self, console, world):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            job = Job.objects.get(kind="integrations.sync")
        assert "Boom: x" in text(console.get(f"/admin/jobs/job/{job.pk}/change/"))

    def test_nothing_can_be_posted(self, console, world):
        url = f"/admin/tenancy/tenant/{world.tenant.pk}/"
        assert console.post(url + "change/", {"name": "Mine"}).status_code == 403
        assert console.post(url + "delete/", {"post": "yes"}).status_code == 403


def act(world, name, target="-"):
    return f"/admin/tenancy/tenant/{world.tenant.pk}/act/{name}/{target}/"


def why(world, **values):
    with transaction.atomic(), scope.tenant(world.tenant.pk):
        person = Membership.objects.get(user=world.vera)
    return {"reason": "Asked on the phone", "ticket": "T-7", "person": person.pk} | values


def audited(world, *acts):
    with transaction.atomic(), scope.tenant(world.tenant.pk):
        return list(AuditEvent.objects.filter(act__in=acts).order_by("pk"))


@pytest.mark.django_db(transaction=True, databases=["default", "support"])
class TestActs:
    def test_a_trial_is_extended_with_both_persons_and_the_reason_in_the_companys_log(
        self, console, world
    ):
        before = world.account.trial_ends_at
        answer = console.post(act(world, "trial-extend"), why(world, days=10))
        assert answer["Location"] == world.page
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            world.account.refresh_from_db()
        assert world.account.trial_ends_at == before + timedelta(days=10)
        said, done = audited(world, "support.acted", "trial.changed")
        assert (said.act, said.target) == ("support.acted", "T-7")
        assert said.after == {"action": "trial-extend", "reason": "Asked on the phone"}
        for row in (said, done):
            assert (row.actor, row.on_behalf_of) == (world.sam, world.vera)

    def test_staff_do_nothing_for_a_company_of_their_own(self, console, world):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            Membership.objects.create(user=world.sam, role=Role.VIEWER)
        for name, target in every_act(world):
            answer = console.post(act(world, name, target), why(world, days=3))
            assert answer.status_code == 422, name
        assert "ask a colleague" in answer.content.decode()
        assert audited(world, "support.acted", "trial.changed") == []

    def test_a_trial_is_never_extended_by_more_than_a_month(self, console, world):
        for days in ("0", "31", "-5", "many"):
            answer = console.post(act(world, "trial-extend"), why(world, days=days))
            assert answer.status_code == 422, days
        assert audited(world, "support.acted", "trial.changed") == []

    @pytest.mark.parametrize("missing", ["reason", "ticket"])
    def test_nothing_is_done_without_a_reason_and_a_ticket(self, console, world, missing):
        answer = console.post(act(world, "trial-extend"), why(world, days=3, **{missing: " "}))
        assert answer.status_code == 422
        assert audited(world, "trial.changed") == []

    def test_looking_at_a_confirm_page_does_nothing(self, console, world):
        for name, target in every_act(world):
            text(console.get(act(world, name, target)))
        assert audited(world, "support.acted") == []

    def test_an_act_asks_for_a_fresh_sign_in(self, world):
        client = SignedInClient()
        client.force_login(world.sam, recently=False)
        for method in (client.get, client.post):
            answer = method(act(world, "trial-extend"), why(world, days=3))
            assert urlsplit(answer["Location"]).path.startswith("/accounts/")
        assert audited(world, "trial.changed") == []

    def test_an_act_needs_the_token_of_its_page(self, world):
        client = SignedInClient(enforce_csrf_checks=True)
        client.force_login(world.sam)
        answer = client.post(act(world, "trial-extend"), why(world, days=3))
        assert answer.status_code == 403
        assert audited(world, "trial.changed") == []

    def test_members_and_staff_without_a_second_step_reach_no_act(self, world):
        acts = every_act(world)
        for person in (world.alice, staff_make("pat", second_step=False)):
            client = SignedInClient()
            client.force_login(person)
            for name, target in acts:
                answer = client.post(act(world, name, target), why(world, days=3), follow=True)
                assert answer.redirect_chain or answer.status_code == 403
        assert audited(world, "support.acted") == []

    def test_an_import_is_retried_paused_and_resumed(self, console, world):
        eu = world.eu.public_id
        for name in ("sync-pause", "sync-resume", "sync-retry"):
            answer = console.post(act(world, name, eu), why(world))
            assert answer.status_code == 302, (name, answer.context["form"].errors)
        acts = ["connection.paused", "connection.resumed", "sync.requested"]
        rows = audited(world, *acts)
        assert {row.act for row in rows} == set(acts)
        assert {(row.actor, row.on_behalf_of) for row in rows} == {(world.sam, world.vera)}

    def test_a_paused_connection_is_not_retried(self, console, world):
        console.post(act(world, "sync-pause", world.eu.public_id), why(world))
        answer = console.post(act(world, "sync-retry", world.eu.public_id), why(world))
        assert answer.status_code == 422
        assert [row.after["action"] for row in audited(world, "support.acted")] == ["sync-pause"]

    def test_an_invitation_is_sent_again_and_its_old_link_dies(self, console, world):
        console.post(act(world, "invitation-resend", world.invited.public_id), why(world))
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            assert Invitation.objects.get().token_hash != world.invited.token_hash
        assert len(audited(world, "invitation.resent")) == 1

    def test_staff_ask_for_a_grant_and_end_it_from_the_console(self, console, world):
        answer = console.post(act(world, "look-in"), why(world), follow=True)
        assert "You can look in now" in answer.content.decode()
        assert console.get(f"/t/{world.tenant.slug}/").status_code == 200
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            grant = SupportGrant.objects.get()
        console.post(f"/admin/tenancy/supportgrant/{grant.public_id}/end/")
        assert console.get(f"/t/{world.tenant.slug}/").status_code == 404
        assert len(audited(world, "support.started", "support.ended")) == 2

    def test_a_grant_needs_the_person_who_asked(self, console, world):
        assert console.post(act(world, "look-in"), why(world, person="")).status_code == 422
        with transaction.atomic(), scope.tenant(world.stranger_tenant.pk):
            stranger = Membership.objects.get(user=world.mallory)
        answer = console.post(act(world, "look-in"), why(world, person=stranger.pk))
        assert answer.status_code == 422
        assert audited(world, "support.started") == []

    def test_only_its_holder_ends_a_grant_by_the_banner(self, console, world):
        grant = grant_make(world.tenant, staff_make("sue"), world.vera)
        end = f"/admin/tenancy/supportgrant/{grant.public_id}/end/"
        assert console.post(end).status_code == 404
        assert console.get(end).status_code == 405
        console.post(act(world, "grant-end", grant.public_id), why(world))
        assert len(audited(world, "support.ended")) == 1

    def test_an_act_on_a_thing_of_another_company_finds_nothing(self, console, world):
        base = f"/admin/tenancy/tenant/{world.stranger_tenant.pk}/act/"
        for name, target in every_act(world):
            if target != "-":
                assert console.post(f"{base}{name}/{target}/", why(world)).status_code == 404, name
        for wrong in ("no-such-act/-/", "sync-retry/not-an-id/"):
            assert console.get(base + wrong).status_code == 404
        assert console.get("/admin/tenancy/tenant/999999/act/look-in/-/").status_code == 404


def every_act(world):
    """Each action with a target that it can have."""
    targets = {
        "sync": world.eu.public_id,
        "invitation": world.invited.public_id,
        "grant": grant_make(world.tenant, staff_make("gus"), world.vera).public_id,
    }
    found = [(name, targets.get(name.split("-")[0], "-")) for name in actions]
    assert len(found) > 5, "hardly any act is registered, so this guards nothing"
    return found


def test_every_page_of_the_console_is_a_read_only_directory():
    admin.autodiscover()
    assert len(admin.site._registry) == len(LISTS)
    for page in admin.site._registry.values():
        assert isinstance(page, DirectoryAdmin), page


def test_the_console_shows_no_books_and_no_secrets():
    admin.autodiscover()
    shown = {model._meta.model_name for model in admin.site._registry}
    hidden = {"credential", "connectflow", "rawdocument", "rejection", "invoice", "invitation"}
    assert shown
    assert not shown & hidden
