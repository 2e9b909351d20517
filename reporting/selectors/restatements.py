"""What later documents and words changed in closed months: in a line, as a list, one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.core.paginator import Paginator
from django.db.models import F
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.audit.words import act_words
from calqsync.tenancy.models import Tenant
from integrations.models import Invoice
from reporting.models import Edit, Restatement
from reporting.selectors import frame, listing, narrowing
from reporting.selectors.frame import Words
from reporting.selectors.listing import Listing

# How long a restatement is news, and how many lines of it a page shows.
NEWS = timedelta(days=31)
LINES = 3
COUNTS = {"customers"}
_EVERYWHERE = {"account_added", "account_left_out", "settings", "documents_deleted"}


def metric_names() -> dict[str, str]:
    return {
        "mrr": _("MRR"),
        "new": _("New"),
        "expansion": _("Expansion"),
        "contraction": _("Contraction"),
        "churn": _("Churn"),
        "reactivation": _("Reactivation"),
        "paused": _("Paused"),
        "fx": _("FX"),
        "customers": _("Customers"),
        "recurring": _("Recurring revenue"),
    }


def cause_name(code: str) -> str:
    """What kind of thing changed a closed month."""
    names = {
        "credit_note": _("credit note"),
        "late_invoice": _("invoice that came later"),
        "invoice_edited": _("edited invoice"),
        "invoice_removed": _("removed invoice"),
        "word": _("what you said"),
        "settings": _("settings"),
        "overdue": _("unpaid too long"),
        "grace_ended": _("no next invoice came"),
        "reread": _("read anew"),
        "account_added": _("account added"),
        "account_left_out": _("account left out"),
        "documents_deleted": _("deleted documents"),
        "rounding": _("rounding"),
    }
    return names.get(code, code)


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes causes and amounts; for readers of aggregates without documents."""

    tenant: Tenant
    words: Words
    aggregates_only: bool

    def amount(self, metric: str, minor: int, *, signed: bool = False) -> str:
        if metric in COUNTS:
            return self.words.count(minor, signed=signed)
        return self.words.amount(minor, signed=signed)

    def cause(self, cause: Mapping[str, Any]) -> str:
        """ "credit note 1187", or "12 × edited invoice"."""
        name, params = cause_name(cause["code"]), cause["params"]
        if params.get("count"):
            return _("%(count)s × %(cause)s") % {
                "count": self.words.count(params["count"]),
                "cause": name,
            }
        number = "" if self.aggregates_only else params.get("number", "")
        return f"{name} {number}".strip()

    def causes(self, causes: Sequence[Mapping[str, Any]], *, most: int = 3) -> str:
        """The first causes, and how many more there are; each kind once without its number."""
        told = list(dict.fromkeys(self.cause(cause) for cause in causes))
        if len(told) <= most:
            return ", ".join(told)
        rest = ngettext("%(n)d more", "%(n)d more", len(told) - most) % {"n": len(told) - most}
        return ", ".join([*told[:most], rest])


def news(
    *, tenant: Tenant, words: Words, now: datetime, aggregates_only: bool
) -> list[dict[str, str]]:
    """ "March 2026 was restated by −240.00 €: credit note 1187", newest first, with the list.

    Months after each other that changed by the same amount for the same reason are one line.
    """
    rows = list(
        Restatement.objects.filter(metric="mrr", at__gt=now - NEWS).order_by("-at", "-month")[:60]
    )
    return lines_of(Teller(tenant, words, aggregates_only), rows)


def lines_of(teller: Teller, rows: Sequence[Restatement]) -> list[dict[str, str]]:
    """These restatements of MRR, newest first, in a few lines that lead to the list."""
    url = reverse("restatements", args=[teller.tenant.slug])
    runs: list[list[Restatement]] = []
    for row in rows:
        if runs and _continues(runs[-1][-1], row):
            runs[-1].append(row)
        else:
            runs.append([row])
    lines = [{"text": _line(teller, run), "url": f"{url}?metric=mrr"} for run in runs[:LINES]]
    if len(runs) > LINES:
        more = _("More months were restated lately.")
        lines.append({"text": more, "url": f"{url}?metric=mrr"})
    return lines


