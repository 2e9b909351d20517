"""Revenue, open invoices and cash: invoices and bank events behind them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import F, Sum
from django.http import Http404
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, BankStatement, Customer
from reporting.body import Account, Body
from reporting.models import CashFigure, InvoiceFigure, LineFigure
from reporting.selectors import frame, narrowing
from reporting.selectors.behind.kinds import (
    Kind,
    Part,
    Rows,
    column,
    customer_url,
    invoice_columns,
    invoice_rows,
)
from reporting.selectors.financial import age_names
from reporting.selectors.frame import Words


def revenue_kind(tenant: Tenant, figure: str, month_name: str, month: str, words: Words) -> Kind:
    first = frame.month_start(month)
    after = frame.month_start(frame.month_text(frame.month_index(month) + 1))
    amounts = {
        "revenue": F("invoice__net_acc_minor"),
        "recurring": F("recurring_minor"),
        "non_recurring": F("invoice__net_acc_minor") - F("recurring_minor"),
    }
    found = (
        InvoiceFigure.objects.filter(invoice__date__gte=first, invoice__date__lt=after)
        .annotate(part=amounts[figure])
        .exclude(part=0)
        .order_by("-part", "pk")
        .values_list("invoice_id", "part")
    )
    titles = {
        "revenue": _("Invoiced in %(month)s, net"),
        "recurring": _("Recurring revenue invoiced in %(month)s"),
        "non_recurring": _("One-off and usage revenue invoiced in %(month)s"),
    }
    return Kind(
        titles[figure] % {"month": month_name},
        _("Invoices and credit notes dated in the month, without VAT."),
        [Part(pk, minor) for pk, minor in found],
        invoice_columns(),
        invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


ACCOUNT, BOUGHT = "account-", "bought-"
REFUNDS = frozenset({"billed", "credited", "overdue"})


def refund_kind(
    tenant: Tenant, figure: str, month_name: str, month: str, body: Body, words: Words
) -> Kind:
    """Invoices or credit notes of a month, VAT included, or what of them is still overdue."""
    found = InvoiceFigure.objects.filter(
        invoice__date__gte=frame.month_start(month),
        invoice__date__lt=frame.month_start(frame.month_text(frame.month_index(month) + 1)),
    )
    if figure == "overdue":
        found = found.exclude(open_minor=0).filter(due__lt=body["as_of"])
        amount: Any = F("open_minor")
    else:
        sign = 1 if figure == "billed" else -1
        amount = F("invoice__total_acc_minor") * sign
        found = found.annotate(asked=amount).filter(asked__gt=0)
    titles = {
        "billed": _("Invoiced in %(month)s, VAT included"),
        "credited": _("Credit notes of %(month)s"),
        "overdue": _("Invoices of %(month)s that are overdue"),
    }
    parts = found.annotate(part=amount).order_by("-part", "pk").values_list("invoice_id", "part")
    return Kind(
        titles[figure] % {"month": month_name},
        _("By the date of the invoice, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
        invoice_columns(),
        invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def open_kind(tenant: Tenant, figure: str, body: Body, words: Words) -> Kind:
    found = InvoiceFigure.objects.exclude(age="")
    title = _("Open invoices")
    if figure == "open-overdue":
        found = found.exclude(age="not_due")
        title = _("Overdue invoices")
    elif figure.startswith("open-"):
        age = figure.removeprefix("open-")
        if age not in age_names():
            raise Http404
        found = found.filter(age=age)
        title = _("Open invoices: %(age)s") % {"age": age_names()[age].lower()}
    elif figure.startswith("expected-"):
        starts = [week["start"] for week in body["receivables"]["weeks"]]
        start = figure.removeprefix("expected-")
        if start not in starts:
            raise Http404
        place = starts.index(start)
        # The first row also holds what was expected earlier, the last one all that comes later.
        if place > 0:
            found = found.filter(expected__gte=start)
        if place + 1 < len(starts):
            found = found.filter(expected__lt=starts[place + 1])
        title = _("Money expected in the week from %(day)s") % {"day": words.day(start)}
    parts = found.order_by("-open_minor", "pk").values_list("invoice_id", "open_minor")
    return Kind(
        title,
        _("What is still to be paid, VAT included."),
        [Part(pk, minor) for pk, minor in parts],
        invoice_columns(),
        invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
    )


def cash_kind(figure: str, month_name: str, index: int, words: Words) -> Kind:
    found = CashFigure.objects.filter(month=index)
    if figure in {"money_in", "money_out", "burn"}:
        found = found.filter(kind="operating")
        if figure == "money_in":
            found = found.filter(amount_minor__gt=0)
        elif figure == "money_out":
            found = found.filter(amount_minor__lt=0)
    else:
        found = found.filter(kind={"own_transfers": "own_transfer"}.get(figure, figure))
    # Burn is money out less money in: the same events with their signs turned.
    sign = -1 if figure == "burn" else 1
    parts = found.order_by("-amount_minor", "pk").values_list("event_id", "amount_minor")
    titles = {
        "money_in": _("Money in, %(month)s"),
        "money_out": _("Money out, %(month)s"),
        "burn": _("Net burn of %(month)s"),
        "financing": _("Financing, %(month)s"),
        "own_transfers": _("Own transfers, %(month)s"),
    }

    return Kind(
        titles[figure] % {"month": month_name},
        _("Operating bank events of the month: money out less money in.")
        if figure == "burn"
        else _("Bank events of the month; deposits positive, withdrawals negative."),
        [Part(pk, minor * sign) for pk, minor in parts],
        _event_columns(),
        _event_rows(words),
        lambda n: ngettext("%d bank event", "%d bank events", n) % n,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """A row that is a figure of its own, and where that is taken apart; "" for nowhere."""

    text: str
    url: str


def _event_columns() -> list[dict[str, Any]]:
    return [
        column("who", _("Counterparty")),
        column("message", _("Message")),
        column("date", _("Date")),
        column("account", _("Account")),
    ]


def _event_rows(words: Words) -> Rows:
    """Rows of parts whose keys are ids of bank events, or `_Said`."""

    def rows(shown: Sequence[Part]) -> Iterable[tuple[Any, list[Any], str]]:
        events = BankEvent.objects.in_bulk(
            [part.key for part in shown if not isinstance(part.key, _Said)]
        )
        for part in shown:
            if isinstance(part.key, _Said):
                yield part.key.text, ["", "", ""], part.key.url
                continue
            event = events[part.key]
            who = event.counterparty or _("Unnamed")
            yield who, [event.message, words.day(event.date), event.iban], ""

    return rows


def balance_kind(
    tenant: Tenant, figure: str, month: str, index: int, body: Body, words: Words
) -> Kind:
    """A balance as what stood before it, the month's bank events, and what they do not explain.

    The opening balance is the closing one of the month before; what nothing explains is taken
    apart into the figures between which it lies.
    """
    rows = {row["month"]: row for row in body["cash"]}
    row = rows.get(month)
    if row is None:
        raise Http404
    earlier = frame.month_text(index - 1)
    name = words.month(month, long=True)
    opening = _Said(
        _("Closing balance of %(month)s") % {"month": words.month(earlier, long=True)}
        if earlier in rows
        else _("Held before the first statement"),
        frame.behind(tenant, "balance", earlier) if earlier in rows else "",
    )
    unexplained = _Said(
        _("Not explained by statements"), frame.behind(tenant, "unexplained", month)
    )
    if figure == "opening":
        parts = [Part(opening, row["opening_minor"])]
        title = _("Opening balance of %(month)s")
    elif figure == "unexplained":
        parts = _unexplained(tenant, row, opening)
        title = _("Not explained by statements, %(month)s")
    else:
        events = CashFigure.objects.filter(month=index).order_by("-amount_minor", "pk")
        parts = [Part(opening, row["opening_minor"])]
        parts += [Part(pk, minor) for pk, minor in events.values_list("event_id", "amount_minor")]
        parts += [Part(unexplained, row["unexplained_minor"])] if row["unexplained_minor"] else []
        title = _("Balance at the end of %(month)s")

    return Kind(
        title % {"month": name},
        _("Bank accounts in use: what they held before, and every event of the month."),
        parts,
        _event_columns(),
        _event_rows(words),
        lambda n: ngettext("%d row", "%d rows", n) % n,
    )


def _unexplained(tenant: Tenant, row: Any, opening: _Said) -> list[Part]:
    """The closing balance, less the opening one and what moved between them."""

    def said(text: str, figure: str) -> _Said:
        return _Said(text, frame.behind(tenant, figure, row["month"]))

    found = [
        (said(_("Closing balance"), "balance"), row["closing_minor"]),
        (opening, -row["opening_minor"]),
        (said(_("Money in"), "money_in"), -row["money_in_minor"]),
        (said(_("Money out"), "money_out"), row["money_out_minor"]),
        (said(_("Financing"), "financing"), -row["financing_minor"]),
        (said(_("Own transfers"), "own_transfers"), -row["own_transfers_minor"]),
    ]
    return [Part(key, minor) for key, minor in found if minor]


def account_figure(tenant: Tenant, account: Account) -> str:
    """The figure that is this account's balance; its address does not tell the IBAN.

    Two connections may have accounts of one IBAN, each with statements of its own.
    """
    named = f"{tenant.public_id}:{account['connection']}:{account['iban']}"
    told = salted_hmac("calqsync.account", named, algorithm="sha256")
    return f"{ACCOUNT}{told.hexdigest()[:20]}"


def account_kind(tenant: Tenant, told: str, body: Body, words: Words) -> Kind:
    """An account's balance: what its last statement opened with, and its events since."""
    named = {account_figure(tenant, one): one for one in body["accounts"]}
    account, day = named.get(f"{ACCOUNT}{told}"), body["runway"]["balance_date"]
    if account is None or day is None:
        raise Http404
    iban = account["iban"]
    statement = (
        BankStatement.objects.filter(
            iban=iban, connection__public_id=account["connection"], start__lte=day, removed_at=None
        )
        .order_by("-start", "-end")
        .first()
    )
    parts = []
    if statement is not None:
        events = BankEvent.objects.filter(
            iban=iban,
            connection=statement.connection_id,
            date__gte=statement.start,
            date__lte=day,
            removed_at=None,
        )
        held = _("Statement of %(start)s – %(end)s: opening balance") % {
            "start": words.day(statement.start),
            "end": words.day(statement.end),
        }
        parts = [Part(_Said(held, ""), statement.start_minor)]
        parts += [
            Part(pk, minor)
            for pk, minor in events.order_by("date", "pk").values_list("pk", "amount_minor")
        ]
    return Kind(
        _("%(iban)s on %(day)s") % {"iban": iban, "day": words.day(day)},
        _("What the statement opened with, and every event from then on."),
        parts,
        _event_columns(),
        _event_rows(words),
        lambda n: ngettext("%d row", "%d rows", n) % n,
    )


