"""What stands on a connection while it cannot be read, and who is written to about it.

Letters go to owners and admins, who can act; each is asked for in the transaction that states
its fact, so that it goes once. `Connection.trouble_told_at` is set by the first letter about a
trouble and stands until the letter that it works again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.conf import settings

from billing.services import entitlement_now
from calqsync.jobs.models import Job
from calqsync.jobs.services import ClaimedJob
from calqsync.tenancy import mails
from calqsync.tenancy.models import Role
from integrations.models import Connection, Credential, RemovalHold
from integrations.models.connections import GrantKind, Trouble
from integrations.sync.access import REFRESH_LIFE
from integrations.sync.advice import PARTLY
from integrations.sync.schedule import period, stale_after

LETTER = "connection_needs_you"
STANDS_STILL = "connection_stands_still"
REMINDER = "connection_still_broken"
WORKS_AGAIN = "connection_works_again"
FIRST_IMPORT = "connection_first_import"
ENDS_SOON = "connection_ends_soon"
VANISHED = "connection_vanished"
OPERATOR = "connection_our_fault"
WARNED_BEFORE = timedelta(days=14)
REMIND_EVERY = timedelta(days=7)
# Nobody is written to about a Procountor that is away for less, however short the schedule.
SHORTEST_TOLD_WAIT = timedelta(hours=1)
# The columns of a connection without trouble. What people were told stays, until they are told
# that it works again.
CLEAR: dict[str, Any] = {
    "trouble": Trouble.NONE,
    "trouble_kind": "",
    "trouble_detail": "",
    "trouble_since": None,
    "retry_at": None,
}
UNTOLD: dict[str, Any] = {"trouble_told_at": None, "trouble_reminded_at": None}


def note(
    connection: Connection,
    trouble: Trouble,
    *,
    kind: str,
    detail: str,
    now: datetime,
    retry_at: datetime | None,
) -> None:
    """Put the trouble on the connection and write to whom it concerns; needs a transaction.

    Its `trouble_since` stays while the connection cannot be read, whether Procountor or we are
    the reason. What needs somebody is not hidden by a later failure that says less.
    """
    held = Connection.objects.select_for_update(no_key=True).filter(pk=connection.pk).first()
    if held is None:
        return
    before = Trouble(held.trouble)
    if _says_less(trouble, held):
        held.retry_at = retry_at
    else:
        ours = {Trouble.WAITING, Trouble.OUR_FAULT}
        if trouble != before and not {trouble, before} <= ours:
            held.trouble_since = now
        held.trouble, held.retry_at = trouble, retry_at
        held.trouble_kind, held.trouble_detail = kind[:40], detail[:500]
    held.save(update_fields=["trouble_since", *CLEAR])
    if held.trouble == Trouble.OUR_FAULT != before and settings.OPERATOR_EMAIL:
        mails.post(letter=OPERATOR, about=str(held.public_id))
    _write(held, now)


def _says_less(trouble: Trouble, held: Connection) -> bool:
    if held.trouble != Trouble.NEEDS_YOU or trouble == Trouble.NEEDS_YOU:
        return False
    # Without one right the rest is imported, and a fault of ours then stops all of it.
    return trouble == Trouble.WAITING or held.trouble_kind != PARTLY


def needs_you(
    connection: Connection,
    *,
    kind: str,
    detail: str,
    now: datetime,
    retry_at: datetime | None = None,
) -> None:
    """Note that nothing but a person helps; needs a transaction."""
    note(connection, Trouble.NEEDS_YOU, kind=kind, detail=detail, now=now, retry_at=retry_at)


def _write(held: Connection, now: datetime) -> None:
    """The first letter about a trouble when it is due, and then one a week."""
    plan = entitlement_now(now=now)
    if _is_news(held, now, allowed=plan.every_hours):
        held.trouble_told_at, held.trouble_reminded_at = now, None
        letter = LETTER if held.trouble == Trouble.NEEDS_YOU else STANDS_STILL
    elif _reminder_due(held, now) and held.paused_at is None and plan.may_import:
        held.trouble_reminded_at, letter = now, REMINDER
    else:
        return
    held.save(update_fields=[*UNTOLD])
    _to_who_can_act(letter, held)


def _reminder_due(held: Connection, now: datetime) -> bool:
    last = held.trouble_reminded_at or held.trouble_told_at
    return last is not None and now - last >= REMIND_EVERY


def _is_news(held: Connection, now: datetime, *, allowed: int) -> bool:
    """Whether the trouble is to be told and was not.

    What needs somebody: at once. A fault of ours: when it lasts over a period. Procountor away:
    when the figures are stale, and never in the first hour.
    """
    told, since = held.trouble_told_at, held.trouble_since or now
    if held.trouble == Trouble.NEEDS_YOU:
        return told is None or told < since
    if told is not None:
        return False
    if held.trouble == Trouble.OUR_FAULT:
        return now - since > period(held, allowed=allowed)
    stale = now - (held.data_as_of or since) > stale_after(held, allowed=allowed)
    return stale and now - since >= SHORTEST_TOLD_WAIT


def given_up(connection: Connection, job: ClaimedJob, *, now: datetime) -> None:
    """Note that this job was given up and is tried anew; needs a transaction.

    Workers that die, or a database that refuses, leave nobody who could note it at the time.
    """
    if job.attempts:
        return
    rows = Job.objects.filter(pk=job.id).exclude(error_class="")
    kind = rows.values_list("error_class", flat=True).first()
    if kind is not None:
        note(connection, Trouble.OUR_FAULT, kind=kind, detail="", now=now, retry_at=None)


def read(connection: Connection) -> None:
    """Something was read, so a wait or a refusal is over; needs a transaction.

    A right that is missing and a fault of ours concern what is read later: they stand until a
    whole run has passed them.
    """
    over = Connection.objects.filter(pk=connection.pk).exclude(trouble=Trouble.NONE)
    over = over.exclude(trouble=Trouble.OUR_FAULT)
    over.exclude(trouble=Trouble.NEEDS_YOU, trouble_kind=PARTLY).update(**CLEAR)


def works(connection: Connection, *, first: bool) -> None:
    """A whole run found nothing wrong; `first` for the first import. Needs a transaction.

    Who was told of a trouble is told that it is over. The first import has a letter of its own.
    """
    rows = Connection.objects.filter(pk=connection.pk)
    told = rows.filter(trouble_told_at__isnull=False).update(**UNTOLD)
    rows.exclude(trouble=Trouble.NONE).update(**CLEAR)
    if told and not first:
        _to_who_can_act(WORKS_AGAIN, connection)


def first_import(connection: Connection) -> None:
    """Write that everything was imported for the first time; needs a transaction."""
    _to_who_can_act(FIRST_IMPORT, connection)


def warn_of_end(connection: Connection, *, now: datetime) -> None:
    """Write once, in good time, to those who must log in again; needs a transaction."""
    ending = Credential.objects.filter(
        connection=connection,
        kind=GrantKind.REFRESH_TOKEN,
        granted_at__lt=now - REFRESH_LIFE + WARNED_BEFORE,
        end_told_at=None,
    )
    if ending.update(end_told_at=now):
        _to_who_can_act(ENDS_SOON, connection)


def ask_about_removals(hold: RemovalHold) -> None:
    """Ask in a letter whether what vanished was deleted; once a question. Needs a transaction."""
    _to_who_can_act(VANISHED, hold)


def _to_who_can_act(letter: str, about: Connection | RemovalHold) -> None:
    mails.post_to_members(letter=letter, about=str(about.public_id), min_role=Role.ADMIN)


def credential_of(connection: Connection) -> int | None:
    """Which credential the connection has; another one after each reconnecting."""
    rows = Credential.objects.filter(connection=connection)
    found: int | None = rows.values_list("pk", flat=True).first()
    return found