def _continues(last: Restatement, row: Restatement) -> bool:
    """Whether `row` tells of the month before `last` what `last` tells."""
    if row.at != last.at or row.month != last.month - 1:
        return False
    # What concerns every month tells more as one line than month by month.
    if {cause["code"] for cause in (*row.causes, *last.causes)} <= _EVERYWHERE:
        return True
    return row.causes == last.causes and _by(row) == _by(last)


def _by(row: Restatement) -> int:
    return row.after_minor - row.before_minor


def _line(teller: Teller, run: Sequence[Restatement]) -> str:
    last, first = run[0], run[-1]
    values = {
        "by": teller.words.money(_by(last), cents=True, signed=True),
        "why": teller.causes(last.causes),
        "last": teller.words.month(frame.month_text(last.month), long=True),
        "first": teller.words.month(frame.month_text(first.month), long=True),
    }
    if len({_by(row) for row in run}) > 1:
        return _("%(first)s to %(last)s were restated: %(why)s") % values
    if len(run) > 1:
        return _("%(first)s to %(last)s were restated by %(by)s each: %(why)s") % values
    return _("%(last)s was restated by %(by)s: %(why)s") % values


def restatements_list(
    *, tenant: Tenant, query: Mapping[str, str], aggregates_only: bool
) -> Listing:
    """Every restated figure that the address asks for, newest first."""
    words = frame.words_for(tenant)
    teller = Teller(tenant, words, aggregates_only)
    names = metric_names()
    metric = narrowing.choice(query, "metric", _("Figure"), [("", _("All")), *names.items()])
    month = narrowing.choice(query, "month", _("Month"), _months(words))
    rows = Restatement.objects.annotate(change=F("after_minor") - F("before_minor"))
    if metric.value:
        rows = rows.filter(metric=metric.value)
    if month.value:
        rows = rows.filter(month=frame.month_index(month.value))

    def amount(key: str, label: str, field: str, *, signed: bool = False) -> listing.Column:
        return listing.Column(
            key=key,
            label=label,
            value=lambda row: _file_amount(row.metric, getattr(row, field), words),
            cell=lambda row: teller.amount(row.metric, getattr(row, field), signed=signed),
            order=field,
            numeric=True,
        )

    columns = [
        listing.text(
            "month",
            _("Month"),
            lambda row: frame.month_text(row.month),
            order="month",
            cell=lambda row: words.month(frame.month_text(row.month)),
        ),
        listing.text("metric", _("Figure"), lambda row: names.get(row.metric, row.metric)),
        amount("before", _("Before"), "before_minor"),
        amount("after", _("After"), "after_minor"),
        amount("change", _("Change"), "change", signed=True),
        listing.text(
            "why",
            _("Why"),
            lambda row: "; ".join(
                f"{teller.cause(cause)} {_file_amount(row.metric, cause['amount_minor'], words)}"
                for cause in row.causes
            ),
            cell=lambda row: teller.causes(row.causes),
        ),
        listing.text(
            "at",
            _("Restated"),
            lambda row: row.at,
            order="at",
            cell=lambda row: words.moment(row.at),
        ),
    ]
    return Listing(
        caption=_("Restatements"),
        rows=rows,
        columns=columns,
        default_sort="-at",
        query=query,
        words=words,
        counted=lambda n: ngettext("%d restated figure", "%d restated figures", n) % n,
        url=lambda row: (
            "" if aggregates_only else reverse("restatement", args=[tenant.slug, row.public_id])
        ),
        nothing={
            "icon": "check",
            "title": _("No closed month has changed"),
            "text": _(
                "A credit note, a late invoice or a word of yours that changes a month after its"
                " end is written down here, with what it changed."
            ),
        },
        filters=narrowing.given(month.control, metric.control),
    )


def _file_amount(metric: str, minor: int, words: Words) -> Any:
    return minor if metric in COUNTS else listing.major(minor, words.currency)


