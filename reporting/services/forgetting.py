"""Takes the name of a contact that is erased out of the keys of what people said.

A subscription of rows without a product is known by the rows' own name, in which the contact's
may stand. The words on it follow the rows to their new name, so that no figure changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db.models import Q

from integrations.models import Customer, InvoiceLine
from reporting.domain.choices import NAMED, SubscriptionKey
from reporting.domain.texts import normalised_product
from reporting.models import CustomerMerge, Edit, LineDecision, SubscriptionDecision


@contextmanager
def rows_renamed(*, customer: Customer) -> Iterator[None]:
    """Whatever the inside renames of this customer's rows is renamed in people's words, too.

    Needs the tenant's scope and a transaction. The audit log stays as it was written.
    """
    before = _names(customer)
    yield
    after = _names(customer)
    renamed = {was: after[row] for row, was in before.items() if after.get(row, was) != was}
    if renamed:
        _rename(customer, renamed)


def _names(customer: Customer) -> dict[int, str]:
    rows = InvoiceLine.objects.filter(invoice__customer=customer, product=None)
    return {row: normalised_product(name) for row, name in rows.values_list("pk", "name")}


def _rename(customer: Customer, renamed: Mapping[str, str]) -> None:
    whole = CustomerMerge.objects.filter(customer=customer).values_list("into_id", flat=True)
    owners = {customer.pk, *whole}

    def new(text: str) -> str:
        if f"|{NAMED}" not in text:
            return text
        key = SubscriptionKey.parse(text)
        name = renamed.get(key.product.removeprefix(NAMED))
        if name is None or key.customer_id not in owners:
            return text
        return str(key._replace(product=f"{NAMED}{name}"))

    _decisions(new)
    for line in LineDecision.objects.filter(subscription_key__contains=f"|{NAMED}"):
        LineDecision.objects.filter(pk=line.pk).update(subscription_key=new(line.subscription_key))
    of_keys = Q(after__has_key="subscriptions") | Q(after__has_key="lines")
    for edit in Edit.objects.filter(of_keys).iterator():
        values = {"before": _inside(edit.before, new), "after": _inside(edit.after, new)}
        if values != {"before": edit.before, "after": edit.after}:
            Edit.objects.filter(pk=edit.pk).update(**values)


def _decisions(new: Callable[[str], str]) -> None:
    named = Q(key__contains=f"|{NAMED}") | Q(merged_into__contains=f"|{NAMED}")
    for row in SubscriptionDecision.objects.filter(named).order_by("-pk"):
        key = new(row.key)
        if key != row.key and SubscriptionDecision.objects.filter(key=key).exists():
            row.delete()  # two names became one: the later word on it stays
            continue
        SubscriptionDecision.objects.filter(pk=row.pk).update(
            key=key, merged_into=new(row.merged_into)
        )


def _inside(value: Any, new: Callable[[str], str]) -> Any:
    """The value with every key of a subscription in it renamed."""
    if isinstance(value, dict):
        return {new(name): _inside(one, new) for name, one in value.items()}
    return new(value) if isinstance(value, str) else value
