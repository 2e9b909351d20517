"""The cards that say what happened to an import, what it means and what to do.

Four families, the same words wherever they show: waiting for Procountor, needs you, our fault,
rejected documents. A fifth card asks whether vanished documents were deleted.
"""

from __future__ import annotations

from typing import Any

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from integrations.models import Connection, RemovalHold
from integrations.models.runs import RunState
from integrations.selectors import Code, RunView, SetAside, Status
from integrations.sync.advice import LATE, advice_for, mends_by_reconnecting
from integrations.views.words import Words

Card = dict[str, Any]
SUSPENDED = "client_suspended"


def connection_problem(
    words: Words, connection: Connection, status: Status, view: RunView | None
) -> Card | None:
    """What stands in the way of a connection's imports now."""
    if status.reason == "leaving":
        return None  # the frame of every page says it already, with the way to keep it
    if status.code is Code.PAUSED:
        paused = _plan_problem if status.reason == "no_plan" else _pause_problem
        return paused(words, connection, status)
    kind = connection.trouble_kind or status.reason
    if status.code is Code.NEEDS_YOU:
        family, way = RunState.NEEDS_YOU, way_on(words, connection, status)
    elif status.reason == "our_fault":
        family, way = RunState.OUR_FAULT, way_on(words, connection, status)
    elif status.reason == "interrupted":
        return _interrupted(words, connection)
    elif status.reason == LATE:
        return _late(words, connection, status)
    elif status.code is Code.WAITING:
        family, way = RunState.WAITING, way_on(words, connection, status)
    else:
        return None
    happened = words.happened(kind, family)
    if connection.trouble_since is not None:
        since = _("Since %(time)s.") % {"time": words.moment(connection.trouble_since)}
        happened = f"{happened} {since}"
    return {
        "id": "connection",
        "level": "" if family is RunState.WAITING else "bad",
        "title": _title(connection, family, kind),
        "happened": happened,
        "meaning": _meaning(words, connection),
        "advice": _advice(words, kind, family, status),
        "detail": connection.trouble_detail or (view.run.error if view else ""),
        "reference": f"run {view.run.public_id}" if view else "",
        "action_post": True,
        **way,
    }


def run_problem(words: Words, connection: Connection, view: RunView) -> Card | None:
    """What stopped one run or holds it up, with the same words; the button is the connection's."""
    if view.state == "interrupted":
        return _interrupted(words, connection)
    state = view.run.state
    if state not in (RunState.WAITING, RunState.NEEDS_YOU, RunState.OUR_FAULT):
        return None
    family, kind = RunState(state), view.run.error_kind
    return {
        "id": "run",
        "level": "" if family is RunState.WAITING else "bad",
        "title": _title(connection, family, kind),
        "happened": words.happened(kind, family),
        "meaning": _meaning(words, connection),
        "advice": advice_for(kind),
        "detail": view.run.error,
        "reference": f"run {view.run.public_id}",
    }


def rejected_problem(words: Words, connection: Connection, counts: SetAside) -> Card | None:
    """Documents that are missing from the figures because nobody could read them."""
    if not counts.open:
        return None
    number = words.count(counts.open)
    title = ngettext("%s document was rejected", "%s documents were rejected", counts.open)
    told = _("They could not be understood and were set aside.")
    if counts.lately:
        fresh = ngettext("%s came in the last week.", "%s came in the last week.", counts.lately)
        told = f"{told} {fresh % words.count(counts.lately)}"
    return {
        "id": "rejected",
        "title": title % number,
        "happened": told,
        "meaning": _("They are missing from your figures. Everything else is imported."),
        "advice": _("See why, then correct them in Procountor, retry or ignore them."),
        "action": _("See the rejected documents"),
        "action_url": words.url("connection_rejected", connection),
    }


def held_problem(
    words: Words, connection: Connection, hold: RemovalHold, *, member: bool, admin: bool
) -> Card:
    """So many documents vanished that a person must say whether they were deleted."""
    facts = {
        "missing": words.count(hold.missing),
        "stored": words.count(hold.stored),
        "what": words.inside(hold.get_stream_display()),
        "time": words.moment(hold.found_at),
    }
    card: Card = {
        "id": f"held-{hold.stream}",
        "meaning": _("Nothing was removed: they still count in your figures."),
        "others": [],
    }
    look = words.url_of("connection_recheck", connection, hold.public_id)
    again = {"label": _("Look again"), "url": look, "post": True}
    if hold.confirmed_at is not None:
        facts["time"] = words.moment(hold.confirmed_at)
        card |= {
            "title": _("%(missing)s %(what)s are about to be removed") % facts,
            "happened": _("On %(time)s someone said that they were deleted in Procountor.") % facts,
            "advice": _(
                "A full import looks for them once more. Those that it misses again are removed,"
                " those that it finds stay. Until then this can be taken back."
            ),
        }
        again["label"] = _("Look again and remove nothing")
    else:
        card |= {
            "title": _("Were %(missing)s %(what)s deleted in Procountor?") % facts,
            "happened": _(
                "On %(time)s an import no longer found %(missing)s of %(stored)s %(what)s. So many"
                " at once are more often a right that was taken from the Procountor user than"
                " documents that were deleted."
            )
            % facts,
            "advice": _(
                "If they were deleted, say so, and a full import removes those that are still"
                " missing. If not, give the Procountor user its rights back and look again."
            ),
        }
        if admin:
            card |= {
                "action": _("They were deleted in Procountor: remove them"),
                "action_url": words.url_of("connection_removals", connection, hold.public_id),
            }
    if member:
        card["others"] = [again]
    return card


