"""What Procountor has, as pages of documents. The only part that knows paths and JSON."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Generic, TypeVar

import msgspec

from integrations.procountor import documents, records
from integrations.procountor.documents import Document, Page, Reader, Rejected
from integrations.procountor.errors import (
    ClientsNotAllowed,
    KeyRevoked,
    Nonsense,
    NotFound,
    RightMissing,
    WrongCompany,
)
from integrations.procountor.limits import Usage
from integrations.procountor.paging import LARGEST, PageNumber, PreviousId, Query, Walk, walk
from integrations.procountor.transport import Transport
from integrations.procountor.vocabulary import SALES_INVOICE

R = TypeVar("R", bound=records.Record)

__all__ = ["BilledWindow", "ChangedWindow", "Document", "Page", "Procountor", "Rejected"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedWindow:
    """Documents whose version lies in [start, end], text of `text.local_text`."""

    start: str | None = None
    end: str | None = None

    def query(self) -> dict[str, str]:
        return _given(versionStartDate=self.start, versionEndDate=self.end)


@dataclass(frozen=True, slots=True, kw_only=True)
class BilledWindow:
    """Documents billed on the days from start to end, both included."""

    start: date | None = None
    end: date | None = None

    def query(self) -> dict[str, str]:
        return _given(startDate=_day(self.start), endDate=_day(self.end))


@dataclass(frozen=True, slots=True)
class _Fetched(Generic[R]):
    page: Page[R]
    ids: tuple[int | None, ...]
    page_size: int | None
    total: int | None


class Procountor:
    """One company's books, read with one token.

    `api_path` is "" (newest), "latest", "supported" or a release such as "v2602".
    """

    def __init__(self, transport: Transport, *, api_path: str = "") -> None:
        segment = api_path.strip("/")
        self._root = f"/{segment}/api" if segment else "/api"
        self._transport = transport
        self._invoice_items = Reader(records.InvoiceListItem)
        self._invoices = Reader(records.Invoice)
        self._partners = Reader(records.Partner)
        self._products = Reader(records.Product)
        self._payment_events = Reader(records.PaymentEvent)
        self._bank_accounts = Reader(records.BankAccount)
        self._bank_statements = Reader(records.BankStatement)

    @property
    def usage(self) -> Usage:
        return self._transport.usage

    # Who and where

    def session(self, *, expect_company: int | None = None) -> records.Session:
        """The company of the token; the first call of every run.

        A refusal here means that the company does not let clients in (`ClientsNotAllowed`).
        """
        path = f"{self._root}/sessioninfo"
        try:
            body = self._transport.get(path)
        except (KeyRevoked, RightMissing) as refused:
            if refused.path != path:
                raise
            raise ClientsNotAllowed(refused.detail, status=refused.status, path=path) from None
        session = documents.one(msgspec.json.Decoder(records.Session), body, path=path)
        if expect_company is not None and session.company_id != expect_company:
            raise WrongCompany(expected=expect_company, found=session.company_id)
        return session

    def company(self) -> records.Company:
        """Name, business id and currency; `RightMissing` where the user may not see them."""
        path = f"{self._root}/company"
        decoder = msgspec.json.Decoder(records.Company)
        return documents.one(decoder, self._transport.get(path), path=path)

    def rights(self) -> records.Rights:
        path = f"{self._root}/users/rights"
        decoder = msgspec.json.Decoder(records.Rights)
        return documents.one(decoder, self._transport.get(path), path=path)

    # Registers

    def partners(
        self,
        *,
        active: bool,
        changed_from: str | None = None,
        changed_to: str | None = None,
        partner_type: str | None = "CUSTOMER",
        previous_id: int | None = None,
        behind: int | None = None,
    ) -> Iterator[Page[records.Partner]]:
        """Business partners; active and inactive ones are two lists."""
        query = _given(
            active="true" if active else "false",
            type=partner_type,
            versionStartDate=changed_from,
            versionEndDate=changed_to,
        )
        by = PreviousId(previous_id=previous_id, behind=behind)
        return self._list("/businesspartners", self._partners, query, by)

    def partner_details(self, ids: Sequence[int]) -> Page[records.Partner]:
        return self._batch("/businesspartners", self._partners, ids)

    def products(
        self,
        *,
        product_type: str | None = "SALES",
        active: bool | None = None,
        changed_from: str | None = None,
        changed_to: str | None = None,
        previous_id: int | None = None,
    ) -> Iterator[Page[records.Product]]:
        query = _given(
            type=product_type,
            active=None if active is None else str(active).lower(),
            versionStartDate=changed_from,
            versionEndDate=changed_to,
        )
        return self._list("/products", self._products, query, PreviousId(previous_id=previous_id))

    # Invoices

    def invoice_list(
        self,
        window: ChangedWindow | BilledWindow,
        *,
        types: Sequence[str] = (SALES_INVOICE,),
        status: Sequence[str] = (),
        previous_id: int | None = None,
        behind: int | None = None,
    ) -> Iterator[Page[records.InvoiceListItem]]:
        """Invoices of a window without their rows, in the order of their ids.

        A list may be gone on with after `previous_id`, with so many documents `behind` it.
        """
        query = window.query() | _given(
            types=",".join(types) or None, status=",".join(status) or None
        )
        by = PreviousId(previous_id=previous_id, behind=behind)
        return self._list("/invoices", self._invoice_items, query, by)

    def invoice_details(self, ids: Sequence[int]) -> Page[records.Invoice]:
        """Up to 200 whole invoices; those that Procountor left out are `missing`."""
        return self._batch("/invoices", self._invoices, ids)

    # Payments and bank

    def payment_events(self, invoice_ids: Sequence[int]) -> Iterator[Page[records.PaymentEvent]]:
        """Payment events of up to 200 invoices, without their type."""
        query = {"invoiceId": _joined(invoice_ids)}
        return self._list("/payments/paymentevents", self._payment_events, query, PreviousId())

    def invoice_payment_events(self, invoice_id: int) -> Iterator[Page[records.PaymentEvent]]:
        """Payment events of one invoice, with their type."""
        path = f"/invoices/{int(invoice_id)}/paymentevents"
        return self._list(path, self._payment_events, {}, PreviousId())

    def bank_accounts(self) -> Iterator[Page[records.BankAccount]]:
        return self._list("/bankaccounts", self._bank_accounts, {}, PreviousId())

    def bank_statements(self, *, start: date, end: date) -> Iterator[Page[records.BankStatement]]:
        """Statements dated from start to end, both included, with their events."""
        query = {"startDate": start.isoformat(), "endDate": end.isoformat()}
        # By page: statement ids are wider than the 32 bits of this list's previousId.
        return self._list("/bankstatements", self._bank_statements, query, PageNumber())

    # One way to read a list, one way to read a batch

    def _list(self, resource: str, reader: Reader[R], query: Query, by: Walk) -> Iterator[Page[R]]:
        path = self._root + resource

        def fetch(paging: Query) -> _Fetched[R]:
            answer = documents.envelope(self._transport.get(path, {**query, **paging}), path=path)
            found, rejected, ids = reader.read(answer.elements)
            meta = answer.meta or documents.Meta()
            page = Page(found, rejected, meta.total_count)
            return _Fetched(page, ids, meta.page_size, meta.total_count)

        return (fetched.page for fetched in walk(fetch, by))

    def _batch(self, resource: str, reader: Reader[R], ids: Sequence[int]) -> Page[R]:
        if not ids:
            return Page(())
        asked = set(ids)
        path = f"{self._root}{resource}/{_joined(ids)}"
        try:
            body = self._transport.get(path)
        except NotFound:
            return Page((), missing=tuple(ids))
        elements = documents.elements_of_batch(body, path=resource)
        if not elements:
            # Procountor says 404 where none of the documents is there.
            raise Nonsense("a batch without a single document", path=resource)
        found, rejected, got = reader.read(elements)
        if len(ids) == 1 and got == (None,):
            # One whose number cannot be read is still the one that was asked for.
            rejected, got = (replace(rejected[0], external_id=str(ids[0])),), tuple(ids)
        answered = {number for number in got if number is not None}
        if not answered <= asked:
            raise Nonsense("documents that nobody asked for", path=resource)
        missing = tuple(number for number in ids if number not in answered)
        return Page(found, rejected, missing=missing)


def _joined(ids: Sequence[int]) -> str:
    if not 0 < len(ids) <= LARGEST:
        raise ValueError(f"a batch holds 1 to {LARGEST} ids, not {len(ids)}")
    return ",".join(str(int(number)) for number in ids)


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _given(**values: str | None) -> dict[str, str]:
    """The parameters that have a value: Procountor refuses empty ones."""
    return {name: value for name, value in values.items() if value}
