"""Revenue recognition: earned, deferred and accrued by month; deferred by customer and invoice."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Unpack, cast

from django.db.models import F, Q
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from reporting import parts
from reporting.models import CustomerFigure, InvoiceFigure
from reporting.parts import RecognisedMonth, Recognition
from reporting.selectors import figures, frame, listing, narrowing
from reporting.selectors.figures import Asked, FiguresPage, Reading
from reporting.selectors.frame import Period
from reporting.selectors.listing import Listing
from reporting.selectors.month_tiles import Tiles
from reporting.selectors.months import Months, Row


def method_names() -> dict[str, str]:
    return {
        "monthly": _("Equal parts a month"),
        "daily": _("By the day"),
    }


def _method_words() -> dict[str, str]:
    return {
        "monthly": _(
            "A line is earned in equal parts on the last day of each month of its period, as in"
            " Calqulate."
        ),
        "daily": _("A line is earned day by day: its amount × days in the month ÷ days in all."),
    }


def recognition_page(**asked: Unpack[Asked]) -> FiguresPage:
    """The page of the tenant in scope; `aggregates_only` for readers who may see no more."""
    read = figures.reading(**asked, parts=[parts.RECOGNITION])
    title = _("Revenue recognition")
    lead = _("What was earned of what was invoiced, without VAT, and what is still to be earned.")
    if not read.months:
        return read.page(title=title, lead=lead)
    shown = read.period()
    if parts.RECOGNITION not in read.parts:
        return read.page(title=title, lead=lead, period=shown, sections=[figures.waiting(title)])
    found = cast(Recognition, read.parts[parts.RECOGNITION])
    first = "daily" if read.settings.recognition == "daily" else "monthly"
    other = "monthly" if first == "daily" else "daily"
    return read.page(
        title=title,
        lead=lead,
        period=shown,
        tiles=_tiles(read, shown, found[first]),  # type: ignore[literal-required]
        sections=[
            *_method(read, shown, found, first, chosen=True),
            *_method(read, shown, found, other, chosen=False),
            _lists(read),
        ],
    )


def _rows(*, linked: bool) -> list[Row]:
    def row(label: str, name: str, **more: Any) -> Row:
        return Row(label=label, field=f"{name}_minor", figure=name if linked else "", **more)

    return [
        row(_("Invoiced"), "invoiced", kind="other"),
        row(_("Recognised"), "recognised", kind="revenue", compared=True),
        row(_("Deferred at the end"), "deferred", kind="mrr", total=True),
        row(_("Accrued at the end"), "accrued", kind="fx", total=True),
    ]


def _tiles(read: Reading, shown: Period, months: Sequence[RecognisedMonth]) -> list[dict[str, Any]]:
    made = Tiles(words=read.words, months=months, compare=shown.comparison)
    if not made.complete:
        return []
    _invoiced, recognised, deferred, accrued = _rows(linked=False)
    at = "#recognition-table-caption"
    return [
        made.tile(
            "recognised",
            recognised,
            url=at,
            definition=_("The part of all invoices that was earned in the month."),
        ),
        made.tile(
            "deferred",
            deferred,
            name=_("Deferred revenue"),
            url=at,
            definition=_("Invoiced, and still to be earned by service after the month's end."),
            formula=_("invoiced so far − recognised so far, line by line"),
        ),
        made.tile(
            "accrued",
            accrued,
            name=_("Accrued revenue"),
            url=at,
            good=False,
            definition=_("Earned by the month's end, and not yet invoiced."),
        ),
    ]


def _method(
    read: Reading, shown: Period, found: Recognition, name: str, *, chosen: bool
) -> list[dict[str, Any]]:
    rows = cast(Sequence[RecognisedMonth], found[name])  # type: ignore[literal-required]
    months = read.months_of(rows, shown)
    if not months.rows:
        return []
    id, title = ("recognition" if chosen else "recognition-other"), method_names()[name]
    drawn = _rows(linked=chosen)
    table = months.table(
        id=f"{id}-table",
        caption=_("Recognition by month: %(method)s") % {"method": title.lower()},
        what=_("Revenue"),
        rows=[*drawn, _remainder(rows)],
        note=_("Invoiced − recognised − change of deferred + change of accrued = 0."),
    )
    if not chosen:
        note = _("Your choice under Settings, Figures says which method comes first.")
        return [
            {
                "title": _("The other method: %(method)s") % {"method": title.lower()},
                "text": f"{_method_words()[name]} {note}",
                "table": table,
            }
        ]
    return [
        {
            "chart": _chart(months, id, title, _method_words()[name], table, drawn),
        }
    ]


def _remainder(rows: Sequence[RecognisedMonth]) -> Row:
    """What does not add up from one month's end to the next; always zero, and shown where not."""
    before = {row["month"]: rows[place - 1] for place, row in enumerate(rows) if place}

    def left(month: Any) -> int:
        earlier = before.get(month["month"])
        if earlier is None:
            return 0
        owed = month["deferred_minor"] - month["accrued_minor"]
        owed_before = earlier["deferred_minor"] - earlier["accrued_minor"]
        return int(month["invoiced_minor"] - month["recognised_minor"] - owed + owed_before)

    return Row(label=_("Does not add up by"), field=left, optional=True)


