"""When Procountor refuses our client itself, everything stops at once and staff opens it again."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
import redis
from django.conf import settings as configured
from django.contrib.admin.models import LogEntry
from django.db import ProgrammingError, transaction
from django.utils import timezone
from structlog.testing import capture_logs

from calqsync.tenancy import scope
from integrations import selectors
from integrations.models import ClientSuspension, Connection, Credential
from integrations.models.connections import GrantKind
from integrations.procountor.errors import ClientSuspended, ProcountorError
from integrations.procountor.limits import NoLimit
from integrations.sandbox import build_company, start_server
from integrations.services import identity
from integrations.sync import access, breaker
from integrations.sync.advice import advice_for
from tests.conftest import SignedInClient
from tests.integrations.sync.conftest import ANCHOR, CLIENT, Books, connect
from tests.staff import staff_make

pytestmark = pytest.mark.django_db(databases=["default", "support"], transaction=True)

PAGE = "/admin/integrations/client/"


class Gate(NoLimit):
    """No rate, but the same look at the suspension before each request."""

    def acquire(self) -> float:
        breaker.refuse_while_suspended()
        return 0.0


@pytest.fixture(autouse=True)
def nothing_remembered():
    """What this process knows of a suspension does not outlive the test's rows."""
    breaker.door.forget()
    yield
    breaker.door.forget()


@pytest.fixture
def sandbox(settings, monkeypatch):
    companies = [build_company(slug, anchor=ANCHOR) for slug in ("koivu", "kuusi", "aalto-us")]
    with start_server(companies, **CLIENT) as handle:
        settings.PROCOUNTOR_BASE_URL = handle.base_url
        settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
        settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
        for user in (access, identity):
            monkeypatch.setattr(user, "limiter", Gate)
        yield handle
        redis.Redis.from_url(configured.REDIS_URL).delete(breaker._key())


@pytest.fixture
def both(committed_cast, sandbox) -> list[Books]:
    """Connections of two companies that know nothing of each other."""
    other = replace(
        committed_cast, tenant=committed_cast.stranger_tenant, alice=committed_cast.mallory
    )
    koivu, kuusi, aalto = sandbox.app.companies.values()
    return [
        connect(committed_cast, koivu, sandbox),
        connect(other, kuusi, sandbox),
        connect(other, aalto, sandbox, name="US account"),
    ]


def suspensions() -> list[ClientSuspension]:
    with transaction.atomic():
        return list(ClientSuspension.objects.all())


def trouble_of(books: Books) -> tuple[str, str]:
    books.run()
    return books.connection.trouble, books.connection.trouble_kind


def status_of(books: Books) -> selectors.Status:
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        return selectors.status_of(Connection.objects.get(pk=books.connection.pk))


def calls(sandbox) -> int:
    return len(sandbox.requests)


def test_the_first_refusal_of_our_client_stops_every_company(both, sandbox):
    first, second, _ = both
    assert first.sync().state.startswith("complete")
    with scope.tenant(first.connection.tenant_id), transaction.atomic():
        Credential.objects.update(access_token=None)
    sandbox.suspend()
    sandbox.app.log.clear()
    with capture_logs() as logs:
        assert first.sync().state == "waiting"
        assert calls(sandbox) == 1, "one call told us; none was repeated"
        for books in (first, second, first, second):
            books.late += timedelta(hours=3)
            assert books.sync().state == "waiting"
    assert calls(sandbox) == 1
    assert [entry["log_level"] for entry in logs if "client_suspended" in entry["event"]] == [
        "critical"
    ]
    [found] = suspensions()
    assert found.witnesses == [first.connection.public_id]
    for books in (first, second):
        assert trouble_of(books) == ("waiting", "client_suspended")
        status = status_of(books)
        assert (status.code, status.reason) == (selectors.Code.WAITING, "client_suspended")
    assert "any company" in advice_for("client_suspended")


def test_nobody_is_asked_to_reconnect_and_nobody_is_mailed(both, sandbox, mailoutbox):
    sandbox.suspend()
    for books in both:
        books.sync()
    assert mailoutbox == []
    assert {trouble_of(books)[0] for books in both} == {"waiting"}


