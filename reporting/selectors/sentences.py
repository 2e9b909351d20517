"""Why a month's MRR differs from the month before, in one sentence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import connection as database
from django.db.models import F, Sum
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import scope
from reporting.domain.movements import Movement
from reporting.models import Restatement
from reporting.selectors import frame
from reporting.selectors.frame import Words
from reporting.selectors.movements import GAINS, LOSSES, movement_names

# How many customers of each movement are named.
NAMED = 3
_COUNTS = {
    "new": "new_customers",
    "reactivation": "reactivated_customers",
    "expansion": "expanded_customers",
    "contraction": "contracted_customers",
    "churn": "churned_customers",
    "paused": "paused_customers",
}
_KINDS = {
    Movement.NEW: "new",
    Movement.REACTIVATION: "reactivation",
    Movement.EXPANSION: "expansion",
    Movement.CONTRACTION: "contraction",
    Movement.CHURN: "churn",
    Movement.PAUSE: "paused",
}
Movers = Mapping[tuple[str, str], Sequence[str]]
"""Names of the customers who moved most, by month and movement."""

_MOVERS = """
    SELECT month, kind, name FROM (
        SELECT m.month, f.moves[m.month - f.first_month + 1] AS kind, c.name,
            row_number() OVER (
                PARTITION BY m.month, f.moves[m.month - f.first_month + 1]
                ORDER BY abs(
                    f.mrr_e4[m.month - f.first_month + 1]
                    - coalesce(f.mrr_e4[m.month - f.first_month], 0)
                    - coalesce(f.fx_e4[m.month - f.first_month + 1], 0)
                ) DESC, f.id
            ) AS place
        FROM unnest(%(months)s::int[]) AS m (month)
        JOIN reporting_customerfigure f
            ON f.tenant_id = %(tenant)s AND f.moves[m.month - f.first_month + 1] = ANY(%(kinds)s)
        JOIN integrations_customer c ON c.tenant_id = %(tenant)s AND c.id = f.customer_id
    ) moved
    WHERE place <= %(most)s ORDER BY month, kind, place
"""


def movers(months: Sequence[str]) -> Movers:
    """The customers who moved most in each of these months, largest first."""
    asked: dict[str, Any] = {
        "tenant": scope.required(),
        "months": [frame.month_index(month) for month in months],
        "kinds": [int(kind) for kind in _KINDS],
        "most": NAMED,
    }
    found: dict[tuple[str, str], list[str]] = {}
    with database.cursor() as cursor:
        cursor.execute(_MOVERS, asked)
        for month, kind, name in cursor.fetchall():
            found.setdefault((frame.month_text(month), _KINDS[Movement(kind)]), []).append(name)
    return found


def restated_by(months: Sequence[str]) -> Mapping[str, int]:
    """By how much the MRR of each month was restated in all, in minor units."""
    asked = [frame.month_index(month) for month in months]
    rows = (
        Restatement.objects.filter(metric="mrr", month__in=asked)
        # Another account's books are no change of what was known of the first one's.
        .exclude(causes__0__code="account_added")
        .values("month")
        .annotate(by=Sum(F("after_minor") - F("before_minor")))
        .values_list("month", "by")
    )
    return {frame.month_text(month): int(by) for month, by in rows}


def why(
    months: Sequence[Any],
    month: str,
    words: Words,
    *,
    named: Movers | None = None,
    restated: Mapping[str, int] | None = None,
) -> str:
    """ "MRR rose by €900 to €9,400: +€1,200 new: Kuusi Data, Aalto Oy; −€300 churn: Berg Oy."

    Without `named` the customers are counted. `restated` is how much of it came after the
    month was closed.
    """
    row: Mapping[str, Any] = next(one for one in months if one["month"] == month)
    names, parts = movement_names(), []
    moves = [*((name, 1) for name in GAINS), *((name, -1) for name in (*LOSSES, "paused"))]
    for name, sign in moves:
        minor = (row.get(f"{name}_minor") or 0) * sign
        if minor:
            who = _who(row, name, words, named)
            called = _("Resumed") if name == "paused" and minor > 0 else names[name]
            parts.append(f"{words.money(minor, signed=True)} {called.lower()}{who}")
    if row["fx_minor"]:
        parts.append(f"{words.money(row['fx_minor'], signed=True)} {names['fx']}")
    if small := row.get("tolerated_minor"):
        by_small = _("%(by)s changes too small to count")
        parts.append(by_small % {"by": words.money(small, signed=True)})
    by = (restated or {}).get(month, 0)
    text = _changed(row, parts, words)
    if by:
        text += " " + _("Restated by %(by)s since its end.") % {
            "by": words.money(by, cents=True, signed=True)
        }
    return text


def _who(row: Mapping[str, Any], name: str, words: Words, named: Movers | None) -> str:
    """ ": Kuusi Data, Aalto Oy and 3 more", or how many there are."""
    count = abs(int(row.get(_COUNTS[name]) or 0))
    if named is None:
        who = ngettext("%(n)s customer", "%(n)s customers", count) % {"n": words.count(count)}
        return f" ({who})"
    told = list(named.get((row["month"], name), ()))
    if not told:
        return ""
    text = ", ".join(told)
    if count > len(told):
        text = _("%(names)s and %(n)s more") % {
            "names": text,
            "n": words.count(count - len(told)),
        }
    return f": {text}"


def _changed(row: Mapping[str, Any], parts: Sequence[str], words: Words) -> str:
    change = row["mrr_minor"] - row["start_minor"]
    values = {
        "by": words.money(abs(change)),
        "to": words.money(row["mrr_minor"]),
        "parts": "; ".join(parts),
    }
    if not parts:
        return _("MRR stayed at %(to)s: nothing moved it.") % values
    if not change:
        return _("MRR stayed at %(to)s: %(parts)s.") % values
    if change > 0:
        return _("MRR rose by %(by)s to %(to)s: %(parts)s.") % values
    return _("MRR fell by %(by)s to %(to)s: %(parts)s.") % values
