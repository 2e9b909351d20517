"""Connections and imports in words, in the shapes that the shared parts take."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.urls import reverse
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from calqsync.tenancy import formats
from calqsync.tenancy.models import Tenant
from integrations.models import Connection, SyncStream
from integrations.models.runs import RunState
from integrations.selectors import Code, RunView, Status, seconds_left
from integrations.services.advice import advice_for, mends_by_reconnecting


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
        if at.astimezone(self.zone).date() != self.now.astimezone(self.zone).date():
            return self.moment(at)
        return formats.clock(at, zone=self.zone, language=self.language)

    def ago(self, at: datetime | None) -> str:
        if at is None:
            return _("Never")
        return formats.ago(at, now=self.now, language=self.language)

    def count(self, number: int) -> str:
        return formats.count(number, language=self.language)

    def url(self, name: str, connection: Connection) -> str:
        return reverse(name, args=[self.slug, connection.public_id])

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
            return self._paused(connection)
        if status.reason == "interrupted":
            return _("The import was interrupted and goes on by itself shortly.")
        if status.code is Code.NEEDS_YOU:
            return _("Imports have stopped until someone helps.")
        if status.code is Code.WAITING:
            return self._waiting(status)
        hours = settings.SYNC_EVERY_HOURS
        return _("Imports run every %(hours)s hours.") % {"hours": f"{hours:g}"}

    def _paused(self, connection: Connection) -> str:
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
        fault = status.reason == "our_fault"
        first = (
            _("A fault of ours stopped the import.")
            if fault
            else _("Procountor is busy or does not answer.")
        )
        if status.until is None or status.until <= self.now:
            return first + " " + _("We try again shortly.")
        return first + " " + _("We try again at %(time)s.") % {"time": self.clock(status.until)}

    def problem(
        self, connection: Connection, status: Status, view: RunView | None, *, admin: bool = True
    ) -> dict[str, Any] | None:
        """The card that says what happened, what it means and what to do."""
        found = self._problem(connection, status, view)
        if found and not admin and found.pop("for_admins", False):
            # The button would be refused.
            return {**found, "action_url": ""}
        return found

    def _problem(
        self, connection: Connection, status: Status, view: RunView | None
    ) -> dict[str, Any] | None:
        kind = connection.trouble_kind or status.reason
        if status.reason == "leaving":
            return None  # the frame of every page says it already, with the way to keep it
        if status.code is Code.PAUSED and status.reason != "no_plan":
            return self._pause_problem(connection, status)
        if status.reason == "no_plan":
            return self._plan_problem(connection)
        ours = status.reason == "our_fault"
        if status.code is not Code.NEEDS_YOU and not ours:
            return None
        problem = {
            "id": "connection",
            "level": "bad",
            "title": _("The import of %(name)s stopped") % {"name": connection.name}
            if ours
            else _("%(name)s needs you") % {"name": connection.name},
            "happened": self._happened(connection, kind),
            "meaning": self._meaning(connection),
            "advice": advice_for(kind),
            "detail": connection.trouble_detail or (view.run.error if view else ""),
            "reference": f"run {view.run.public_id}" if view else "",
        }
        return problem | self.way_on(connection, status) | {"action_post": True}

    def button(
        self, connection: Connection, status: Status, *, admin: bool
    ) -> dict[str, Any] | None:
        """The button beside a connection in the list, where there is one that helps."""
        idle = status.code not in (Code.SYNCING, Code.DISCONNECTED)
        if self.leaving or connection.paused_at or not idle:
            return None
        found = self.way_on(connection, status)
        return found if admin or "for_admins" not in found else None

    def way_on(self, connection: Connection, status: Status) -> dict[str, Any]:
        """The button that helps: a new login where that mends it, else another import."""
        kind = connection.trouble_kind or status.reason
        if status.code is Code.NEEDS_YOU and mends_by_reconnecting(kind):
            url = self.url("connection_reconnect", connection)
            return {"action": _("Reconnect"), "action_url": url, "for_admins": True}
        url = self.url("connection_sync", connection)
        return {"action": _("Sync now"), "action_url": url}

    def _pause_problem(self, connection: Connection, status: Status) -> dict[str, Any]:
        problem = {
            "id": "connection",
            "title": _("Imports of %(name)s are paused") % {"name": connection.name},
            "happened": self._paused(connection),
            "meaning": self._meaning(connection),
        }
        if status.reason == "by_support":
            advice = _("Our support starts them again. Write to us if it takes too long.")
            return problem | {"advice": advice}
        return problem | {
            "advice": _("Owners and admins can start them again at any time."),
            "for_admins": True,
            "action": _("Resume imports"),
            "action_url": self.url("connection_resume", connection),
            "action_post": True,
        }

    def _plan_problem(self, connection: Connection) -> dict[str, Any]:
        return {
            "id": "connection",
            "title": _("Imports are paused"),
            "happened": _("The trial or plan of your company has ended."),
            "meaning": self._meaning(connection),
            "advice": _("Choose a plan, and imports start again at once."),
            "action": _("Choose a plan"),
            "action_url": reverse("plan", args=[self.slug]),
        }

    def _happened(self, connection: Connection, kind: str) -> str:
        said = {
            "key_revoked": _("Procountor no longer accepts our key."),
            "renewal_lost": _("The renewal of our key broke off."),
            "clients_not_allowed": _("Procountor refused the connection."),
            "right_missing": _("The Procountor user behind this connection lacks a right."),
            "wrong_company": _("Procountor answered for another company."),
            "our_fault": _("The import met something that it could not handle."),
            "SecretUnreadable": _("The stored key can no longer be read."),
        }.get(kind, _("The import could not go on."))
        if connection.trouble_since is None:
            return said
        return f"{said} " + _("Since %(time)s.") % {"time": self.moment(connection.trouble_since)}

    def _meaning(self, connection: Connection) -> str:
        if connection.data_as_of is None:
            return _("Nothing has been imported completely yet, so figures may be missing.")
        return _("Figures are complete up to %(day)s and stay as they are until then.") % {
            "day": self.moment(connection.data_as_of)
        }

    def progress(self, connection: Connection, view: RunView) -> dict[str, Any]:
        """Context of parts/progress.html."""
        left = seconds_left(view, now=self.now) if view.open else None
        return {
            "title": _("Import now") if view.open else _("Last import"),
            "status": view.state,
            "summary": self._summary(view),
            "left": self._left(left),
            "streams": [self._stream(connection, s, open_=view.open) for s in view.streams],
            "finished": not view.open,
            "poll_url": f"{self.url('connection_progress', connection)}?state={view.state}",
            "hint": _("You may leave this page. The import goes on.") if view.open else "",
        }

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
            return f"{share} {requests}"
        outcome = self.outcome(view)
        if view.run.finished_at is None:
            return f"{outcome} {requests}".strip()
        ended = _("Ended %(ago)s.") % {"ago": self.ago(view.run.finished_at)}
        return " ".join(part for part in (ended, outcome, requests) if part)

    def outcome(self, view: RunView) -> str:
        """What a finished run did."""
        parts = [
            (view.total("added"), _("%s new")),
            (view.total("changed"), _("%s changed")),
            (view.total("removed"), _("%s removed")),
            (view.total("rejected"), _("%s set aside")),
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

    def _stream(self, connection: Connection, stream: SyncStream, *, open_: bool) -> dict[str, Any]:
        state = "queued"
        if stream.complete or stream.finished_at:
            state = "done"
        elif stream.started_at:
            state = "running" if open_ else "queued"
        usable = ""
        if stream.stream == "invoices" and open_ and connection.complete_back_to:
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
