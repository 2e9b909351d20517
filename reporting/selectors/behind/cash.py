"""Cash: the bank events behind what came, went and is held."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.http import Http404
from django.utils.crypto import salted_hmac
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, BankStatement
from reporting.body import Account
from reporting.models import CashFigure
from reporting.selectors import frame
from reporting.selectors.behind.kinds import Kind, Part, Question, Rows, column
from reporting.selectors.frame import Words

ACCOUNT = "account-"
FLOWS = frozenset({"money_in", "money_out", "burn", "financing", "own_transfers"})
BALANCES = frozenset({"balance", "opening", "unexplained"})


def flow_kind(asked: Question) -> Kind:
    """The bank events of a month that are of one kind; with their signs turned for burn."""
    found, figure = CashFigure.objects.filter(month=asked.index), asked.figure
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
        titles[figure] % asked.said,
        _("Operating bank events of the month: money out less money in.")
        if figure == "burn"
        else _("Bank events of the month; deposits positive, withdrawals negative."),
        [Part(pk, minor * sign) for pk, minor in parts],
        _event_columns(),
        _event_rows(asked.words),
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


def balance_kind(asked: Question) -> Kind:
    """A balance as what stood before it, the month's bank events, and what they do not explain.

    The opening balance is the closing one of the month before; what nothing explains is taken
    apart into the figures between which it lies.
    """
    rows = {row["month"]: row for row in asked.body["cash"]}
    row = rows.get(asked.month)
    if row is None:
        raise Http404
    earlier = frame.month_text(asked.index - 1)
    opening = _Said(_("Held before the first statement"), "")
    if earlier in rows:
        before = {"month": asked.words.month(earlier, long=True)}
        url = frame.behind(asked.tenant, "balance", earlier)
        opening = _Said(_("Closing balance of %(month)s") % before, url)
    if asked.figure == "opening":
        parts = [Part(opening, row["opening_minor"])]
        title = _("Opening balance of %(month)s")
    elif asked.figure == "unexplained":
        parts = _unexplained(asked.tenant, row, opening)
        title = _("Not explained by statements, %(month)s")
    else:
        events = CashFigure.objects.filter(month=asked.index).order_by("-amount_minor", "pk")
        parts = [Part(opening, row["opening_minor"])]
        parts += [Part(pk, minor) for pk, minor in events.values_list("event_id", "amount_minor")]
        if row["unexplained_minor"]:
            url = frame.behind(asked.tenant, "unexplained", asked.month)
            told = _Said(_("Not explained by statements"), url)
            parts.append(Part(told, row["unexplained_minor"]))
        title = _("Balance at the end of %(month)s")

    return Kind(
        title % asked.said,
        _("Bank accounts in use: what they held before, and every event of the month."),
        parts,
        _event_columns(),
        _event_rows(asked.words),
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


def account_kind(asked: Question) -> Kind:
    """An account's balance: what its last statement opened with, and its events since."""
    named = {account_figure(asked.tenant, one): one for one in asked.body["accounts"]}
    account, day = named.get(asked.figure), asked.body["runway"]["balance_date"]
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
            "start": asked.words.day(statement.start),
            "end": asked.words.day(statement.end),
        }
        parts = [Part(_Said(held, ""), statement.start_minor)]
        parts += [
            Part(pk, minor)
            for pk, minor in events.order_by("date", "pk").values_list("pk", "amount_minor")
        ]
    return Kind(
        _("%(iban)s on %(day)s") % {"iban": iban, "day": asked.words.day(day)},
        _("What the statement opened with, and every event from then on."),
        parts,
        _event_columns(),
        _event_rows(asked.words),
        lambda n: ngettext("%d row", "%d rows", n) % n,
    )
