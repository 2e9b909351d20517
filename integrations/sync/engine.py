"""One slice of a run: what is due, as far as the time allows, and how it ended.

A run is many slices; each starts from what the rows say. Nothing here is kept in memory between
slices, so a worker may die at any moment and another one goes on.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import structlog
from django.conf import settings
from django.db import InterfaceError, OperationalError, transaction
from django.db.models import F
from django.utils import timezone

from calqsync.jobs.services import Cancelled, ClaimedJob, LostLease, Outcome
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.secrets import SecretUnreadable, sealer
from integrations.models import Connection, Rejection, SyncRun, SyncStream
from integrations.models.connections import Trouble
from integrations.models.runs import OPEN_STATES, RunState, Stream
from integrations.procountor.errors import (
    ClientSuspended,
    NeedsOwner,
    Nonsense,
    ProcountorError,
    RightMissing,
    TryLater,
    WrongCompany,
)
from integrations.procountor.limits import Usage
from integrations.sync import access, breaker, staging, trouble, vanished
from integrations.sync.bank import bank, begin_bank
from integrations.sync.invoices import begin_beside, invoices
from integrations.sync.payments import payments
from integrations.sync.registers import partners, products
from integrations.sync.schedule import PROBE_EVERY, next_slot
from integrations.sync.starting import run_to_work_on
from integrations.sync.work import RunStopped, SliceOver, Work, take

log = structlog.get_logger(__name__)
# Waits of many tenants must not end together.
_spread = random.SystemRandom()

KIND = "integrations.sync"
STREAMS: tuple[tuple[Stream, Callable[[Work], None]], ...] = (
    (Stream.PARTNERS, partners),
    (Stream.PRODUCTS, products),
    (Stream.INVOICES, invoices),
    (Stream.PAYMENTS, payments),
    (Stream.BANK, bank),
)
# Without the right to one of these the rest is still worth importing.
OPTIONAL = frozenset({Stream.PRODUCTS, Stream.BANK})
SHORTEST_WAIT = timedelta(seconds=30)
LONGEST_WAIT = timedelta(hours=1)
# Answers that make no sense for so long are a fault of ours.
PATIENCE = timedelta(hours=2)


def sync_slice(job: ClaimedJob, *, clock: Callable[[], datetime] = timezone.now) -> Outcome:
    """Import as much as one slice allows; the outcome says when the job is due again."""
    started = time.monotonic()
    with transaction.atomic():
        # Locked against a person who asks for a run in the same moment.
        connection = take(Connection(pk=int(job.key)))
        job.fence()
        if connection is None:
            return Outcome.done()
        trouble.warn_of_end(connection, now=clock())
        if connection.paused_at is not None or connection.tenant.deletes_at is not None:
            run, wait = None, PROBE_EVERY
        else:
            trouble.given_up(connection, job, now=clock())
            run, wait = run_to_work_on(connection, now=clock())
        idle = run is None and access.idle(connection, now=clock())
    if run is None:
        return _kept_alive(job, connection, clock) if idle else Outcome.again(wait)
    slice_ = _Slice(job, connection, run, clock)
    try:
        return slice_.work()
    finally:
        slice_.add_busy(time.monotonic() - started)


def _kept_alive(job: ClaimedJob, connection: Connection, clock: Callable[[], datetime]) -> Outcome:
    """Use a key that nothing else uses, so that it does not lapse, or tell early that it has."""
    with transaction.atomic():
        credential = trouble.credential_of(connection)
    try:
        access.token_fresh(connection, anew=True, now=clock)
    except TryLater as error:
        log.warning("sync.keep_alive_waits", kind=error.kind)
        return Outcome.again(LONGEST_WAIT)
    except (NeedsOwner, SecretUnreadable) as error:
        with transaction.atomic():
            take(connection)
            job.fence()
            if trouble.credential_of(connection) != credential:
                # Somebody reconnected meanwhile; it was the key from before that failed.
                return Outcome.again(timedelta(0))
            kind = getattr(error, "kind", type(error).__name__)
            trouble.needs_you(connection, kind=kind, detail=str(error), now=clock())
    return Outcome.again(PROBE_EVERY)


class _Slice:
    """The parts of one slice that belong together: its job, run, and how it may end."""

    def __init__(
        self,
        job: ClaimedJob,
        connection: Connection,
        run: SyncRun,
        clock: Callable[[], datetime],
    ) -> None:
        self.job, self.connection, self.run, self.clock = job, connection, run, clock
        self.skipped: RightMissing | None = None
        self.credential: int | None = None

    def work(self) -> Outcome:
        usage = Usage()
        try:
            with transaction.atomic():
                self.credential = trouble.credential_of(self.connection)
            # A person waits for what they asked for, unless it is the whole books.
            asked = self.run.trigger == "person" and self.run.mode == "incremental"
            client, transport = access.client(self.connection, usage, interactive=asked)
            try:
                with transaction.atomic():
                    work = self._hands(client, usage)
                with breaker.first_call(self.connection):
                    client.session(expect_company=int(self.connection.company_id))
                return self._streams(work)
            finally:
                transport.close()
        except (LostLease, OperationalError, InterfaceError):
            raise
        except RunStopped:
            return self._stopped()
        except Cancelled:
            # Whoever claims this job is refused at the first fence, so the run is nobody else's.
            with transaction.atomic():
                self._cancelled()
            raise
        except (TryLater, Nonsense) as error:
            return self._wait(error)
        except (NeedsOwner, WrongCompany) as error:
            log.warning("sync.needs_owner", kind=error.kind, detail=str(error))
            return self._needs_you(error.kind, str(error))
        except SecretUnreadable as error:
            log.error("sync.secret_unreadable", detail=str(error))
            return self._needs_you(type(error).__name__, str(error))
        except ProcountorError as error:
            log.error("sync.refused", kind=error.kind, detail=str(error))
            return self._our_fault(error.kind, str(error))
        except Exception as error:
            log.exception("sync.failed")
            return self._our_fault(type(error).__name__, "")

    def _hands(self, client: access.Procountor, usage: Usage) -> Work:
        tenant = Tenant.objects.only("time_zone").get(pk=self.connection.tenant_id)
        return Work(
            job=self.job,
            connection=self.connection,
            run=self.run,
            client=client,
            usage=usage,
            seal=sealer(),
            zone=ZoneInfo(tenant.time_zone),
            clock=self.clock,
            deadline=time.monotonic() + self.job.slice_seconds,
            rejected_before=Rejection.objects.filter(connection=self.connection).exists(),
        )

    def _streams(self, work: Work) -> Outcome:
        with transaction.atomic():
            rows = SyncStream.objects.filter(run=self.run, complete=True)
            done = set(rows.values_list("stream", flat=True))
        left = [(stream, read) for stream, read in STREAMS if stream not in done]
        try:
            begin_beside(work)
            if work.beside is not None:
                begin_bank(work)
            for stream, read in left:
                work.begin(stream)
                self._read(work, stream, read)
            if left and not work.direct:
                # The promotion may last a while, so it does not begin late in a slice: a worker is
                # stopped soon after one, and a short slice is far from that.
                half = settings.JOB_SLICE_SECONDS / 2
                work.breathe(room=max(0.0, self.job.slice_seconds - half))
        except SliceOver:
            with work.page():
                if work.changed_books:
                    work.tell()
            return Outcome.again(timedelta(0))
        finally:
            for ahead in (work.beside, work.bank_ahead):
                if ahead is not None:
                    ahead.close()
        return self._complete(work)

    def _read(self, work: Work, stream: Stream, read: Callable[[Work], None]) -> None:
        try:
            read(work)
        except RightMissing as error:
            if stream not in OPTIONAL:
                raise
            log.warning("sync.right_missing", stream=stream.value)
            self.skipped = error

    def _complete(self, work: Work) -> Outcome:
        """Everything was read: one transaction makes it the state that figures come from."""
        if not work.direct:
            with work.page() as page:
                SyncRun.objects.filter(pk=self.run.pk).update(applying_at=page.now)
        with work.whole() as page:
            now = page.now
            told: dict[str, object] = {}
            if not work.direct:
                touched = staging.apply(work, page)
                # A person who answers for what vanished locks the connection first, too.
                take(self.connection)
                vanished.settle(work, page)
                told = touched.told(page)
            work.move_cursors()
            rejects = Rejection.objects.filter(connection=self.connection, ignored_at=None)
            state = RunState.COMPLETE_WITH_REJECTS if rejects.exists() else RunState.COMPLETE
            facts = {"data_as_of": self.run.window_to}
            first = self.connection.first_import_at is None
            if first:
                facts["first_import_at"] = now
                trouble.first_import(self.connection)
            Connection.objects.filter(pk=self.connection.pk).update(**facts)
            work.tell(**told)
            if self.skipped is None:
                trouble.works(self.connection, first=first)
            else:
                state = RunState.NEEDS_YOU
                self._trouble(Trouble.NEEDS_YOU, self.skipped.kind, str(self.skipped), now, None)
            page.ending = {
                "state": state,
                "finished_at": now,
                "error_kind": self.skipped.kind if self.skipped else "",
            }
        return Outcome.again(next_slot(self.connection, now) - now)

    def _stopped(self) -> Outcome:
        """The run was cancelled: the schedule lives on, unless the connection is gone."""
        with transaction.atomic():
            take(self.connection)
            # A worker that lost its lease may find the run waiting under its new holder.
            self.job.fence()
            self._cancelled()
        now = self.clock()
        return Outcome.again(next_slot(self.connection, now) - now)

    def _cancelled(self) -> None:
        SyncRun.objects.filter(pk=self.run.pk, state__in=OPEN_STATES).update(
            state=RunState.CANCELLED, finished_at=self.clock()
        )
        staging.drop(self.run.pk)

    def _wait(self, error: TryLater | Nonsense) -> Outcome:
        """Come back later: as long again as the trouble has lasted, within bounds."""
        now = self.clock()
        with transaction.atomic():
            stands = Connection.objects.filter(pk=self.connection.pk)
            what, since = stands.values_list("trouble", "trouble_since").first() or ("", None)
        if what == Trouble.NEEDS_YOU:
            # That is another matter, and may stand for months while the rest is imported.
            since = max(since or now, self.run.started_at)
        lasted = now - since if since else timedelta(0)
        if isinstance(error, Nonsense) and lasted > PATIENCE:
            return self._our_fault(error.kind, str(error))
        wait = min(max(lasted, SHORTEST_WAIT), LONGEST_WAIT) * (0.9 + _spread.random() / 5)
        asked = getattr(error, "retry_after", None)
        if isinstance(error, ClientSuspended):
            # No call leaves meanwhile, so nothing grows; and all must not come back at once.
            wait = breaker.LOOK_AGAIN * (0.5 + _spread.random())
        elif asked:
            wait = max(wait, timedelta(seconds=min(asked, 86_400)))
        with transaction.atomic():
            take(self.connection)
            self.job.fence()
            self._trouble(Trouble.WAITING, error.kind, str(error), now, now + wait)
            self._close(RunState.WAITING, error.kind, str(error), None)
        return Outcome.again(wait)

    def _needs_you(self, kind: str, detail: str) -> Outcome:
        """Stop the run until someone helps: they are written to, and the key is tried daily."""
        now = self.clock()
        due = now + PROBE_EVERY
        with transaction.atomic():
            take(self.connection)
            self.job.fence()
            if trouble.credential_of(self.connection) != self.credential:
                # Somebody reconnected while this run was failing with the key from before.
                self._close(RunState.CANCELLED, kind, detail, now)
                return Outcome.again(timedelta(0))
            trouble.needs_you(self.connection, kind=kind, detail=detail, now=now, retry_at=due)
            self._close(RunState.NEEDS_YOU, kind, detail, now)
        return Outcome.again(due - now)

    def _our_fault(self, kind: str, detail: str) -> Outcome:
        """Stop the run; the schedule tries again, and mends the status when it works."""
        now = self.clock()
        due = next_slot(self.connection, now)
        with transaction.atomic():
            take(self.connection)
            self.job.fence()
            self._trouble(Trouble.OUR_FAULT, kind, detail, now, due)
            self._close(RunState.OUR_FAULT, kind, detail, now)
        return Outcome.again(due - now)

    def _close(self, state: RunState, kind: str, detail: str, finished: datetime | None) -> None:
        SyncRun.objects.filter(pk=self.run.pk, state=RunState.RUNNING).update(
            state=state, error_kind=kind[:40], error=detail[:500], finished_at=finished
        )
        if finished is not None:
            staging.drop(self.run.pk)

    def _trouble(
        self, what: Trouble, kind: str, detail: str, now: datetime, retry_at: datetime | None
    ) -> None:
        trouble.note(self.connection, what, kind=kind, detail=detail, now=now, retry_at=retry_at)

    def add_busy(self, seconds: float) -> None:
        with transaction.atomic():
            SyncRun.objects.filter(pk=self.run.pk).update(
                busy_ms=F("busy_ms") + round(seconds * 1000)
            )
