"""The support console: a read-only directory without secrets, behind the normal sign-in."""

from datetime import UTC, datetime

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.admin import DirectoryAdmin
from calqsync.tenancy.models import Tenant, User
from integrations.models import Connection, Credential, SyncRun, SyncStream

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
    with transaction.atomic():
        cast.sam = User.objects.create_user("sam@support.example", "pass phrase", is_staff=True)
        with scope.tenant(cast.tenant.pk):
            Tenant.objects.filter(pk=cast.tenant.pk).update(business_id="1234567-8")
            account_of_tenant()
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
            )
            SyncStream.objects.create(run=cast.run, stream="invoices", fetched=41)
    return cast


@pytest.fixture
def console(world):
    client = Client()
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

    def test_an_owner_of_a_company_is_no_staff(self, world):
        client = Client()
        client.force_login(world.alice)
        for path in LISTS:
            assert client.get(f"/admin/{path}/", follow=True).status_code == 403

    @pytest.mark.parametrize("path", LISTS)
    def test_every_list_opens_and_offers_nothing_to_add(self, console, path):
        page = text(console.get(f"/admin/{path}/"))
        assert "addlink" not in page
        assert console.get(f"/admin/{path}/add/").status_code == 403

    @pytest.mark.parametrize("term", ["kuura", "1234567-8", "bob@example.com"])
    @pytest.mark.parametrize("path", ["tenancy/tenant", "integrations/syncrun", "jobs/job"])
    def test_everything_is_found_by_tenant_business_id_and_e_mail(self, console, path, term):
        page = text(console.get(f"/admin/{path}/", {"q": term}))
        assert "Kuura Oy" in page
        assert "Vieras Oy" not in page.split('id="changelist"')[1]

    def test_a_word_that_nothing_has_finds_nothing(self, console):
        page = text(console.get("/admin/tenancy/tenant/", {"q": "nobody"}))
        assert "Kuura Oy" not in page

    def test_a_tenant_shows_its_people_and_no_key(self, console, world):
        page = text(console.get(f"/admin/tenancy/tenant/{world.tenant.pk}/change/"))
        assert "bob@example.com" in page
        assert "data_key" not in page
        assert 'name="_save"' not in page

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
            job = Job.objects.get()
        assert "Boom: x" in text(console.get(f"/admin/jobs/job/{job.pk}/change/"))

    def test_nothing_can_be_posted(self, console, world):
        url = f"/admin/tenancy/tenant/{world.tenant.pk}/"
        assert console.post(url + "change/", {"name": "Mine"}).status_code == 403
        assert console.post(url + "delete/", {"post": "yes"}).status_code == 403


def test_every_page_of_the_console_is_a_read_only_directory():
    admin.autodiscover()
    assert len(admin.site._registry) == len(LISTS)
    for page in admin.site._registry.values():
        assert isinstance(page, DirectoryAdmin), page


def test_the_console_shows_no_books_and_no_secrets():
    admin.autodiscover()
    shown = {model._meta.model_name for model in admin.site._registry}
    hidden = {"credential", "connectflow", "rawdocument", "rejection", "invoice", "invitation"}
    assert not shown & hidden