def button(
    words: Words, connection: Connection, status: Status, *, admin: bool
) -> dict[str, Any] | None:
    """The button beside a connection in the list, where there is one that helps."""
    idle = status.code not in (Code.SYNCING, Code.DISCONNECTED)
    if words.leaving or connection.paused_at or not idle:
        return None
    found = way_on(words, connection, status)
    return found if found and (admin or "for_admins" not in found) else None


def way_on(words: Words, connection: Connection, status: Status) -> dict[str, Any]:
    """The button that helps: a new login where that mends it, else another import, or none."""
    kind = connection.trouble_kind or status.reason
    if kind == SUSPENDED:
        return {}
    if status.code is Code.NEEDS_YOU and mends_by_reconnecting(kind):
        url = words.url("connection_reconnect", connection)
        return {"action": _("Reconnect"), "action_url": url, "for_admins": True}
    if connection.paused_at is not None:
        return {} if connection.paused_by_support else _resume(words, connection)
    return _sync_now(words, connection)


def allowed(card: Card | None, *, member: bool, admin: bool) -> Card | None:
    """The card without a button that would be refused."""
    if card is None:
        return None
    refused = (card.get("for_admins") and not admin) or (card.get("action_post") and not member)
    return {**card, "action_url": ""} if refused else card


def _sync_now(words: Words, connection: Connection) -> dict[str, Any]:
    return {"action": _("Sync now"), "action_url": words.url("connection_sync", connection)}


def _title(connection: Connection, family: RunState, kind: str) -> str:
    name = {"name": connection.name}
    if family is RunState.NEEDS_YOU:
        return _("%(name)s needs you") % name
    if family is RunState.OUR_FAULT:
        return _("The import of %(name)s stopped by a fault of ours") % name
    if kind == SUSPENDED:
        return _("Procountor has suspended our access")
    return _("%(name)s waits for Procountor") % name


def _advice(words: Words, kind: str, family: RunState, status: Status) -> str:
    advice = advice_for(kind)
    if family is RunState.NEEDS_YOU or kind == SUSPENDED:
        return advice
    if status.until is None or status.until <= words.now:
        return advice
    when = _("We try again at %(time)s.") % {"time": words.clock(status.until)}
    return f"{advice} {when}"


def _meaning(words: Words, connection: Connection) -> str:
    if connection.data_as_of is None:
        return _("Nothing has been imported completely yet, so figures may be missing.")
    return _("Figures are complete up to %(day)s and stay as they are until then.") % {
        "day": words.moment(connection.data_as_of)
    }


def _interrupted(words: Words, connection: Connection) -> Card:
    return {
        "id": "connection",
        "title": _("The import of %(name)s was interrupted") % {"name": connection.name},
        "happened": _("The machine that ran it no longer answers. What it read is kept."),
        "meaning": _meaning(words, connection),
        "advice": _("Nothing. It goes on by itself within minutes, or with Sync now."),
        "action_post": True,
        **_sync_now(words, connection),
    }


def _late(words: Words, connection: Connection, status: Status) -> Card:
    return {
        "id": "connection",
        "title": _("The import of %(name)s is late") % {"name": connection.name},
        "happened": words.status(connection, status),
        "meaning": _meaning(words, connection),
        "advice": _("Nothing, or press Sync now to ask for it at once."),
        "action_post": True,
        **_sync_now(words, connection),
    }


def _pause_problem(words: Words, connection: Connection, status: Status) -> Card:
    card = {
        "id": "connection",
        "title": _("Imports of %(name)s are paused") % {"name": connection.name},
        "happened": words.paused(connection),
        "meaning": _meaning(words, connection),
    }
    if status.reason == "by_support":
        advice = _("Our support starts them again. Write to us if it takes too long.")
        return card | {"advice": advice}
    return card | {
        "advice": _("Owners and admins can start them again at any time."),
        "action_post": True,
        **_resume(words, connection),
    }


def _resume(words: Words, connection: Connection) -> Card:
    url = words.url("connection_resume", connection)
    return {"action": _("Resume imports"), "action_url": url, "for_admins": True}


def _plan_problem(words: Words, connection: Connection, status: Status) -> Card:
    return {
        "id": "connection",
        "title": _("Imports are paused"),
        "happened": _("The trial or plan of your company has ended."),
        "meaning": _meaning(words, connection),
        "advice": _("Choose a plan, and imports start again at once."),
        "action": _("Choose a plan"),
        "action_url": reverse("plan", args=[words.slug]),
    }
