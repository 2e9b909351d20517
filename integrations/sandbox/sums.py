"""What an invoice adds up to, in integers.

Quantities come in hundredths, unit prices in ten-thousandths of the currency, discounts in
hundredths of a percent, VAT in tenths of a percent; amounts leave in minor units (cents).
"""

from collections.abc import Sequence
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

CENT = 10**12  # scale of quantity x price x (1 - discount) x (1 - header discount) per cent


class RowSum(NamedTuple):
    """The factors of one row."""

    quantity: int
    price: int
    discount: int
    vat: int


class Totals(NamedTuple):
    """An invoice in cents; `rows` are the nets of the rows and add up to `net` exactly."""

    net: int
    vat: int
    total: int
    rows: tuple[int, ...]


def half_up(numerator: int, denominator: int) -> int:
    """Division rounded half away from zero."""
    if numerator < 0:
        return -half_up(-numerator, denominator)
    return (2 * numerator + denominator) // (2 * denominator)


def totals(rows: Sequence[RowSum], header_discount: int, *, vat_included: bool) -> Totals:
    """Sum the rows: rounded once per document and VAT rate, the last row takes the difference."""
    groups: dict[int, int] = {}
    nets: list[int] = []
    for row in rows:
        exact = row.quantity * row.price * (10_000 - row.discount) * (10_000 - header_discount)
        groups[row.vat] = groups.get(row.vat, 0) + exact
        if vat_included:
            nets.append(half_up(exact * 1000, CENT * (1000 + row.vat)))
        else:
            nets.append(half_up(exact, CENT))
    if vat_included:
        net = sum(half_up(g * 1000, CENT * (1000 + rate)) for rate, g in groups.items())
        total = half_up(sum(groups.values()), CENT)
        vat = total - net
    else:
        net = half_up(sum(groups.values()), CENT)
        vat = sum(half_up(g * rate, CENT * 1000) for rate, g in groups.items() if rate)
        total = net + vat
    if nets:
        nets[-1] += net - sum(nets)
    return Totals(net, vat, total, tuple(nets))


def domestic(cents: int, rate: int) -> int:
    """Cents of a foreign currency in the accounting currency; rate in ten-thousandths."""
    return half_up(cents * 10_000, rate)


@lru_cache(maxsize=65_536)
def scaled(value: int, places: int) -> Decimal:
    """An integer of 10**-places as a decimal that keeps its places."""
    return Decimal(value).scaleb(-places)


def money(cents: int) -> Decimal:
    return scaled(cents, 2)