def test_those_who_run_the_product_get_one_mail(
    both, sandbox, settings, mailoutbox, post_office, committed_cast
):
    settings.OPERATOR_EMAIL = "duty@example.com"
    sandbox.suspend()
    for books in both * 2:
        books.late += timedelta(hours=1)
        books.sync()
    post_office(committed_cast.tenant)
    post_office(committed_cast.stranger_tenant)
    [mail] = mailoutbox
    assert mail.to == ["duty@example.com"]
    assert PAGE in mail.body
    assert "401" in mail.body


def test_a_person_who_connects_meanwhile_is_told_and_nothing_leaves(both, sandbox):
    sandbox.suspend()
    both[0].sync()
    before = calls(sandbox)
    with scope.tenant(both[1].connection.tenant_id), pytest.raises(ClientSuspended):
        identity.consent_from_key("a-key")
    assert calls(sandbox) == before


def test_what_a_person_brings_stops_nobody_whatever_procountor_says_of_it(both, sandbox):
    """Anybody may paste a key that was made for another client."""
    sandbox.suspend("token")
    with scope.tenant(both[0].connection.tenant_id), pytest.raises(ClientSuspended):
        identity.consent_from_key("a-key")
    for kind in GrantKind:
        with scope.tenant(both[0].connection.tenant_id), pytest.raises(ProcountorError):
            identity.consent_from_code(kind, "a-code")
    assert suspensions() == []
    assert both[0].sync().state == "waiting"
    assert len(suspensions()) == 1, "a key that we hold tells"


def test_one_company_after_another_refused_is_our_client_refused(both, sandbox, monkeypatch):
    monkeypatch.setattr(breaker, "SPREAD_SECONDS", 0)
    sandbox.suspend("books")
    states = [books.sync().state for books in both]
    assert states == ["needs_you", "needs_you", "waiting"]
    [found] = suspensions()
    assert found.reason == "companies"
    assert found.witnesses == [books.connection.public_id for books in both]


def test_companies_refused_in_one_moment_are_no_proof(both, sandbox):
    """Whoever owns a few companies may have them refused, but not for as long as this."""
    sandbox.suspend("books")
    assert [books.sync().state for books in both] == ["needs_you"] * 3
    assert suspensions() == []


def test_one_company_let_in_clears_the_suspicion(both, sandbox):
    first, second, third = both
    sandbox.suspend("books")
    first.sync()
    second.sync()
    sandbox.suspend("")
    assert third.sync().state.startswith("complete")
    sandbox.suspend("books")
    third.late += timedelta(days=1)
    assert third.sync().state == "needs_you"
    assert suspensions() == []


def test_companies_of_one_tenant_alone_are_no_proof(both, sandbox):
    _, *same = both
    sandbox.suspend("books")
    for books in same * 3:
        books.late += timedelta(days=2)
        books.sync()
    assert suspensions() == []


def test_companies_that_stood_refused_before_are_no_proof(both, sandbox):
    """Dead keys are tried daily, and in a quiet hour nobody is let in between."""
    sandbox.suspend("books")
    for books in both[:2]:
        assert books.sync().state == "needs_you"
    redis.Redis.from_url(configured.REDIS_URL).delete(breaker._key())
    for books in both[:2]:
        books.late += timedelta(days=2)
        assert books.sync().state == "needs_you"
    assert both[2].sync().state == "needs_you"
    assert suspensions() == []


def test_another_process_knows_within_a_second():
    clock = [100.0]
    elsewhere = breaker._Door(clock=lambda: clock[0])
    assert not elsewhere.shut()
    breaker.suspend(reason="client", detail="", now=timezone.now())
    assert not elsewhere.shut()
    clock[0] += breaker.LOOK_EVERY
    assert elsewhere.shut()


def test_who_notices_second_makes_no_second_row_and_no_second_alert(db):
    now = timezone.now()
    with capture_logs() as logs:
        assert breaker.suspend(reason="client", detail="", now=now)
        assert not breaker.suspend(
            reason="companies", detail="", now=now + timedelta(microseconds=1)
        )
    assert len(logs) == 1
    assert len(suspensions()) == 1


