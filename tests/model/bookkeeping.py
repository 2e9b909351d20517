"""A small company of the sandbox, and its bookkeeper, who changes it over HTTP while it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import requests

from integrations.sandbox import Company, Handle, Profile
from integrations.sandbox.calendars import first_of_running_month
from integrations.sandbox.making import make_company
from tests.model.ledger import Table, Tables, expected

_USA = "UNITED_STATES_OF_AMERICA"
PIHLA = Profile(
    "pihla",
    "Pihla Palvelut Oy",
    13_377,
    2_745_310,
    months=5,
    customers=14,
    foreign=(("USD", _USA, 10), ("SEK", "SWEDEN", 10)),
)
REGISTERS = ("partners", "products", "accounts", "statements")
OPEN = {"SENT", "NOT_SENT", "APPROVED", "PARTLY_PAID"}
ISSUED = OPEN | {"PAID", "MARKED_PAID"}
# Fewer than make a run doubt that so many documents were really deleted.
MOST_DELETED = 12
_DAY = timedelta(days=1)
# So far back an update reads statements again.
CORRECTED = timedelta(days=30)


def pihla(seed: int = 7) -> Company:
    """About a hundred invoices in three currencies; the same seed gives the same documents."""
    return make_company(PIHLA, seed=seed, anchor=first_of_running_month())


@dataclass
class Bookkeeper:
    """Edits one company of a sandbox with `/_sandbox/`; every choice is an index, taken modulo.

    Edits that find nothing to work on do nothing.
    """

    sandbox: Handle
    company: Company
    deleted: int = 0
    dropped_products: list[int] = field(default_factory=list)
    http: requests.Session = field(default_factory=requests.Session)
    _read: dict[str, Table] = field(default_factory=dict)

    # -- what is there ---------------------------------------------------------------------------

    def ledger(self) -> Tables:
        """What the books must hold, from the documents as they are now."""
        invoices = self._lines("invoices")
        return expected(invoices, *(self._lines(kind) for kind in REGISTERS))

    def invoices(self) -> Table:
        """The invoices alone; what says the same as last time is not read again."""
        texts = self._texts("invoices")
        news = [text for text in texts if text not in self._read]
        for text in news:
            self._read[text] = expected(_documents([text]), (), (), (), ())["invoices"]
        return {number: row for text in texts for number, row in self._read[text].items()}

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        return _documents(self._texts(kind))

    def _texts(self, kind: str) -> list[str]:
        asked = {"company": self.company.slug, "kind": kind}
        answer = self.http.get(f"{self.sandbox.base_url}/_sandbox/ledger", params=asked)
        answer.raise_for_status()
        return answer.text.splitlines()

    def sales(self, statuses: set[str] | None = None) -> list[int]:
        heads = self.company.invoices.heads.values()
        return sorted(
            head.id
            for head in heads
            if head.type == "SALES_INVOICE" and (statuses is None or head.status in statuses)
        )

    def pick(self, which: int, statuses: set[str] | None = None) -> int | None:
        """A sales invoice; counted from the newest, on which most edits happen."""
        found = self.sales(statuses)
        return found[-1 - which % len(found)] if found else None

    # -- edits -----------------------------------------------------------------------------------

    def do(self, control: str, **options: Any) -> Any:
        """Press one of the sandbox's switches for this company."""
        options = {"company": self.company.slug, **options}
        answer = self.http.post(f"{self.sandbox.base_url}/_sandbox/{control}", json=options)
        assert answer.ok, (control, options, answer.text)
        return answer.json()

    def edit(self, action: str, **options: Any) -> Any:
        return self.do("edit", action=action, **options)

    def create(self, which: int, days_ago: int) -> None:
        """A new invoice like an old one, dated long ago or today."""
        day = date.today() - days_ago * _DAY
        self.edit("create_invoice", like=self.pick(which), day=day.isoformat())

    def price(self, which: int, row: int, cents: int) -> None:
        """Another price on one row."""
        invoice_id = self.pick(which)
        rows = self._rows_of(invoice_id)
        price = {"unitPrice": str(Decimal(cents).scaleb(-2))}
        self.edit("edit_invoice", invoice_id=invoice_id, row=row % rows, row_fields=price)

    def add_row(self, which: int, name: str) -> None:
        self.edit("add_row", invoice_id=self.pick(which), row_fields={"product": name})

    def drop_row(self, which: int, row: int) -> None:
        invoice_id = self.pick(which)
        self.edit("drop_row", invoice_id=invoice_id, row=row % self._rows_of(invoice_id))

    def _rows_of(self, invoice_id: int | None) -> int:
        assert invoice_id is not None
        return len(json.loads(self.company.invoices.details[invoice_id])["invoiceRows"])

    def give_to(self, which: int, other: int) -> None:
        """Another customer on the same invoice."""
        self.edit("give_to", invoice_id=self.pick(which), like=self.pick(other))

    def backdate(self, which: int, days: int) -> None:
        """The same invoice in another month, where it may have been read already or not yet."""
        day = date.today() - days * _DAY
        fields = {"date": day.isoformat()}
        self.edit("edit_invoice", invoice_id=self.pick(which), fields=fields)

    def edit_many(self, which: int, how_many: int, note: str) -> None:
        """Many invoices get one version stamp."""
        found = self.sales()
        start = which % len(found)
        chosen = found[start : start + how_many]
        self.edit("edit_invoices", invoice_ids=chosen, fields={"additionalInformation": note})

    def invalidate(self, which: int) -> None:
        if invoice_id := self.pick(which, ISSUED):
            self.edit("invalidate_invoice", invoice_id=invoice_id)

    def delete(self, which: int) -> None:
        if self.deleted < MOST_DELETED:
            self.deleted += 1
            self.edit("delete_invoice", invoice_id=self.pick(which))

    def credit(self, which: int) -> None:
        if invoice_id := self.pick(which, ISSUED):
            self.edit("credit_invoice", invoice_id=invoice_id, day=date.today().isoformat())

    def pay(self, which: int, share: int, *, kind: str, silently: bool) -> None:
        """A payment of `share` percent of what the invoice bills; `silently`: same version."""
        invoice_id = self.pick(which, OPEN)
        if invoice_id is None:
            return
        document = json.loads(self.company.invoices.details[invoice_id], parse_float=Decimal)
        total = Decimal(document["invoiceSumInfo"][0]["invoiceSumTotal"])
        part = None if share >= 100 else str((total * share / 100).quantize(Decimal("0.01")))
        paid = {"day": date.today().isoformat(), "amount": part, "kind": kind}
        self.edit("add_payment", invoice_id=invoice_id, bump=not silently, **paid)

    def take_back(self, which: int, *, silently: bool) -> None:
        """The last payment of an invoice is taken away again."""
        paid = sorted(number for number, events in self.company.events.items() if events)
        paid = [number for number in paid if number in set(self.sales())]
        if paid:
            chosen = paid[-1 - which % len(paid)]
            self.edit("drop_payment", invoice_id=chosen, bump=not silently)

    def rename(self, which: int, name: str) -> None:
        self.edit("change_partner", partner_id=self._partner(which), name=name)

    def set_active(self, which: int, active: bool) -> None:
        self.edit("change_partner", partner_id=self._partner(which), active=active)

    def _partner(self, which: int) -> int:
        heads = self.company.partners.heads.values()
        found = sorted(head.id for head in heads if head.type == "CUSTOMER")
        return found[which % len(found)]

    def reprice(self, which: int, cents: int) -> None:
        fields = {"price": cents / 100, "name": f"Tuote {cents}"}
        self.edit("edit_product", product_id=self._product(which), fields=fields)

    def drop_product(self, which: int) -> None:
        product_id = self._product(which)
        if len(self.dropped_products) < 3 and product_id not in self.dropped_products:
            self.dropped_products.append(product_id)
            self.edit("drop_product", product_id=product_id)

    def return_product(self) -> None:
        if self.dropped_products:
            self.edit("edit_product", product_id=self.dropped_products.pop(), fields={})

    def _product(self, which: int) -> int:
        heads = self.company.products.heads.values()
        found = sorted(head.id for head in heads if head.type == "SALES")
        return found[which % len(found)]

    def correct_statement(self, which: int, cents: int, *, drop: bool) -> None:
        """A statement of the last weeks shows another movement, or one less."""
        shelf = self.company.statements
        newest = date.fromisoformat(max(head.date for head in shelf.heads.values()))
        found = [
            number
            for number, head in sorted(shelf.heads.items())
            if head.date > (newest - CORRECTED).isoformat()
            and len(json.loads(shelf.items[number])["events"]) > 1
        ]
        if found:
            amount = str(Decimal(cents).scaleb(-2))
            chosen = found[which % len(found)]
            self.edit("correct_statement", statement_id=chosen, amount=amount, drop=drop)


