"""Who the customers are: whose figures theirs stand in, their groups, their names."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

from django.db.models import F

from integrations.models import Customer, Product
from reporting.domain.segments import Belonging
from reporting.models import CustomerMerge


def counted_for(customer_ids: Collection[int]) -> set[int]:
    """The customers in whose figures those of the given ones stand: themselves, unless merged."""
    merged = dict(
        CustomerMerge.objects.filter(customer__in=customer_ids).values_list(
            "customer_id", "into_id"
        )
    )
    return {merged.get(one, one) for one in customer_ids}


def customers_in(numbers: Collection[int], *, of: int) -> list[int]:
    """The customers whose id leaves one of these remainders, those merged into others aside."""
    merged = CustomerMerge.objects.values("customer")
    rows = Customer.objects.annotate(number=F("id") % of).filter(number__in=numbers)
    return list(rows.exclude(pk__in=merged).values_list("pk", flat=True))


def read_belonging(connection_ids: list[int], customer_ids: list[int] | None) -> Belonging:
    """Groups and countries of all products, and of the given customers or of all."""
    products = Product.objects.filter(connection_id__in=connection_ids).exclude(group="")
    customers = Customer.objects.filter(connection_id__in=connection_ids)
    if customer_ids is not None:
        customers = customers.filter(pk__in=customer_ids)
    rows = list(customers.values_list("pk", "group", "country"))
    return Belonging(
        product_group=dict(products.values_list("pk", "group")),
        customer_group={pk: group for pk, group, _country in rows if group},
        country={pk: country for pk, _group, country in rows if country},
    )


class CustomerName(NamedTuple):
    """How a customer is named on pages; the ids are public."""

    public_id: str
    name: str
    connection: str


def customer_names(ids: list[int]) -> Mapping[int, CustomerName]:
    """Names of the given customers by their internal id."""
    rows = Customer.objects.filter(pk__in=ids).values_list(
        "pk", "public_id", "name", "connection__public_id"
    )
    return {
        pk: CustomerName(str(public), name, str(connection))
        for pk, public, name, connection in rows
    }
