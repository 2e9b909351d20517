"""Who is written to when a connection breaks, stays broken, and works again; each letter once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import transaction

from billing.models import Account
from calqsync.jobs import services as jobs
from calqsync.jobs.models import Job, JobState
from calqsync.jobs.tasks import MAIL
from calqsync.tenancy import scope
from integrations import selectors
from integrations.models import Connection, Invoice, Rejection
from integrations.models.connections import Trouble
from integrations.models.runs import RunState
from integrations.services.connections import connection_disconnect
from integrations.sync import engine, trouble

NOW = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ACT = ["alice@example.com", "ann@example.com"]


class Broken:
    """A connection whose troubles are noted by hand, and what was written about them."""

    def __init__(self, cast: Any, post_office: Any) -> None:
        self.cast, self.post_office = cast, post_office
        with scope.tenant(cast.tenant.pk):
            Account.objects.create(trial_ends_at=NOW + 400 * DAY)
            self.connection = Connection.objects.create(
                name="EU account",
                company_id="1",
                company_name="Yksi Oy",
                first_import_at=NOW - 90 * DAY,
                data_as_of=NOW - HOUR,
                sync_every_hours=1,
            )

    def fails(self, what: Trouble, at: datetime, kind: str = "key_revoked") -> list[str]:
        """Subjects of what is sent for this failure."""
        with scope.tenant(self.cast.tenant.pk), transaction.atomic():
            trouble.note(self.connection, what, kind=kind, detail="", now=at, retry_at=None)
        return self.sent()

    def reads(self) -> None:
        with scope.tenant(self.cast.tenant.pk), transaction.atomic():
            trouble.read(self.connection)

    def works(self, at: datetime) -> list[str]:
        with scope.tenant(self.cast.tenant.pk), transaction.atomic():
            Connection.objects.update(data_as_of=at)
            trouble.works(self.connection, first=False)
        return self.sent()

    def sent(self) -> list[str]:
        before = len(mail.outbox)
        self.post_office(self.cast.tenant)
        return [letter.subject for letter in mail.outbox[before:]]

    def now(self) -> Connection:
        with scope.tenant(self.cast.tenant.pk):
            return Connection.objects.get()


@pytest.fixture
def eu(cast, post_office):
    return Broken(cast, post_office)


NEEDS = "EU account needs you: its figures stand still"
STILL = "Reminder: EU account is still not imported"
STANDS = "EU account: its figures stand still"
AGAIN = "EU account works again"


def test_o10_thirty_days_broken_is_tried_daily_and_reminded_weekly(eu, cast):
    told: Counter[str] = Counter()
    for day in range(30):
        told.update(eu.fails(Trouble.NEEDS_YOU, NOW + day * DAY))
    # Two people can act.
    assert told == {NEEDS: 2, STILL: 2 * 4}
    assert sorted({letter.to[0] for letter in mail.outbox}) == ACT
    held = eu.now()
    assert (held.trouble, held.trouble_since) == ("needs_you", NOW)
    assert held.paused_at is None, "never silently disabled"
    page = f"/t/{cast.tenant.slug}/settings/integrations/{held.public_id}/"
    assert page in mail.outbox[-1].body


def test_o10b_a_pause_is_one_click_from_the_letters_page_and_ends_the_reminders(eu, cast, client):
    eu.fails(Trouble.NEEDS_YOU, NOW)
    address = mail.outbox[0].body.split("Open the connection:\n")[1].split("\n")[0]
    path = "/t/" + address.split("/t/")[1]
    client.force_login(cast.ann)
    assert f'action="{path}pause/"' in client.get(path).content.decode()
    assert client.post(f"{path}pause/").status_code == 302
    assert eu.now().paused_at is not None
    for week in range(1, 4):
        assert eu.fails(Trouble.NEEDS_YOU, NOW + week * 7 * DAY) == []


def test_nobody_is_reminded_while_no_plan_imports(eu):
    eu.fails(Trouble.NEEDS_YOU, NOW)
    with scope.tenant(eu.cast.tenant.pk):
        Account.objects.update(trial_ends_at=NOW + DAY)
    assert eu.fails(Trouble.NEEDS_YOU, NOW + 8 * DAY) == []


def test_o8_a_day_without_procountor_is_one_notice_and_one_all_clear(eu):
    told = {}
    for minute in range(0, 24 * 60, 30):
        at = NOW + timedelta(minutes=minute)
        for subject in eu.fails(Trouble.WAITING, at, "try_later"):
            told.setdefault(subject, []).append(minute)
    # The figures were an hour old: stale, at two periods, an hour and a bit later.
    assert told == {STANDS: [90, 90]}
    assert eu.works(NOW + DAY) == [AGAIN] * 2
    assert "Nothing was lost" in mail.outbox[-1].body


def test_t5b_waiting_is_not_told_in_its_first_hour_however_old_the_figures(eu):
    with scope.tenant(eu.cast.tenant.pk):
        Connection.objects.update(data_as_of=NOW - 9 * DAY)
    assert eu.fails(Trouble.WAITING, NOW, "try_later") == []
    assert eu.fails(Trouble.WAITING, NOW + timedelta(minutes=59), "try_later") == []
    assert eu.fails(Trouble.WAITING, NOW + HOUR, "try_later") == [STANDS] * 2


def test_t5c_a_slow_schedule_waits_longer_before_it_writes(eu):
    with scope.tenant(eu.cast.tenant.pk):
        Connection.objects.update(sync_every_hours=12)
    assert eu.fails(Trouble.WAITING, NOW, "try_later") == []
    assert eu.fails(Trouble.WAITING, NOW + 22 * HOUR, "try_later") == []
    assert eu.fails(Trouble.WAITING, NOW + 24 * HOUR, "try_later") == [STANDS] * 2


def test_a_fault_of_ours_is_told_to_us_at_once_and_to_the_customer_when_it_lasts(eu, settings):
    settings.OPERATOR_EMAIL = "duty@example.com"
    [ours] = eu.fails(Trouble.OUR_FAULT, NOW, "KeyError")
    assert "KeyError" in ours
    letter = mail.outbox[-1]
    assert letter.to == ["duty@example.com"]
    assert str(eu.cast.tenant.public_id) in letter.body
    assert f"/admin/tenancy/tenant/{eu.cast.tenant.pk}/change/" in letter.body
    assert "Yksi" not in letter.body + letter.subject
    assert eu.fails(Trouble.OUR_FAULT, NOW + HOUR, "KeyError") == []
    assert eu.fails(Trouble.OUR_FAULT, NOW + HOUR * 2, "KeyError") == [STANDS] * 2
    assert eu.now().trouble_since == NOW
    assert eu.fails(Trouble.OUR_FAULT, NOW + HOUR * 3, "KeyError") == []
    assert eu.fails(Trouble.OUR_FAULT, NOW + 10 * DAY, "KeyError") == [STILL] * 2


def test_without_an_operators_address_our_faults_are_for_the_console(eu, settings):
    settings.OPERATOR_EMAIL = ""
    assert eu.fails(Trouble.OUR_FAULT, NOW, "KeyError") == []


def test_what_needs_somebody_is_told_even_after_another_letter(eu):
    eu.fails(Trouble.WAITING, NOW, "try_later")
    assert eu.fails(Trouble.WAITING, NOW + 3 * HOUR, "try_later") == [STANDS] * 2
    assert eu.fails(Trouble.NEEDS_YOU, NOW + 4 * HOUR) == [NEEDS] * 2


def test_a_procountor_that_is_away_hides_nothing_that_needs_somebody(eu):
    eu.fails(Trouble.NEEDS_YOU, NOW)
    for later, what in ((DAY, Trouble.WAITING), (2 * DAY, Trouble.OUR_FAULT)):
        assert eu.fails(what, NOW + later, "try_later") == []
        held = eu.now()
        assert (held.trouble, held.trouble_kind) == ("needs_you", "key_revoked")
        assert held.trouble_since == NOW
    assert eu.fails(Trouble.NEEDS_YOU, NOW + 3 * DAY) == []


def test_a_missing_right_is_told_once_although_the_rest_is_read_each_time(eu):
    told = []
    for run in range(6):
        eu.reads()
        told += eu.fails(Trouble.NEEDS_YOU, NOW + run * HOUR, "right_missing")
    assert told == ["EU account needs you: a part of it is not imported"] * 2
    assert eu.works(NOW + 7 * HOUR) == [AGAIN] * 2
    assert eu.now().trouble == ""


def test_a_key_that_reads_again_is_over_at_the_first_page(eu):
    eu.fails(Trouble.NEEDS_YOU, NOW)
    eu.reads()
    assert eu.now().trouble == ""


def test_waiting_that_flickers_is_told_once_until_a_whole_run(eu):
    told = []
    for hour in range(12):
        told += eu.fails(Trouble.WAITING, NOW + hour * HOUR, "timed_out")
        told += eu.fails(Trouble.WAITING, NOW + (hour + 1) * HOUR, "timed_out")
        eu.reads()
    assert told == [STANDS] * 2


def test_who_was_told_nothing_hears_no_all_clear(eu):
    eu.fails(Trouble.WAITING, NOW, "try_later")
    assert eu.works(NOW + HOUR) == []


def test_a_second_trouble_is_told_anew_after_the_all_clear(eu):
    assert eu.fails(Trouble.NEEDS_YOU, NOW) == [NEEDS] * 2
    assert eu.works(NOW + HOUR) == [AGAIN] * 2
    assert eu.works(NOW + 2 * HOUR) == []
    assert eu.fails(Trouble.NEEDS_YOU, NOW + 3 * HOUR) == [NEEDS] * 2


@pytest.mark.parametrize("letter", [trouble.LETTER, trouble.STANDS_STILL, trouble.REMINDER])
def test_a_letter_about_what_is_over_is_not_sent(eu, cast, letter):
    with scope.tenant(cast.tenant.pk):
        mails_of(letter, eu.connection)
    assert eu.sent() == []


def test_an_all_clear_is_not_sent_when_it_broke_again(eu, cast):
    eu.fails(Trouble.NEEDS_YOU, NOW)
    with scope.tenant(cast.tenant.pk):
        trouble.works(eu.connection, first=False)
    assert eu.fails(Trouble.NEEDS_YOU, NOW + HOUR) == [NEEDS] * 2


def test_a_disconnected_account_is_written_about_no_more(eu, cast):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        trouble.needs_you(eu.connection, kind="key_revoked", detail="", now=NOW)
        connection_disconnect(
            connection=eu.connection, delete_data=False, by=cast.alice, now=NOW + HOUR
        )
    assert eu.sent() == []
    assert eu.now().trouble_told_at is None


def test_a_failed_transaction_asks_for_no_letter(eu, cast):
    with scope.tenant(cast.tenant.pk):
        with transaction.atomic():
            trouble.needs_you(eu.connection, kind="key_revoked", detail="", now=NOW)
            transaction.set_rollback(True)
        assert not Job.objects.filter(kind=MAIL, state=JobState.QUEUED).exists()
    assert eu.fails(Trouble.NEEDS_YOU, NOW + HOUR) == [NEEDS] * 2


def mails_of(letter: str, connection: Connection) -> None:
    from calqsync.tenancy import mails

    mails.post_to_members(letter=letter, about=str(connection.public_id))


@pytest.mark.django_db(transaction=True)
class TestThroughTheEngine:
    """The same over real imports."""

    def letters(self, books, post_office) -> list[Any]:
        before = len(mail.outbox)
        post_office(books.cast.tenant)
        return mail.outbox[before:]

    def test_the_first_import_says_what_came_in(self, books, post_office):
        run = books.sync()
        assert run.state == RunState.COMPLETE
        letters = self.letters(books, post_office)
        assert sorted(letter.to[0] for letter in letters) == ACT
        invoices = books.all(Invoice)
        oldest = min(invoice.date for invoice in invoices)
        body = letters[0].body
        assert f"- Invoices: {len(invoices)}\n" in body
        assert f"Complete back to {oldest:%B %Y}." in body
        assert "set aside" not in body
        assert f"/t/{books.cast.tenant.slug}/" in body
        books.sync()
        assert self.letters(books, post_office) == [], "each once"

    def test_the_first_import_says_what_was_set_aside(self, books, post_office, tenant):
        tenant(
            lambda: Rejection.objects.create(
                connection=books.connection,
                stream="invoices",
                external_id="4711",
                reason="an amount without a single row",
                raw=b"",
                first_seen_at=books.now(),
                last_seen_at=books.now(),
            )
        )
        books.sync()
        [letter, _other] = self.letters(books, post_office)
        assert "1 document could not be understood" in letter.body

    @pytest.fixture
    def tenant(self, books):
        def run(do):
            with scope.tenant(books.connection.tenant_id), transaction.atomic():
                return do()

        return run

    def test_promise_5_broken_is_seen_and_mailed_within_one_run_and_mended_without_loss(
        self, books, sandbox, koivu, post_office, tenant
    ):
        books.sync()
        self.letters(books, post_office)
        before = (books.connection.public_id, books.connection.data_as_of)
        stored = {invoice.external_id: invoice.pk for invoice in books.all(Invoice)}
        runs_before = tenant(lambda: [run.pk for run in selectors.runs_of(books.connection)])
        sandbox.revoke(koivu)
        # Nobody asks: the next scheduled run finds it.
        tenant(lambda: None)
        books.late = timedelta(hours=8)
        books.slice()
        run = books.run()
        assert (run.trigger, run.state) == ("schedule", RunState.NEEDS_YOU)
        status = tenant(lambda: selectors.status_of(books.connection, now=books.now()))
        assert (status.code, status.reason) == (selectors.Code.NEEDS_YOU, "key_revoked")
        assert sorted(letter.to[0] for letter in self.letters(books, post_office)) == ACT
        # The last good data stay, with their time.
        assert (books.connection.public_id, books.connection.data_as_of) == before
        assert {invoice.external_id: invoice.pk for invoice in books.all(Invoice)} == stored
        # Mended: the same connection, history and rows, newer figures, and a letter that says so.
        sandbox.app.mint.revoked_companies.clear()
        books.late = timedelta(hours=40)
        books.slice()
        assert books.run().state == RunState.COMPLETE
        assert books.connection.public_id == before[0]
        assert books.connection.data_as_of > before[1]
        assert {invoice.external_id: invoice.pk for invoice in books.all(Invoice)} == stored
        kept = tenant(lambda: {run.pk for run in selectors.runs_of(books.connection)})
        assert kept > set(runs_before)
        assert [letter.subject for letter in self.letters(books, post_office)] == [
            "Main account works again"
        ] * 2
        status = tenant(lambda: selectors.status_of(books.connection, now=books.now()))
        assert status.code is selectors.Code.ACTIVE

    def test_workers_that_died_are_a_fault_of_ours_until_a_whole_run(
        self, books, settings, tenant, post_office
    ):
        settings.OPERATOR_EMAIL = "duty@example.com"
        settings.JOB_SLICE_SECONDS = 0
        tenant(books.request)
        row = tenant(lambda: Job.objects.filter(kind=engine.KIND))
        for _death in range(jobs.MAX_DELIVERIES):
            tenant(books.claim)
            tenant(lambda: row.update(lease_until=books.now() - DAY))
        assert tenant(lambda: jobs.claim(row.get().pk)) is None
        assert tenant(lambda: row.get().error_class) == "WorkerLost"
        books.slice()
        books.run()
        assert (books.connection.trouble, books.connection.trouble_kind) == (
            "our_fault",
            "WorkerLost",
        )
        assert [letter.to for letter in self.letters(books, post_office)] == [["duty@example.com"]]
        settings.JOB_SLICE_SECONDS = 240
        books.slice()
        assert books.run().state == RunState.COMPLETE
        assert books.connection.trouble == ""

    def test_a_trial_that_ends_in_mid_run_lets_the_run_finish(self, books, settings, tenant):
        settings.JOB_SLICE_SECONDS = 0
        tenant(books.request)
        books.slice()
        assert books.run().state == RunState.RUNNING
        tenant(lambda: Account.objects.update(trial_ends_at=books.now() - DAY))
        settings.JOB_SLICE_SECONDS = 240
        books.slice()
        assert books.run().state == RunState.COMPLETE
        assert books.connection.first_import_at is not None
        # The next one does not begin, and says why.
        books.late = timedelta(hours=8)
        books.slice()
        assert books.run().state == RunState.PAUSED_NO_PLAN
        status = tenant(lambda: selectors.status_of(books.connection, now=books.now()))
        assert (status.code, status.reason) == (selectors.Code.PAUSED, "no_plan")
        tenant(lambda: Account.objects.update(plan="growth"))
        books.slice()
        assert books.run().state == RunState.COMPLETE