def _chart(
    months: Months, id: str, title: str, note: str, table: dict[str, Any], rows: Sequence[Row]
) -> dict[str, Any]:
    owed = Row(label=_("Deferred"), field="deferred_minor", kind="mrr", line=True)
    return months.chart(
        id=id,
        type="bars",
        title=_("Recognised and deferred: %(method)s") % {"method": title.lower()},
        summary=_("Recognised revenue by month, and what is deferred at each month's end."),
        note=note,
        height="l",
        rows=[rows[1], owed],
        table_shown=True,
        table=table,
    )


def _lists(read: Reading) -> dict[str, Any]:
    """The way to what is deferred today, one by one; nothing for who sees no names."""
    if read.aggregates_only or read.found is None:
        return {}
    slug, day = read.tenant.slug, read.words.day(read.found.body["as_of"])
    return {
        "title": _("Deferred, one by one"),
        "text": _("As of %(day)s, by your method; both lists add up to the same sum.")
        % {"day": day},
        "links": [
            {"label": _("By customer"), "url": reverse("deferred_customers", args=[slug])},
            {"label": _("By invoice"), "url": reverse("deferred_invoices", args=[slug])},
        ],
    }


def deferred_customers(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """Customers who have paid or owe for service still to come, on the report's day."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words, "customer__connection")
    rows = CustomerFigure.objects.select_related("customer__connection").filter(
        ~Q(deferred_minor=0), accounts.where
    )
    if word := narrowing.searched(query):
        rows = rows.filter(
            Q(customer__name__icontains=word) | Q(customer__business_id__icontains=word)
        )
    return _listing(
        tenant,
        query,
        words,
        accounts,
        rows,
        caption=_("Deferred revenue by customer"),
        counted=lambda n: ngettext("%d customer", "%d customers", n) % n,
        url=lambda row: reverse("customer", args=[tenant.slug, row.customer.public_id]),
        columns=[
            listing.text(
                "name",
                _("Customer"),
                lambda row: row.customer.name,
                order="customer__sort_key",
                cell=narrowing.under(
                    accounts,
                    lambda row: {"text": row.customer.name, "sub": row.customer.business_id},
                ),
            ),
            *narrowing.account_column(accounts),
            listing.money(
                "invoiced",
                _("Invoiced"),
                words,
                lambda row: row.invoiced_minor,
                order="invoiced_minor",
            ),
        ],
    )


def deferred_invoices(*, tenant: Tenant, query: Mapping[str, str]) -> Listing:
    """Invoices of which a part is still to be earned, on the report's day."""
    words = frame.words_for(tenant)
    accounts = narrowing.accounts(query, words, "invoice__connection")
    customer = narrowing.one_customer(query)
    rows: Any = InvoiceFigure.objects.select_related(
        "invoice__customer", "invoice__connection"
    ).filter(~Q(deferred_minor=0), accounts.where)
    rows = rows.annotate(billed_minor=F("invoice__net_acc_minor"))
    if customer.pk is not None:
        rows = rows.filter(invoice__customer=customer.pk)
    if word := narrowing.searched(query):
        rows = rows.filter(narrowing.of_invoice(word))

    def name_of(row: Any) -> str:
        invoice = row.invoice
        return str(invoice.customer.name if invoice.customer else invoice.customer_name)

    return _listing(
        tenant,
        query,
        words,
        accounts,
        rows,
        caption=_("Deferred revenue by invoice"),
        counted=lambda n: ngettext("%d invoice", "%d invoices", n) % n,
        url=lambda row: reverse("invoice", args=[tenant.slug, row.invoice.public_id]),
        filters=[customer.control],
        columns=[
            listing.text(
                "number",
                _("Invoice"),
                lambda row: str(row.invoice),
                order="invoice__number",
                cell=narrowing.under(accounts, lambda row: str(row.invoice)),
            ),
            *narrowing.account_column(accounts),
            listing.text("customer", _("Customer"), name_of, order="invoice__customer_name"),
            listing.day(
                "date", _("Date"), words, lambda row: row.invoice.date, order="invoice__date"
            ),
            listing.money(
                "net", _("Net"), words, lambda row: row.billed_minor, order="billed_minor"
            ),
        ],
    )


def _listing(
    tenant: Tenant,
    query: Mapping[str, str],
    words: frame.Words,
    accounts: narrowing.Accounts,
    rows: Any,
    *,
    columns: list[listing.Column],
    filters: Sequence[dict[str, Any] | None] = (),
    **more: Any,
) -> Listing:
    """Either list: its own columns before what is deferred, largest first."""
    deferred = listing.money(
        "deferred",
        _("Deferred"),
        words,
        lambda row: row.deferred_minor,
        order="deferred_minor",
        hint=_("Invoiced and not yet recognised, by your method."),
    )
    return Listing(
        rows=rows,
        columns=[*columns, deferred],
        default_sort="-deferred",
        query=query,
        words=words,
        nothing=narrowing.nothing(tenant, _("Nothing is deferred"), "invoices"),
        search_label=_("Search by name or number"),
        filters=narrowing.given(accounts.control, *filters),
        **more,
    )