def bought_kind(tenant: Tenant, public_id: str, body: Body, words: Words) -> Kind:
    """What a customer was invoiced in the twelve months to the report's own, by invoice."""
    asked = narrowing.readable_id(public_id)
    customer = Customer.objects.filter(public_id=asked).first() if asked else None
    if customer is None:
        raise Http404
    newest = body["as_of"][:7]
    oldest = frame.month_text(frame.month_index(newest) - 11)
    parts = (
        LineFigure.objects.filter(
            customer=customer,
            line__invoice__date__gte=frame.month_start(oldest),
            line__invoice__date__lt=frame.month_start(
                frame.month_text(frame.month_index(newest) + 1)
            ),
        )
        .values("line__invoice_id")
        .annotate(part=Sum("line__net_acc_minor"))
        .order_by("-part", "line__invoice_id")
        .values_list("line__invoice_id", "part")
    )
    return Kind(
        _("%(customer)s, %(first)s to %(last)s")
        % {
            "customer": customer.name,
            "first": words.month(oldest, long=True),
            "last": words.month(newest, long=True),
        },
        _("Invoices and credit notes of the last twelve months, without VAT."),
        [Part(pk, minor) for pk, minor in parts if minor],
        invoice_columns(),
        invoice_rows(tenant, words),
        lambda n: ngettext("%d invoice", "%d invoices", n) % n,
        links=((_("Open the customer"), customer_url(tenant, customer.public_id)),),
    )