def _documents(texts: list[str]) -> list[dict[str, Any]]:
    return [json.loads(text, parse_float=Decimal) for text in texts]


def scribbles(keeper: Bookkeeper, dice: Random) -> list[Callable[[], None]]:
    """Every kind of edit once, with choices thrown by `dice`."""
    n = dice.randrange
    return [
        lambda: keeper.create(n(60), dice.choice((0, 0, 40, 400))),
        lambda: keeper.price(n(60), n(3), n(1, 90_000)),
        lambda: keeper.add_row(n(60), dice.choice(("Kuukausimaksu", "Konsultointi", "Lisenssi"))),
        lambda: keeper.drop_row(n(60), n(3)),
        lambda: keeper.give_to(n(60), n(60)),
        lambda: keeper.backdate(n(60), n(200)),
        lambda: keeper.edit_many(n(60), n(2, 30), f"Erä {n(1000)}"),
        lambda: keeper.invalidate(n(60)),
        lambda: keeper.credit(n(60)),
        lambda: keeper.pay(n(60), 100, kind="REFERENCEPAYMENT_TO_INVOICE", silently=False),
        lambda: keeper.pay(n(60), 100, kind="REFERENCEPAYMENT_TO_INVOICE", silently=True),
        lambda: keeper.pay(n(60), n(1, 99), kind="BANKSTATEMENT_TO_INVOICE", silently=True),
        lambda: keeper.pay(n(60), 100, kind="CREDITLOSS", silently=False),
        lambda: keeper.take_back(n(60), silently=False),
        lambda: keeper.rename(n(30), f"Uusi nimi {n(1000)} Oy"),
        lambda: keeper.set_active(n(30), dice.random() < 0.5),
        lambda: keeper.reprice(n(12), n(1, 90_000)),
        lambda: keeper.correct_statement(n(8), n(-90_000, 90_000), drop=dice.random() < 0.3),
    ]


def scribble(keeper: Bookkeeper, dice: Random) -> None:
    """One edit of any kind."""
    dice.choice(scribbles(keeper, dice))()
