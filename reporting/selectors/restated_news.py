"""The newest restatements in a few lines, for the pages whose figures they changed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from django.db.models import QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy.models import Tenant
from reporting.models import Restatement
from reporting.selectors import frame
from reporting.selectors.frame import Words
from reporting.selectors.restatements import Teller, change_of, metric_names

# How long a restatement is news, and how many lines of it a page shows.
NEWS = timedelta(days=31)
LINES = 3
# Rows that are looked at for them, of each of the things that are told.
_LOOKED_AT = 60
# What pages tell of: of each, in one month, the first figure that changed.
MRR = ("mrr",)
REVENUE = ("revenue", "non_recurring", "recurring")
RECOGNISED = ("recognised", "deferred", "accrued")
CASH = ("balance", "burn", "financing")
About = Sequence[Sequence[str]]
_EVERYWHERE = {"account_added", "account_left_out", "settings", "documents_deleted"}


def news(
    *, tenant: Tenant, about: About, words: Words, now: datetime, aggregates_only: bool
) -> list[dict[str, str]]:
    """ "MRR of March 2026 was restated by −240.00 €: credit note 1187", and a way to the list.

    Months after each other that changed by the same amount for the same reason are one line.
    """
    rows = Restatement.objects.filter(at__gt=now - NEWS)
    return lines_of(Teller(tenant, words, aggregates_only), rows, about)


def lines_of(teller: Teller, rows: QuerySet[Restatement], about: About) -> list[dict[str, str]]:
    """These restatements, newest first, in a few lines that lead to the list."""
    metrics = [metric for told in about for metric in told]
    newest = rows.filter(metric__in=metrics).order_by("-at", "-month", "-pk")
    found = list(newest[: _LOOKED_AT * len(about)])
    runs = [run for told in about for run in _runs([r for r in found if r.metric in told], told)]
    runs.sort(key=lambda run: run[0].at, reverse=True)
    url = reverse("restatements", args=[teller.tenant.slug])
    lines = [
        {"text": _line(teller, run), "url": f"{url}?metric={run[0].metric}"} for run in runs[:LINES]
    ]
    if len(runs) > LINES:
        only = f"?metric={metrics[0]}" if len(metrics) == 1 else ""
        lines.append({"text": _("More months were restated lately."), "url": url + only})
    return lines


def _runs(rows: Sequence[Restatement], told: Sequence[str]) -> list[list[Restatement]]:
    """The first of these figures that changed in each month, in runs that tell the same."""
    first: dict[tuple[datetime, int], Restatement] = {}
    for row in sorted(rows, key=lambda row: told.index(row.metric)):
        first.setdefault((row.at, row.month), row)
    runs: list[list[Restatement]] = []
    for row in sorted(first.values(), key=lambda row: (row.at, row.month), reverse=True):
        if runs and _continues(runs[-1][-1], row):
            runs[-1].append(row)
        else:
            runs.append([row])
    return runs


def _continues(last: Restatement, row: Restatement) -> bool:
    """Whether `row` tells of the month before `last` what `last` tells."""
    if (row.at, row.metric, row.month) != (last.at, last.metric, last.month - 1):
        return False
    # What concerns every month tells more as one line than month by month.
    if {cause["code"] for cause in (*row.causes, *last.causes)} <= _EVERYWHERE:
        return True
    return row.causes == last.causes and change_of(row) == change_of(last)


def _line(teller: Teller, run: Sequence[Restatement]) -> str:
    last, first = run[0], run[-1]
    values = {
        "figure": metric_names()[last.metric],
        "by": teller.amount(last, change_of(last), signed=True),
        "why": teller.causes(last.causes),
        "last": teller.words.month(frame.month_text(last.month), long=True),
        "first": teller.words.month(frame.month_text(first.month), long=True),
    }
    if len({change_of(row) for row in run}) > 1:
        said = _("%(figure)s, %(first)s to %(last)s, was restated: %(why)s")
    elif len(run) > 1:
        said = _("%(figure)s, %(first)s to %(last)s, was restated by %(by)s each: %(why)s")
    else:
        said = _("%(figure)s of %(last)s was restated by %(by)s: %(why)s")
    return said % values
