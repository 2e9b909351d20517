"""MRR by month with what moved it, as a chart and the same numbers in a table."""

from __future__ import annotations

from typing import Any

from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.body import Month
from reporting.selectors import frame
from reporting.selectors.frame import Words, behind

# Field of a month, colour kind, name; in the order in which they are read and drawn.
GAINS = (("new", "new"), ("reactivation", "reactivation"), ("expansion", "expansion"))
LOSSES = (("contraction", "contraction"), ("churn", "churn"))


def movement_names() -> dict[str, str]:
    return {
        "new": _("New"),
        "reactivation": _("Reactivation"),
        "expansion": _("Expansion"),
        "contraction": _("Contraction"),
        "churn": _("Churn"),
        "fx": _("FX"),
        "mrr": _("MRR"),
        "net": _("Net new"),
    }


def net_new(month: Month) -> int:
    """new + expansion + reactivation − contraction − churn, without FX."""
    return (
        month["new_minor"]
        + month["expansion_minor"]
        + month["reactivation_minor"]
        - month["contraction_minor"]
        - month["churn_minor"]
    )


def movements_chart(
    tenant: Tenant, rows: list[Month], words: Words, *, table_shown: bool
) -> dict[str, Any]:
    """MRR by month with what moved it, as a chart with the same numbers in a table."""
    names = movement_names()
    incomplete = [i for i, month in enumerate(rows) if not month["complete"]]
    with_fx = any(month["fx_minor"] for month in rows)
    kinds = [*GAINS, *LOSSES, *((("fx", "fx"),) if with_fx else ())]
    series: list[dict[str, Any]] = [
        {
            "kind": kind,
            "label": names[kind],
            "values": [month[f"{field}_minor"] for month in rows],  # type: ignore[literal-required]
            "as": "bar",
        }
        for field, kind in kinds
    ]
    series.append(
        {
            "kind": "mrr",
            "label": names["mrr"],
            "values": [month["mrr_minor"] for month in rows],
            "as": "line",
            "axis": "right",
        }
    )
    series.append(
        {
            "kind": "other",
            "label": names["net"],
            "values": [net_new(month) for month in rows],
            "as": "line",
            "hidden": True,
        }
    )
    first, last = rows[0], rows[-1]
    return {
        "id": "movements",
        "type": "movements",
        "title": _("What moved recurring revenue"),
        "summary": _("MRR went from %(first)s in %(from)s to %(last)s in %(to)s.")
        % {
            "first": words.money(first["start_minor"]),
            "from": words.month(first["month"]),
            "last": words.money(last["mrr_minor"]),
            "to": words.month(last["month"]),
        },
        "height": "l",
        "data": {
            "labels": [words.month(month["month"]) for month in rows],
            "series": series,
            "incomplete": incomplete,
            "incomplete_word": _("so far"),
            "axis_left": _("Movements"),
            "axis_right": names["mrr"],
            "format": {"style": "money", "currency": words.currency},
        },
        "table_shown": table_shown,
        "table": _movements_table(tenant, rows, words, kinds, names),
    }


def _movements_table(
    tenant: Tenant,
    rows: list[Month],
    words: Words,
    kinds: list[tuple[str, str]],
    names: dict[str, str],
) -> dict[str, Any]:
    def cells(
        field: str, figure: str | None, *, sign: int = 1, months_back: int = 0
    ) -> list[dict[str, Any]]:
        made = []
        for month in rows:
            value: int = month[field] * sign  # type: ignore[literal-required]
            of = frame.month_text(frame.month_index(month["month"]) - months_back)
            url = behind(tenant, figure, of) if figure and value else ""
            made.append(
                {"text": words.amount(value), "url": url, "incomplete": not month["complete"]}
            )
        return made

    losses = {field for field, _kind in LOSSES}
    table = [
        {
            "label": _("MRR at the start"),
            "cells": cells("start_minor", "mrr", months_back=1),
            "sub": True,
        }
    ]
    table += [
        {
            "label": names[kind],
            "kind": kind,
            "cells": cells(f"{field}_minor", field, sign=-1 if field in losses else 1),
        }
        for field, kind in kinds
    ]
    if any(month["tolerated_minor"] for month in rows):
        table.append(
            {"label": _("Changes too small to count"), "cells": cells("tolerated_minor", None)}
        )
    table.append(
        {"label": _("MRR at month end"), "cells": cells("mrr_minor", "mrr"), "total": True}
    )
    head: list[Any] = [_("Movement")]
    head += [
        {"label": words.month(month["month"]), "incomplete": not month["complete"]}
        for month in rows
    ]
    return {
        "id": "movements-table",
        "caption": _("MRR and its movements by month"),
        "currency": words.currency,
        "months": True,
        "head": head,
        "rows": table,
    }
