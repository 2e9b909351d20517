"""How one kind of figure is taken apart: its rows, their amounts, their columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.urls import reverse

from calqsync.tenancy.models import Tenant


@dataclass(frozen=True, slots=True)
class Part:
    """One row behind a figure: what it is a row of, and its share in minor units."""

    key: Any
    minor: int


@dataclass(frozen=True, slots=True)
class Kind:
    """How one kind of figure is taken apart and how its rows are drawn."""

    title: str
    lead: str
    parts: list[Part]
    columns: list[dict[str, Any]]
    rows: Callable[[Sequence[Part]], Iterable[tuple[Any, list[Any], str]]]
    unit: Callable[[int], str]
    # A count stands in the heading in place of the amounts' sum.
    counts_rows: bool = False


def column(key: str, label: str) -> dict[str, Any]:
    return {"key": key, "label": label}


def invoice_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("invoice", args=[tenant.slug, public_id])


def customer_url(tenant: Tenant, public_id: Any) -> str:
    return reverse("customer", args=[tenant.slug, public_id])