def test_another_client_id_is_not_held_by_it(settings):
    breaker.suspend(reason="client", detail="", now=timezone.now())
    settings.PROCOUNTOR_CLIENT_ID = "another-client"
    breaker.refuse_while_suspended()


@pytest.mark.parametrize("statement", ["DELETE FROM {}", "UPDATE {} SET found_at = now()"])
def test_the_products_role_may_end_a_suspension_and_nothing_else(statement):
    from django.db import connection

    with pytest.raises(ProgrammingError, match="permission denied"), transaction.atomic():
        connection.cursor().execute(statement.format("integrations_clientsuspension"))


def test_opened_by_staff_the_imports_come_back_spread_out(both, sandbox):
    sandbox.suspend()
    for books in both:
        books.sync()
    waits = [books.connection.retry_at - books.now() for books in both if books.run()]
    assert all(timedelta(minutes=4) < wait < timedelta(minutes=16) for wait in waits)
    assert len(set(waits)) == 3
    sandbox.suspend("")
    staff = staff_make()
    assert breaker.lift(by=staff, because="Settled", ticket="T-7", now=timezone.now())
    assert not breaker.lift(by=staff, because="Settled", ticket="T-7", now=timezone.now())
    for books in both:
        books.late += timedelta(minutes=16)
        books.slice()
        assert books.run().state.startswith("complete")
        assert trouble_of(books)[0] == ""


class TestPage:
    @pytest.fixture
    def console(self):
        client = SignedInClient()
        self.sam = staff_make()
        client.force_login(self.sam)
        return client

    def test_staff_sees_it_first_and_opens_with_a_reason(self, console):
        breaker.suspend(reason="client", detail="401 /api/oauth/token", now=timezone.now())
        assert "Procountor refuses us" in console.get("/admin/").content.decode()
        page = console.get(PAGE).content.decode()
        assert "No call leaves" in page
        assert "401 /api/oauth/token" in page
        answer = console.post(PAGE, {"reason": "Settled with support", "ticket": "T-7"})
        assert answer.status_code == 302
        [ended] = suspensions()
        assert (ended.ended_by_id, ended.ended_because) == (self.sam.pk, "Settled with support")
        breaker.refuse_while_suspended()
        with transaction.atomic():
            [entry] = LogEntry.objects.filter(user=self.sam)
        assert entry.change_message == "T-7: Settled with support"
        assert "Procountor refuses us" not in console.get("/admin/").content.decode()

    def test_staff_sees_at_whose_calls_it_was_noticed(self, console, both):
        ids = [books.connection.public_id for books in both]
        breaker.suspend(reason="companies", detail="", now=timezone.now(), witnesses=ids)
        page = console.get(PAGE).content.decode()
        last = both[2].connection
        company = both[2].cast.tenant
        assert f'href="/admin/tenancy/tenant/{company.pk}/change/">{company.name}: {last.name}' in (
            page
        )
        assert f"{both[0].cast.tenant.name}: {both[0].connection.name}" in page

    @pytest.mark.parametrize("missing", ["reason", "ticket"])
    def test_without_a_reason_or_a_ticket_it_stays_shut(self, console, missing):
        breaker.suspend(reason="client", detail="", now=timezone.now())
        form = {"reason": "Settled", "ticket": "T-7"} | {missing: ""}
        assert console.post(PAGE, form).status_code == 422
        assert suspensions()[0].ended_at is None

    def test_a_quiet_page_offers_nothing(self, console):
        page = console.get(PAGE).content.decode()
        assert "nothing to open" in page
        assert "<textarea" not in page
        assert 'name="ticket"' not in page

    def test_nobody_but_staff_with_a_second_step_comes_in(self, committed_cast):
        breaker.suspend(reason="client", detail="", now=timezone.now())
        for person in (committed_cast.alice, staff_make("una", second_step=False)):
            client = SignedInClient()
            client.force_login(person)
            assert client.post(PAGE, {"reason": "x", "ticket": "T"}).status_code == 302
        assert suspensions()[0].ended_at is None
