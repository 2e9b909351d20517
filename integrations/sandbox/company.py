"""One company of the sandbox: its documents, its bank, and the truth about its invoices."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from integrations.sandbox import numbers
from integrations.sandbox.bank import Account
from integrations.sandbox.calendars import now_local
from integrations.sandbox.model import Profile, RowTruth
from integrations.sandbox.render import Json, decode
from integrations.sandbox.store import EventBytes, Shelf


@dataclass(slots=True)
class Company:
    """Everything that the API shows of one company; ids repeat between companies."""

    profile: Profile
    seed: int
    anchor: date
    opens: date
    invoices: Shelf = field(default_factory=Shelf)
    partners: Shelf = field(default_factory=Shelf)
    products: Shelf = field(default_factory=Shelf)
    accounts: Shelf = field(default_factory=Shelf)
    statements: Shelf = field(default_factory=Shelf)
    events: dict[int, tuple[EventBytes, ...]] = field(default_factory=dict)  # by invoice id
    bank: list[Account] = field(default_factory=list)  # empty when read from a cache
    truths: list[RowTruth] = field(default_factory=list)
    late_truths: Callable[[], list[RowTruth]] | None = None
    last_event: int = 0  # the highest number of a payment that an edit added
    clock_ahead: timedelta = timedelta(0)  # how far this company's clock is wrong

    @property
    def slug(self) -> str:
        return self.profile.slug

    @property
    def id(self) -> int:
        return self.profile.company_id

    @property
    def name(self) -> str:
        return self.profile.name

    def now(self) -> str:
        """The moment as this company's documents are stamped with it."""
        return now_local(self.clock_ahead)

    @property
    def business_id(self) -> str:
        return numbers.business_id(self.profile.serial)

    @property
    def currency(self) -> str:
        return "EUR"

    def truth(self) -> list[RowTruth]:
        """The right reading of every invoice row, as generated (edits do not change it)."""
        if self.late_truths is not None:
            self.truths, self.late_truths = self.late_truths(), None
        return list(self.truths)

    def register(self, kind: str) -> Iterator[Json]:
        """Every `partners`, `products`, `accounts` or `statements` as the API shows it now."""
        shelf: Shelf = getattr(self, kind)
        for document_id in sorted(shelf.items):
            yield decode(shelf.details.get(document_id) or shelf.items[document_id])

    def documents(self) -> Iterator[Json]:
        """Every document as the API shows it now, with its payment events under `events`."""
        for invoice_id in sorted(self.invoices.details):
            document = decode(self.invoices.details[invoice_id])
            events = [decode(event.event) for event in self.events.get(invoice_id, ())]
            yield {"document": document, "events": events}

    def company_json(self) -> Json:
        place = {
            "street": "Mallikuja 2",
            "zip": "00200",
            "city": "Helsinki",
            "country": self.profile.country,
        }
        return {
            "id": self.id,
            "name": self.name,
            "country": self.profile.country,
            "productVersion": "FINANCIALS_PLUS",
            "operationType": "PRODUCTION",
            "accountingOfficeName": "Tilikulma Oy",
            "accountingOfficeId": 320,
            "companyAddress": place,
            "billingAddress": place,
            "inTradeRegister": True,
            "businessIdentifier": {"brnType": "FI", "code": self.business_id},
            "accountingCoaLanguages": ["fi", "en"],
            "companyCurrency": self.currency,
            "currencyRateSearchDensity": "DAILY_EXCHANGE_RATE",
        }
