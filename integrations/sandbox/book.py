"""Writes drafts for the lives of customers: recurring billing, work, usage, credits."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from random import Random

from integrations.sandbox.calendars import add_months
from integrations.sandbox.model import Catalogue, Draft, Kind, Partner, Product, Row, Truth
from integrations.sandbox.texts import period_text

_DAY = timedelta(days=1)


@dataclass(slots=True)
class Change:
    """From the first period that starts on or after `day`: a new quantity, product or price."""

    day: date
    quantity: int | None = None
    code: str | None = None
    percent: int = 100  # of the list price


@dataclass(slots=True)
class Terms:
    """How one subscription is billed. `last` is the first day without service."""

    code: str
    first: date
    last: date | None = None
    cadence: int | None = None
    quantity: int = 1
    percent: int = 100
    discount: int = 0  # hundredths of a percent on the row, for good
    campaign: int = 0  # first periods that carry 20 % off
    changes: Sequence[Change] = ()
    pauses: Sequence[tuple[date, date]] = ()
    advance: int = 0  # days that the invoice precedes its period
    slips: bool = False  # invoices wander a few days behind the first of the month
    dates: str | None = None
    vat_included: bool = False
    header_discount: int = 0
    with_product: bool = True
    label: str | None = None
    in_arrears: bool = False


@dataclass(slots=True)
class Book:
    """Collects the drafts of a company between its opening day and the anchor (inclusive)."""

    rng: Random
    catalogue: Catalogue
    opens: date
    anchor: date
    scale: int = 100
    rises: Sequence[tuple[date, int]] = ()
    drafts: list[Draft] = field(default_factory=list)
    keys: int = 0

    def new_key(self, partner: Partner, code: str) -> str:
        self.keys += 1
        return f"{partner.id}/{code}/{self.keys}"

    def add(self, draft: Draft) -> Draft | None:
        """File the draft unless it falls outside of the company's history."""
        if not self.opens <= draft.day <= self.anchor:
            return None
        draft.currency = draft.partner.currency
        self.drafts.append(draft)
        return draft

    def price(self, product: Product, day: date, percent: int = 100) -> int:
        """The list price in force on that day, whole cents, in ten-thousandths."""
        price = product.price * percent
        if product.kind is Kind.SUBSCRIPTION:
            price = price * self.scale // 100
            for start, rise in self.rises:
                if day >= start:
                    price = price * rise // 100
        unit = 100 if product.price >= 10_000 else 1
        return price // 100 // unit * unit

    def row(
        self,
        code: str,
        day: date,
        *,
        quantity: int = 100,
        price: int | None = None,
        truth: Truth | None = None,
    ) -> Row:
        """A row of a product that is not a subscription (unless a truth says so)."""
        product = self.catalogue[code]
        return Row(
            name=product.name,
            quantity=quantity,
            unit=product.unit,
            price=self.price(product, day) if price is None else price,
            truth=truth or Truth(product.kind),
            product_id=product.id,
            code=product.code,
        )

    def subscribe(self, partner: Partner, terms: Terms) -> list[Draft]:
        """Bill every period of the subscription up to the anchor, one draft a period."""
        key = self.new_key(partner, terms.code)
        cadence = terms.cadence or self.catalogue[terms.code].cadence
        made: list[Draft] = []
        stop = min(terms.last or date.max, self.anchor + timedelta(days=terms.advance) + _DAY)
        count = 0
        while (start := add_months(terms.first, count * cadence)) < stop:
            count += 1
            end = add_months(terms.first, count * cadence)
            if any(since <= start < until for since, until in terms.pauses):
                continue
            draft = self._period(partner, terms, key, cadence, start, end, count)
            if self.add(draft):
                made.append(draft)
        return made

    def _period(
        self,
        partner: Partner,
        terms: Terms,
        key: str,
        cadence: int,
        start: date,
        end: date,
        count: int,
    ) -> Draft:
        code, quantity, percent = terms.code, terms.quantity, terms.percent
        for change in terms.changes:
            if start >= change.day:
                code = change.code or code
                quantity = change.quantity or quantity
                percent = change.percent
        product = self.catalogue[code]
        row = Row(
            name=terms.label or product.name,
            quantity=quantity * 100,
            unit=product.unit,
            price=self.price(product, start, percent),
            truth=Truth(Kind.SUBSCRIPTION, key, cadence, start, end),
            product_id=product.id if terms.with_product else None,
            code=product.code if terms.with_product else None,
            discount=2000 if count <= terms.campaign else terms.discount,
        )
        day = end if terms.in_arrears else start - timedelta(days=terms.advance)
        if terms.slips:
            day += timedelta(days=self.rng.choice((0, 0, 0, 1, 1, 2, 3)))
        draft = Draft(
            partner,
            day,
            [row],
            vat_included=terms.vat_included,
            header_discount=terms.header_discount,
        )
        self.write_dates(draft, row, terms.dates or partner.dates)
        return draft

    def write_dates(self, draft: Draft, row: Row, style: str) -> None:
        """Put the row's service period where this customer's invoices carry it."""
        start, end = row.truth.start, row.truth.end
        if start is None or end is None:
            return
        if style == "row":
            row.start, row.end = start, end - _DAY
        elif style == "invoice":
            draft.delivery = (start, end - _DAY)
        elif style == "text":
            row.comment = period_text(self.rng, draft.partner.language, start, end)
        elif style == "note":
            draft.note = period_text(self.rng, draft.partner.language, start, end)

    def invoice(
        self, partner: Partner, day: date, rows: list[Row], **kwargs: object
    ) -> Draft | None:
        """A single invoice that is no part of a series."""
        return self.add(Draft(partner, day, rows, **kwargs))  # type: ignore[arg-type]

    def credit(self, original: Draft, day: date, share: int = 100) -> Draft | None:
        """Credit `share` percent of every row with negative quantities.

        A whole credit takes back the whole period; a part runs from its day to the end.
        """
        rows = [
            replace(row, quantity=-row.quantity * share // 100, header=None)
            for row in original.rows
        ]
        draft = Draft(
            original.partner,
            day,
            rows,
            fate="credit",
            vat_included=original.vat_included,
            header_discount=original.header_discount,
            delivery=original.delivery,
            note=f"Hyvitys / credit {original.day.isoformat()}",
            credits=original,
        )
        if share < 100:
            self._shorten(draft, day)
        return self.add(draft)

    def _shorten(self, draft: Draft, day: date) -> None:
        for row in draft.rows:
            start, end = row.truth.start, row.truth.end
            if start is None or end is None or not start < day < end:
                continue
            row.truth = replace(row.truth, start=day)
            row.comment = None
            if row.start:
                row.start = day
            if draft.delivery:
                draft.delivery = (day, draft.delivery[1])
