"""What later documents and words changed in closed months: as a list, and one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.paginator import Page, Paginator
from django.db.models import F, QuerySet
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.audit.words import act_words
from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, Invoice
from reporting.domain.restated import BY_METRIC
from reporting.models import Edit, Restatement
from reporting.selectors import frame, listing, narrowing
from reporting.selectors.frame import Words
from reporting.selectors.listing import Listing


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
        "tolerated": _("Changes too small to count"),
        "customers": _("Customers"),
        "revenue": _("Revenue"),
        "recurring": _("Recurring revenue"),
        "non_recurring": _("One-off and usage revenue"),
        "recognised": _("Recognised revenue"),
        "deferred": _("Deferred revenue"),
        "accrued": _("Accrued revenue"),
        "balance": _("Closing balance"),
        "money_in": _("Money in"),
        "money_out": _("Money out"),
        "financing": _("Financing"),
        "own_transfers": _("Own transfers"),
        "unexplained": _("Not explained by statements"),
        "burn": _("Net burn"),
    }


def cause_name(code: str) -> str:
    """What kind of thing changed a closed month."""
    names = {
        "credit_note": _("credit note"),
        "late_invoice": _("added invoice"),
        "invoice_edited": _("edited invoice"),
        "invoice_removed": _("removed invoice"),
        "word": _("what you said"),
        "settings": _("settings"),
        "overdue": _("unpaid too long"),
        "paid": _("paid after all"),
        "grace_ended": _("no next invoice came"),
        "reread": _("read anew"),
        "account_added": _("account added"),
        "account_left_out": _("account left out"),
        "documents_deleted": _("deleted documents"),
        "rounding": _("rounding"),
        "event_added": _("added bank event"),
        "event_removed": _("removed bank event"),
        "event_edited": _("edited bank event"),
        "statement_added": _("added bank statement"),
        "statement_removed": _("removed bank statement"),
        "balance_stated": _("balance that the bank states"),
    }
    return names.get(code, code)


def upper_first(text: str) -> str:
    return text[:1].upper() + text[1:]


@dataclass(frozen=True, slots=True)
class Teller:
    """Writes causes and amounts; for readers of aggregates without documents."""

    tenant: Tenant
    words: Words
    aggregates_only: bool

    def amount(self, row: Restatement, value: int, *, signed: bool = False) -> str:
        """What the row's figure is measured in: money with its currency, or a number."""
        if BY_METRIC[row.metric].counts:
            return self.words.count(value, signed=signed)
        return self.words_of(row).money(value, cents=True, signed=signed)

    def words_of(self, row: Restatement) -> Words:
        """Words in the currency that the figure had; before it was written down, the company's."""
        return replace(self.words, currency=row.currency or self.words.currency)

    def cause(self, cause: Mapping[str, Any]) -> str:
        """ "credit note 1187", or "12 × edited invoice"."""
        name, params = cause_name(cause["code"]), cause["params"]
        if params.get("count"):
            return _("%(count)s × %(cause)s") % {
                "count": self.words.count(params["count"]),
                "cause": name,
            }
        return name if self.aggregates_only else f"{name} {self.document(params)}".strip()

    def kind(self, cause: Mapping[str, Any]) -> str:
        """ "Credit note", or "12 × edited invoice": the cause without its document."""
        if "count" in cause["params"]:
            return self.cause(cause)
        return upper_first(cause_name(cause["code"]))

    def document(self, params: Mapping[str, Any]) -> str:
        """How the document is called: an invoice by its number, the bank's by their days."""
        if "day" in params:
            return self.words.day(params["day"])
        if "start" in params:
            return f"{self.words.day(params['start'])} – {self.words.day(params['end'])}"
        return str(params.get("number", ""))

    def causes(self, causes: Sequence[Mapping[str, Any]], *, most: int = 3) -> str:
        """The first causes, and how many more there are; each kind once without its number."""
        told = list(dict.fromkeys(self.cause(cause) for cause in causes))
        if len(told) <= most:
            return ", ".join(told)
        rest = ngettext("%(n)d more", "%(n)d more", len(told) - most) % {"n": len(told) - most}
        return ", ".join([*told[:most], rest])


def change_of(row: Restatement) -> int:
    """By how much the figure changed, in its own unit."""
    return row.after_minor - row.before_minor