def _months(words: Words) -> list[tuple[str, str]]:
    found = Restatement.objects.order_by("-month").values_list("month", flat=True).distinct()
    texts = [frame.month_text(month) for month in found]
    return [("", _("All")), *((text, words.month(text)) for text in texts)]


@dataclass(frozen=True, slots=True)
class RestatementPage:
    title: str
    change: str
    lead: str
    figure_url: str
    """The documents behind the figure as it is now."""
    listing: dict[str, Any]


def restatement_page(
    *, tenant: Tenant, restatement: Restatement, page: str | None
) -> RestatementPage:
    """What changed one figure: a row for each cause, adding up to the change."""
    words = frame.words_for(tenant)
    teller = Teller(tenant, words, aggregates_only=False)
    shown = Paginator(restatement.causes, listing.PAGE).get_page(page)
    told = _Told.of(tenant, list(shown.object_list))
    name = metric_names().get(restatement.metric, restatement.metric)
    text = frame.month_text(restatement.month)

    def amount(minor: int, *, signed: bool = False) -> str:
        return teller.amount(restatement.metric, minor, signed=signed)

    rows = [
        {
            "url": "",
            "cells": [
                teller.cause(cause).capitalize(),
                *told.cells(cause),
                amount(cause["amount_minor"], signed=True),
            ],
        }
        for cause in shown.object_list
    ]
    change = amount(_by(restatement), signed=True)
    count = len(restatement.causes)
    return RestatementPage(
        title=_("%(figure)s of %(month)s, restated")
        % {"figure": name, "month": words.month(text, long=True)},
        change=change,
        lead=_("from %(before)s to %(after)s on %(day)s")
        % {
            "before": amount(restatement.before_minor),
            "after": amount(restatement.after_minor),
            "day": words.moment(restatement.at),
        },
        figure_url=frame.behind(tenant, restatement.metric, text),
        listing={
            "caption": _("What changed it"),
            "currency": "" if restatement.metric in COUNTS else words.currency,
            "columns": [
                {"key": "cause", "label": _("Cause")},
                {"key": "document", "label": _("Document")},
                {"key": "who", "label": _("Who")},
                {"key": "amount", "label": _("Change"), "numeric": True},
            ],
            "rows": rows,
            "total": {"label": _("Sum"), "cells": ["", "", change]},
            "count_text": ngettext("%d cause", "%d causes", count) % count,
            "page": shown,
            "empty": {"title": _("Nothing changed it"), "text": ""},
        },
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """Documents and people of causes, read at once; deleted ones are told by number."""

    tenant: Tenant
    invoices: Mapping[str, Invoice]
    edits: Mapping[str, Edit]

    @classmethod
    def of(cls, tenant: Tenant, causes: Sequence[Mapping[str, Any]]) -> _Told:
        def ids(name: str) -> set[str]:
            return {cause["params"][name] for cause in causes if name in cause["params"]}

        invoices = Invoice.objects.filter(public_id__in=ids("invoice")).select_related("customer")
        edits = Edit.objects.filter(public_id__in=ids("edit")).select_related("by")
        return cls(
            tenant,
            {str(one.public_id): one for one in invoices},
            {str(one.public_id): one for one in edits},
        )

    def cells(self, cause: Mapping[str, Any]) -> list[Any]:
        return [self._document(cause["params"]), self._who(cause["params"])]

    def _document(self, params: Mapping[str, Any]) -> Any:
        invoice = self.invoices.get(params.get("invoice", ""))
        if invoice is None:
            return params.get("number", "")
        url = reverse("invoice", args=[self.tenant.slug, invoice.public_id])
        customer = invoice.customer.name if invoice.customer else invoice.customer_name
        return {"text": str(invoice), "url": url, "sub": customer}

    def _who(self, params: Mapping[str, Any]) -> Any:
        edit = self.edits.get(params.get("edit", ""))
        if edit is None:
            return ""
        who = str(edit.by) if edit.by else _("A former member")
        return {"text": who, "sub": act_words(edit.act)}
