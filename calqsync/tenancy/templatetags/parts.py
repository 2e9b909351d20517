"""What the shared parts in templates/parts/ need beyond plain includes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal
from functools import cache
from typing import Any

from django import template
from django.templatetags.static import static
from django.utils.html import conditional_escape, format_html, format_html_join
from django.utils.safestring import SafeString
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
    "deleting": ("warn", "clock", _("Deleting…")),
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


@register.simple_tag
@cache
def icon(name: str, icon_class: str = "") -> SafeString:
    """Draw an icon of img/icons.svg."""
    return format_html(
        '<svg class="icon{}" aria-hidden="true" focusable="false"><use href="{}#{}"/></svg>',
        f" {icon_class}" if icon_class else "",
        static("img/icons.svg"),
        name,
    )


@register.filter
def nav_links(items: Iterable[Any], link_class: str = "") -> SafeString:
    """Write links of the navigation: in a list with `link_class`, else one after the other."""
    form = '<a href="{}"{}>{}{}</a>'
    if link_class:
        form = f'<li><a class="{link_class}" href="{{}}"{{}}>{{}}{{}}</a></li>'
    current = format_html(' aria-current="{}"', "page")
    links = (
        (
            _of(one, "url"),
            current if _of(one, "active") else "",
            icon(_of(one, "icon")),
            _of(one, "label"),
        )
        for one in items
    )
    return format_html_join("\n", form, links)


@register.filter
def badge(code: str, text: str = "") -> SafeString:
    """Write a state as icon and word; an unknown one is shown by its own name."""
    unknown = ("mute", "circle", str(code).replace("_", " "))
    tone, sign, word = STATUSES.get(str(code), unknown)
    return format_html(
        '<span class="badge badge--{} badge--{}">{}{}</span>', tone, code, icon(sign), text or word
    )


@register.filter
def cell(value: Any) -> SafeString:
    """Write one table cell: a string, or an object with text and url, hint, badge or sub.

    Python and not an include: a page has hundreds of cells and an include costs 0.2 ms.
    """
    if isinstance(value, str):
        return conditional_escape(value)
    text, url, hint = _of(value, "text"), _of(value, "url"), _of(value, "hint")
    if state := _of(value, "badge"):
        body = badge(state, text)
    elif url and hint:
        body = format_html('<a href="{}" title="{}">{}</a>', url, hint, text)
    elif url:
        body = format_html('<a href="{}">{}</a>', url, text)
    elif hint:
        body = format_html('<span title="{}">{}</span>', hint, text)
    else:
        body = conditional_escape(text)
    if sub := _of(value, "sub"):
        return format_html('{}<span class="cell-sub">{}</span>', body, sub)
    return body


@register.filter
def beside(cells: Iterable[Any], columns: Sequence[Any]) -> list[tuple[Any, Any]]:
    """Pair the cells of a row with their columns."""
    return list(zip(cells, columns, strict=False))


def _of(value: Any, name: str) -> Any:
    found = value.get(name, "") if isinstance(value, dict) else getattr(value, name, "")
    return "" if found is None else found


@register.filter
def spark_line(points: Sequence[int | float | Decimal | None]) -> str:
    """Return the SVG path of a small line through the points, left to right, gaps skipped."""
    return " ".join(f"{'M' if first else 'L'}{x:g} {y:g}" for first, x, y in _spark_places(points))


@register.filter
def spark_area(points: Sequence[int | float | Decimal | None]) -> str:
    """Return the SVG path of the surface under each piece of spark_line."""
    pieces: list[list[tuple[float, float]]] = []
    for first, x, y in _spark_places(points):
        if first:
            pieces.append([])
        pieces[-1].append((x, y))
    return " ".join(
        f"M{piece[0][0]:g} {SPARK_HEIGHT} "
        + " ".join(f"L{x:g} {y:g}" for x, y in piece)
        + f" L{piece[-1][0]:g} {SPARK_HEIGHT} Z"
        for piece in pieces
        if len(piece) > 1
    )


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