def restatements_list(
    *, tenant: Tenant, query: Mapping[str, str], aggregates_only: bool
) -> Listing:
    """Every restated figure that the address asks for, newest first."""
    words = frame.words_for(tenant)
    teller = Teller(tenant, words, aggregates_only)
    figures = [("", _("All")), *metric_names().items()]
    metric = narrowing.choice(query, "metric", _("Figure"), figures)
    month = narrowing.choice(query, "month", _("Month"), _months(words))
    rows = Restatement.objects.annotate(change=F("after_minor") - F("before_minor"))
    if metric.value:
        rows = rows.filter(metric=metric.value)
    if month.value:
        rows = rows.filter(month=frame.month_index(month.value))
    return Listing(
        caption=_("Restatements"),
        rows=rows,
        columns=_columns(teller),
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


def _columns(teller: Teller) -> list[listing.Column]:
    words, names = teller.words, metric_names()

    def amount(key: str, label: str, field: str, *, signed: bool = False) -> listing.Column:
        return listing.Column(
            key=key,
            label=label,
            value=lambda row: _file_amount(row, getattr(row, field), teller),
            cell=lambda row: listing.whole(teller.amount(row, getattr(row, field), signed=signed)),
            order=field,
            numeric=True,
        )

    return [
        listing.text(
            "month",
            _("Month"),
            lambda row: frame.month_text(row.month),
            order="month",
            cell=lambda row: listing.whole(words.month(frame.month_text(row.month))),
        ),
        listing.text(
            "metric",
            _("Figure"),
            lambda row: names[row.metric],
            cell=lambda row: listing.whole(names[row.metric]),
        ),
        amount("before", _("Before"), "before_minor"),
        amount("after", _("After"), "after_minor"),
        amount("change", _("Change"), "change", signed=True),
        listing.text(
            "currency",
            _("Currency"),
            lambda row: "" if BY_METRIC[row.metric].counts else teller.words_of(row).currency,
            on_page=False,
        ),
        listing.text(
            "why",
            _("Why"),
            lambda row: "; ".join(
                f"{teller.cause(cause)} {_file_amount(row, cause['amount_minor'], teller)}"
                for cause in row.causes
            ),
            cell=lambda row: upper_first(teller.causes(row.causes)),
        ),
        listing.text(
            "at",
            _("Restated"),
            lambda row: row.at,
            order="at",
            cell=lambda row: listing.whole(words.moment(row.at)),
        ),
    ]


def _file_amount(row: Restatement, value: int, teller: Teller) -> Any:
    if BY_METRIC[row.metric].counts:
        return value
    return listing.major(value, teller.words_of(row).currency)


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
    figure = metric_names()[restatement.metric]
    text = frame.month_text(restatement.month)
    return RestatementPage(
        title=_("%(figure)s of %(month)s, restated")
        % {"figure": figure, "month": words.month(text, long=True)},
        change=teller.amount(restatement, change_of(restatement), signed=True),
        lead=_("from %(before)s to %(after)s on %(day)s")
        % {
            "before": teller.amount(restatement, restatement.before_minor),
            "after": teller.amount(restatement, restatement.after_minor),
            "day": words.moment(restatement.at),
        },
        figure_url=frame.behind(tenant, restatement.metric, text),
        listing=_causes(teller, restatement, shown),
    )


def _causes(teller: Teller, restatement: Restatement, shown: Page[Any]) -> dict[str, Any]:
    """The causes on one page, with the sum of all; columns that say nothing are left out."""
    told = _Told.of(teller, list(shown.object_list))
    counts = BY_METRIC[restatement.metric].counts
    own = teller.words_of(restatement)

    def change(value: int) -> str:
        return (own.count if counts else own.amount)(value, signed=True)

    columns = [
        {"key": "cause", "label": _("Cause")},
        {"key": "document", "label": _("Document")},
        {"key": "who", "label": _("Who")},
        {"key": "amount", "label": _("Change"), "numeric": True},
    ]
    cells = [
        [
            teller.kind(cause),
            told.document(cause["params"]),
            told.who(cause["params"]),
            change(cause["amount_minor"]),
        ]
        for cause in shown.object_list
    ]
    used = [place for place in range(len(columns)) if any(row[place] for row in cells)]
    count = len(restatement.causes)
    return {
        "caption": _("What changed it"),
        "currency": "" if counts else own.currency,
        "columns": [columns[place] for place in used],
        "rows": [{"url": "", "cells": [row[place] for place in used]} for row in cells],
        "total": {
            "label": _("Sum"),
            "cells": [*[""] * (len(used) - 2), change(change_of(restatement))],
        },
        "count_text": ngettext("%d cause", "%d causes", count) % count,
        "page": shown,
        "empty": {"title": _("Nothing changed it"), "text": ""},
    }


@dataclass(frozen=True, slots=True)
class _Told:
    """Documents and people of causes, read at once; deleted ones are told by number or day."""

    teller: Teller
    invoices: Mapping[str, Invoice]
    events: Mapping[str, BankEvent]
    edits: Mapping[str, Edit]

    @classmethod
    def of(cls, teller: Teller, causes: Sequence[Mapping[str, Any]]) -> _Told:
        def found(name: str, rows: QuerySet[Any]) -> dict[str, Any]:
            ids = {cause["params"][name] for cause in causes if name in cause["params"]}
            return {str(row.public_id): row for row in rows.filter(public_id__in=ids) if ids}

        return cls(
            teller,
            invoices=found("invoice", Invoice.objects.select_related("customer")),
            events=found("event", BankEvent.objects.all()),
            edits=found("edit", Edit.objects.select_related("by")),
        )

    def document(self, params: Mapping[str, Any]) -> Any:
        called = self.teller.document(params)
        if "account" in params:
            return {"text": called, "sub": params["account"]}
        if event := self.events.get(params.get("event", "")):
            sub = " · ".join(one for one in (event.counterparty, event.message, event.iban) if one)
            return {"text": called, "sub": sub}
        invoice = self.invoices.get(params.get("invoice", ""))
        if invoice is None:
            return called
        url = reverse("invoice", args=[self.teller.tenant.slug, invoice.public_id])
        customer = invoice.customer.name if invoice.customer else invoice.customer_name
        return {"text": str(invoice), "url": url, "sub": customer}

    def who(self, params: Mapping[str, Any]) -> Any:
        edit = self.edits.get(params.get("edit", ""))
        if edit is None:
            return ""
        who = str(edit.by) if edit.by else _("A former member")
        return {"text": who, "sub": act_words(edit.act)}
