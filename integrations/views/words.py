"""Connections and imports in words, in the shapes that the shared parts take."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cached_property
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from billing.services import entitlement_now
from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations.models import Connection, SyncStream
from integrations.models.runs import RunState, Stream
from integrations.selectors import Code, RunView, Status, seconds_left
from integrations.sync.advice import LATE, PARTLY, happened
from integrations.sync.schedule import hours_between


class Words:
    """Sentences for one tenant's pages at one moment."""

    def __init__(self, tenant: Tenant, now: datetime) -> None:
        self.slug, self.now = tenant.slug, now
        self.leaving = tenant.deletes_at is not None
        self.zone = ZoneInfo(tenant.time_zone)
        self.language = get_language()

    def moment(self, at: datetime | None) -> str:
        return formats.moment(at, zone=self.zone, language=self.language)

    def clock(self, at: datetime) -> str:
        """The time of day, with the day where it is not today."""
        return self.time_in(at, self.now)

    def time_in(self, at: datetime, start: datetime) -> str:
        """The time of day of something that began at `start`, with the day where it is another."""
        if at.astimezone(self.zone).date() != start.astimezone(self.zone).date():
            return self.moment(at)
        return formats.clock(at, zone=self.zone, language=self.language)

    def ago(self, at: datetime | None) -> str:
        if at is None:
            return _("Never")
        return formats.ago(at, now=self.now, language=self.language)

    def count(self, number: int) -> str:
        return formats.count(number, language=self.language)

    def length(self, took: timedelta | None) -> str:
        """A length of time in its two largest units: "3 min 10 s"."""
        if took is None:
            return formats.NONE
        seconds = round(took.total_seconds())
        if seconds < 1:
            return _("under 1 s") if took else _("%d s") % 0
        parts = [
            (seconds // 86_400, _("%d d")),
            (seconds // 3600 % 24, _("%d h")),
            (seconds // 60 % 60, _("%d min")),
            (seconds % 60, _("%d s")),
        ]
        first = next(place for place, (number, _unit) in enumerate(parts) if number)
        return " ".join(unit % number for number, unit in parts[first : first + 2] if number)

    def inside(self, label: str) -> str:
        """A label as it stands within a sentence."""
        return label[:1].lower() + label[1:]

    def url(self, name: str, connection: Connection) -> str:
        return reverse(name, args=[self.slug, connection.public_id])

    def url_of(self, name: str, connection: Connection, one: UUID) -> str:
        """The address of something that belongs to the connection."""
        return reverse(name, args=[self.slug, connection.public_id, one])

    def crumbs(self, connection: Connection, *more: str) -> list[dict[str, str]]:
        """From the list of connections to a page below one; the last has no address."""
        crumbs = [
            {"label": _("Integrations"), "url": reverse("integrations", args=[self.slug])},
            {"label": connection.name, "url": self.url("connection", connection)},
            *({"label": label, "url": ""} for label in more),
        ]
        crumbs[-1]["url"] = ""
        return crumbs

    def status(self, connection: Connection, status: Status) -> str:
        """One sentence about what a connection is doing."""
        if status.code is Code.SYNCING:
            return _("Importing now.")
        if status.reason == "deleting":
            return _("Its data is being deleted. This takes a few minutes and cannot be undone.")
        if status.code is Code.DISCONNECTED:
            day = self.moment(connection.disconnected_at)
            return _("Disconnected on %(day)s. Its figures stay as they were.") % {"day": day}
        if status.reason == "leaving":
            return _("Imports have stopped: the company is about to be deleted.")
        if status.reason == "no_plan":
            return _("The trial or plan has ended. Everything imported stays visible.")
        if status.code is Code.PAUSED:
            return self.paused(connection)
        if status.reason == "interrupted":
            return _("The import was interrupted and goes on by itself shortly.")
        if status.code is Code.NEEDS_YOU:
            stopped = connection.trouble_kind != PARTLY
            said = (
                _("Imports have stopped until it is put right.")
                if stopped
                else _("A part is not imported until it is put right.")
            )
            said = f"{self.happened(connection.trouble_kind, RunState.NEEDS_YOU)} {said}"
            return f"{self.paused(connection)} {said}" if connection.paused_at else said
        if status.code is Code.WAITING:
            return self._waiting(status)
        return self.every(hours_between(connection, allowed=self.allowed))

    @cached_property
    def allowed(self) -> int:
        """How few hours the plan allows between two imports."""
        return entitlement_now(now=self.now).every_hours

    def every(self, hours: float) -> str:
        """How often imports run by themselves."""
        return _("Imports run %(often)s.") % {"often": self.often(hours)}

    def often(self, hours: float) -> str:
        """ "every 6 hours", within a sentence."""
        if hours == 24:
            return _("once a day")
        if hours == 1:
            return _("every hour")
        return _("every %(hours)s hours") % {"hours": f"{hours:g}"}

    def paused(self, connection: Connection) -> str:
        """Since when and why imports are paused."""
        words = {
            "day": self.moment(connection.paused_at),
            "reason": connection.pause_reason.rstrip("."),
        }
        if connection.paused_by_support:
            said = _("Our support paused the imports on %(day)s. Nothing is lost.") % words
        else:
            said = _("Imports have been paused since %(day)s.") % words
        return f"{said} {_('Reason: %(reason)s.') % words}" if connection.pause_reason else said

    def _waiting(self, status: Status) -> str:
        ours = status.reason == RunState.OUR_FAULT
        first = self.happened(status.reason, RunState.OUR_FAULT if ours else RunState.WAITING)
        if status.reason == "client_suspended":
            return first + " " + _("There is nothing that you need to do.")
        if status.reason == LATE and (status.until is None or status.until <= self.now):
            return first + " " + _("It starts by itself as soon as it can.")
        if status.until is None or status.until <= self.now:
            return first + " " + _("We try again shortly.")
        return first + " " + _("We try again at %(time)s.") % {"time": self.clock(status.until)}

    def happened(self, kind: str, family: RunState) -> str:
        """What stopped an import or holds it up, in one sentence."""
        return happened(kind, family)

    def state(self, view: RunView) -> str:
        """The run's state in words."""
        if view.state == "interrupted":
            return _("Interrupted, retrying")
        if view.run.state == RunState.RUNNING and view.run.applying_at is not None:
            return _("Applying")
        if view.run.state == RunState.COMPLETE_WITH_REJECTS:
            return _("Complete, some rejected")
        return str(view.run.get_state_display())

    def progress(self, connection: Connection, view: RunView) -> dict[str, Any]:
        """Context of parts/progress.html."""
        left = seconds_left(view, now=self.now) if view.at_work else None
        return {
            "title": _("Import now") if view.open else _("Last import"),
            "status": view.state,
            "status_text": self.state(view),
            "summary": self._summary(view),
            "left": self._left(left),
            "streams": [self._stream(connection, view, stream) for stream in view.streams],
            "finished": not view.open,
            "poll_url": f"{self.url('connection_progress', connection)}?state={view.state}",
            "hint": self._stays(connection, view) if view.open else "",
        }

    def _stays(self, connection: Connection, view: RunView) -> str:
        """What people see of their figures while an import runs."""
        if view.run.mode == "first":
            usable = _("Newest documents come first; each month shows as soon as it is whole.")
        elif connection.data_as_of is None:
            usable = _("Figures change once, when everything is read.")
        else:
            usable = _("Your figures stay as of %(day)s until everything is read.") % {
                "day": self.moment(connection.data_as_of)
            }
        if not view.at_work:
            return usable
        return f"{usable} {_('You may leave this page. The import goes on.')}"

    def _summary(self, view: RunView) -> str:
        requests = _("%(number)s requests to Procountor.") % {
            "number": self.count(view.run.requests)
        }
        if view.open:
            done, expected = view.share()
            if not expected and view.state == RunState.QUEUED:
                return _("Waiting for its turn.")
            if not expected:
                return _("Counting what there is to import.") + " " + requests
            share = _("%(done)s of about %(all)s documents.") % {
                "done": self.count(done),
                "all": self.count(expected),
            }
            return " ".join(part for part in (share, self._speed(view), requests) if part)
        outcome = self.outcome(view)
        if view.run.finished_at is None:
            return f"{outcome} {requests}".strip()
        ended = _("Ended %(ago)s.") % {"ago": self.ago(view.run.finished_at)}
        return " ".join(part for part in (ended, outcome, requests) if part)

    def _speed(self, view: RunView) -> str:
        minutes = view.length(now=self.now).total_seconds() / 60
        done = view.total("fetched")
        if not view.at_work or minutes < 0.05 or not done:
            return ""
        return _("%(number)s a minute.") % {"number": self.count(round(done / minutes))}

    def outcome(self, view: RunView) -> str:
        """What a finished run did."""
        parts = [
            (view.total("added"), _("%s new")),
            (view.total("changed"), _("%s changed")),
            (view.total("removed"), _("%s removed")),
            (view.total("rejected"), _("%s rejected")),
        ]
        told = [words % self.count(number) for number, words in parts if number]
        if told:
            return ", ".join(told) + "."
        if view.run.state in (RunState.COMPLETE, RunState.COMPLETE_WITH_REJECTS):
            return _("Nothing had changed.")
        return ""

    def _left(self, seconds: int | None) -> str:
        if seconds is None:
            return ""
        if seconds < 60:
            return _("Less than a minute left.")
        minutes = round(seconds / 60)
        return ngettext("About %d minute left.", "About %d minutes left.", minutes) % minutes

    def _stream(self, connection: Connection, view: RunView, stream: SyncStream) -> dict[str, Any]:
        state = "queued"
        if stream.complete or stream.finished_at:
            state = "done"
        elif stream.started_at:
            state = "running" if view.open else "queued"
        usable = ""
        loading = view.open and view.run.mode == "first" and stream.stream == Stream.INVOICES
        if loading and connection.complete_back_to:
            month = formats.month(connection.complete_back_to, language=self.language, long=True)
            usable = _("Complete back to %(month)s") % {"month": month}
        return {
            "label": stream.get_stream_display(),
            "state": state,
            "done": min(stream.fetched, stream.expected or stream.fetched),
            "total": stream.expected,
            "text": self._stream_text(stream, state),
            "usable": usable,
        }

    def _stream_text(self, stream: SyncStream, state: str) -> str:
        if state == "queued":
            return self.count(stream.fetched) if stream.fetched else "–"
        if state == "running" and stream.expected:
            return _("%(done)s of %(all)s") % {
                "done": self.count(stream.fetched),
                "all": self.count(stream.expected),
            }
        if not stream.fetched:
            return _("Nothing new") if state == "done" else _("Counting")
        return self.count(stream.fetched)

    def gaps(self, rights: dict[str, Any]) -> list[dict[str, str]]:
        """Rights that the Procountor user lacks, gravest first, in words."""
        return [
            {"severity": gap.get("severity", ""), "words": _(gap["words"])}
            for gap in (rights or {}).get("gaps", [])
        ]
