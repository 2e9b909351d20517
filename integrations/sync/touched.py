"""Whose figures a promotion may concern: the customers of all that it loads, before and after."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from integrations.models import BankEvent, Customer, Invoice
from integrations.models.runs import Stream
from integrations.sync.work import Page, Work


@dataclass(slots=True, kw_only=True)
class Touched:
    """Grows with what is loaded; needs a running transaction."""

    work: Work
    customers: set[int] = field(default_factory=set)
    invoices: set[str] = field(default_factory=set)
    new: set[str] = field(default_factory=set)

    def by_invoices(self, external_ids: Iterable[str]) -> None:
        """Whoever these invoices belong to now: told before they are loaded, and after."""
        names = set(external_ids)
        rows = Invoice.objects.filter(connection=self.work.connection, external_id__in=names)
        owners = dict(rows.values_list("external_id", "customer_id"))
        self.new |= names - self.invoices - owners.keys()
        self.invoices |= names
        self.customers.update(owner for owner in owners.values() if owner is not None)

    def by_partners(self, external_ids: Iterable[str]) -> None:
        """Customers whose name, group or country may be another one."""
        rows = Customer.objects.filter(
            connection=self.work.connection, external_id__in=list(external_ids)
        )
        self.customers.update(rows.values_list("pk", flat=True))

    def told(self, page: Page) -> dict[str, object]:
        """What `books_changed` says of the promotion: `customer_ids`, None for anybody's, `bank`.

        Products have groups and names that stand in everybody's figures, an invoice without a
        customer in nobody's own, and a full re-read may bring back or remove what it has not
        loaded.
        """
        products = page.tallies.get(Stream.PRODUCTS)
        everybody = self.work.run.mode != "incremental" or bool(products and products.touched)
        rows = Invoice.objects.filter(connection=self.work.connection)
        everybody |= rows.filter(external_id__in=self.invoices, customer=None).exists()
        bank = page.tallies.get(Stream.BANK)
        # A bank event that names an invoice is the payment of it once that is there.
        events = BankEvent.objects.filter(connection=self.work.connection)
        return {
            "customer_ids": None if everybody else frozenset(self.customers),
            "bank": bool(bank and bank.touched)
            or bool(self.new and events.filter(invoice_external_id__in=self.new).exists()),
        }
