"""What the shared parts in templates/parts/ need beyond plain includes."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from django import template
from django.utils.translation import gettext_lazy as _

register = template.Library()

SPARK_WIDTH = 100
SPARK_HEIGHT = 28

# How a connection's or run's state looks: tone, icon, word.
STATUSES = {
    "active": ("good", "check", _("Active")),
    "syncing": ("info", "sync", _("Syncing")),
    "waiting": ("warn", "clock", _("Waiting")),
    "needs_you": ("bad", "alert", _("Needs you")),
    "paused": ("mute", "pause", _("Paused")),
    "disconnected": ("mute", "off", _("Disconnected")),
    "queued": ("mute", "clock", _("Queued")),
    "running": ("info", "sync", _("Running")),
    "interrupted": ("warn", "alert", _("Interrupted")),
    "our_fault": ("bad", "alert", _("Failed, we are on it")),
    "cancelled": ("mute", "off", _("Cancelled")),
    "complete": ("good", "check", _("Complete")),
    "complete_with_rejects": ("warn", "alert", _("Complete, some left out")),
    "paused_no_plan": ("mute", "pause", _("Paused, no plan")),
    "late": ("warn", "clock", _("Late")),
    "churned": ("mute", "off", _("Ended")),
    "detected": ("info", "search", _("Detected")),
    "confirmed": ("good", "check", _("Confirmed")),
    "rejected": ("mute", "off", _("Rejected")),
    "review": ("warn", "alert", _("To review")),
    "paid": ("good", "check", _("Paid")),
    "part_paid": ("info", "half", _("Part paid")),
    "open": ("mute", "circle", _("Open")),
    "overdue": ("bad", "clock", _("Overdue")),
    "credited": ("mute", "off", _("Credited")),
    "draft": ("mute", "circle", _("Draft")),
}


@register.filter
def status_look(code: str) -> dict[str, object]:
    """Return tone, icon and word of a state; an unknown one is shown by its own name."""
    tone, icon, word = STATUSES.get(str(code), ("mute", "circle", str(code).replace("_", " ")))
    return {"tone": tone, "icon": icon, "word": word}


@register.filter
def spark_line(points: Sequence[int | float | Decimal | None]) -> str:
    """Return the SVG path of a small line through the points, left to right, gaps skipped."""
    return " ".join(f"{'M' if first else 'L'}{x:g} {y:g}" for first, x, y in _spark_places(points))


@register.filter
def spark_area(points: Sequence[int | float | Decimal | None]) -> str:
    """Return the SVG path of the surface under spark_line."""
    places = [(x, y) for _first, x, y in _spark_places(points)]
    if len(places) < 2:
        return ""
    line = " ".join(f"L{x:g} {y:g}" for x, y in places)
    return f"M{places[0][0]:g} {SPARK_HEIGHT} {line} L{places[-1][0]:g} {SPARK_HEIGHT} Z"


@register.filter
def whole_percent(value: float | Decimal | None) -> str:
    """Return a share from 0 to 100 as an attribute that no locale rewrites."""
    return str(max(0, min(100, round(float(value or 0)))))


@register.simple_tag
def sort_key(column: str, sort: str) -> str:
    """Return the `sort` value that the column's header links to: ascending first, then back."""
    return f"-{column}" if sort == column else column


def _spark_places(
    points: Sequence[int | float | Decimal | None],
) -> list[tuple[bool, float, float]]:
    """Places of the known points in the SPARK box; True starts a new piece of line."""
    known = [float(p) for p in points or () if p is not None]
    if len(known) < 2:
        return []
    low, high = min(known), max(known)
    step = SPARK_WIDTH / (len(points) - 1)
    places: list[tuple[bool, float, float]] = []
    gap = True
    for index, point in enumerate(points):
        if point is None:
            gap = True
            continue
        # A flat line runs through the middle instead of dividing by zero.
        share = (float(point) - low) / (high - low) if high > low else 0.5
        places.append((gap, round(index * step, 2), round(2 + (1 - share) * 24, 2)))
        gap = False
    return places
