"""Purchase invoices and offers: documents that a sales import must leave alone."""

from datetime import timedelta

from integrations.sandbox import numbers
from integrations.sandbox.book import Book
from integrations.sandbox.calendars import add_months
from integrations.sandbox.model import Kind, Partner, Row, Truth

_SUPPLIERS = (("Palvelinhotelli Oy", "HOST"), ("Toimistotukku Oy", "OFFICE"))


def add_purchases(book: Book, *, first_id: int) -> list[Partner]:
    """Monthly purchase invoices of two suppliers."""
    suppliers = []
    for place, (name, code) in enumerate(_SUPPLIERS):
        supplier = Partner(
            first_id + place,
            name,
            numbers.business_id(1_900_000 + place * 11),
            str(9000 + place),
            type="SUPPLIER",
        )
        suppliers.append(supplier)
        product = book.catalogue[code]
        day = book.opens + timedelta(days=6 + place * 8)
        while day <= book.anchor:
            cents = product.price * book.rng.randrange(80, 125) // 100
            row = Row(
                product.name, 100, "PIECE", cents, Truth(Kind.IGNORE), product.id, product.code
            )
            book.invoice(supplier, day, [row], type="PURCHASE_INVOICE")
            day = add_months(day, 1)
    return suppliers


def add_offers(book: Book, customers: list[Partner]) -> None:
    """Every fifteenth customer once got an offer; Procountor calls it a sales order."""
    for customer in customers[::15]:
        day = book.opens + timedelta(days=book.rng.randrange(30, 700))
        row = book.row("PRO-Y", day, truth=Truth(Kind.IGNORE))
        book.invoice(customer, day, [row], type="SALES_ORDER", fate="offer")
