"""MRR by month with what moved it, as a chart and the same numbers in a table."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from reporting.selectors.months import Months, Row

# Field of a month and colour kind, in the order in which they are read and drawn.
GAINS = ("new", "reactivation", "expansion")
LOSSES = ("contraction", "churn")


def movement_names() -> dict[str, str]:
    return {
        "new": _("New"),
        "reactivation": _("Reactivation"),
        "expansion": _("Expansion"),
        "contraction": _("Contraction"),
        "churn": _("Churn"),
        "paused": _("Paused"),
        "fx": _("FX"),
        "mrr": _("MRR"),
        "net": _("Net new"),
    }


def net_new(month: Any) -> int:
    """new + expansion + reactivation − contraction − churn, without FX."""
    gained = sum(month[f"{name}_minor"] for name in GAINS)
    return int(gained - sum(month[f"{name}_minor"] for name in LOSSES))


def movement_rows() -> list[Row]:
    """From what stood at the start to what stands at the end; losses with their sign."""
    names = movement_names()
    moved = [
        Row(
            label=names[name],
            field=f"{name}_minor",
            kind="contraction" if name == "paused" else name,
            figure=name,
            sign=-1 if name in {*LOSSES, "paused"} else 1,
            # Pauses stand outside churn only where the company wants them so.
            optional=name in {"paused", "fx"},
        )
        for name in (*GAINS, *LOSSES, "paused", "fx")
    ]
    return [
        Row(label=_("MRR at the start"), field="start_minor", figure="mrr", back=1, sub=True),
        *moved,
        Row(
            label=_("Changes too small to count"),
            field="tolerated_minor",
            figure="tolerated",
            optional=True,
        ),
        Row(
            label=_("MRR at the end"),
            field="mrr_minor",
            figure="mrr",
            total=True,
            compared=True,
        ),
    ]


def movements_chart(months: Months, *, title: str = "", note: str = "") -> dict[str, Any]:
    """MRR with what moved it, as a chart with the same numbers in a table."""
    names = movement_names()
    rows = movement_rows()
    first, last = months.rows[0], months.rows[-1]
    mrr = Row(label=names["mrr"], field="mrr_minor", kind="mrr", line=True, axis="right")
    net = Row(label=names["net"], field=net_new, kind="other", line=True, hidden=True)
    return months.chart(
        id="movements",
        type="movements",
        title=title or _("What moved recurring revenue"),
        summary=_("MRR went from %(first)s at the start of %(from)s to %(last)s in %(to)s.")
        % {
            "first": months.words.money(rows[0].value(first)),
            "from": months.heading(first),
            "last": months.words.money(rows[-1].value(last)),
            "to": months.heading(last),
        },
        note=note,
        height="l",
        rows=[*(row for row in rows if row.kind), mrr, net],
        data_axis_left=_("Movements"),
        data_axis_right=names["mrr"],
        table_shown=True,
        table=months.table(
            id="movements-table",
            caption=_("MRR and its movements"),
            what=_("Movement"),
            rows=rows,
            note=_("FX is what exchange rates alone moved.")
            if any(month.get("fx_minor") for month in months.rows)
            else "",
        ),
    )
