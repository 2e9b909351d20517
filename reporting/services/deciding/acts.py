"""What people say about subscriptions, rows and products, each act as the change that it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import uuid4

from django.core.exceptions import ValidationError
from django.db.models import Q
from django.utils.translation import gettext as _

from calqsync.tenancy import scope
from integrations.models import BankEvent, Customer, InvoiceLine, Product
from reporting.domain.choices import OWN, Mark, SubscriptionKey
from reporting.domain.lines import product_ref
from reporting.models import CustomerMerge, Subscription, SubscriptionDecision
from reporting.services.deciding.changes import Change

PERIODS = (-2, -1, 1, 2, 3, 6, 12)
LINE_TYPES = tuple(mark.value for mark in Mark)


def confirmed(*, subscription: Subscription) -> Change:
    """It is a subscription; it then counts whatever its confidence."""
    return _decided(subscription, "subscription.confirmed", {"verdict": "confirmed"})


def rejected(*, subscription: Subscription) -> Change:
    """It is none: it never counts, and is not proposed again until that is cleared."""
    return _decided(subscription, "subscription.rejected", {"verdict": "rejected"})


def cleared(*, subscription: Subscription) -> Change:
    """Nothing was said about it; detection decides again."""
    return _decided(subscription, "subscription.cleared", None)


def edited(
    *,
    subscription: Subscription,
    period_months: int | None = None,
    start: date | None = None,
    end: date | None = None,
    paused: bool = False,
    renewal_percent: int | None = None,
) -> Change:
    """Its period, first day, first day without service, pause and how likely it is renewed.

    None asks the books. Editing confirms it. Raises ValidationError for an end before the start.
    """
    if renewal_percent is not None and not 0 <= renewal_percent <= 100:
        raise ValidationError({"renewal_percent": _("Give a percentage from 0 to 100.")})
    values = {
        "verdict": "confirmed",
        "period_months": _period(period_months),
        "start": start,
        "end": _after(start, end),
        "paused": paused,
        "renewal_percent": renewal_percent,
    }
    return _decided(subscription, "subscription.edited", values)


def certain() -> Change:
    """Every subscription of high confidence that nobody decided on is confirmed."""
    found = Subscription.objects.filter(Subscription.open_to_review(), confidence="high")
    keys = list(found.order_by("-mrr_e4", "pk").values_list("key", flat=True))
    return Change(
        act="subscriptions.confirmed",
        rows={"subscriptions": {key: {"verdict": "confirmed"} for key in keys}},
        counted={"count": len(keys)},
    )


def merged(*, subscription: Subscription, into: Subscription) -> Change:
    """It is a part of `into`: one subscription from now on, under the key of that one.

    Of parts that run at once only the one that began later counts. What was merged into it before
    goes along, so that every part names the whole itself. Raises ValidationError unless both are
    one customer's, in one currency.
    """
    if into.pk == subscription.pk:
        raise ValidationError(_("Choose another subscription than this one."))
    if (into.customer_id, into.currency) != (subscription.customer_id, subscription.currency):
        raise ValidationError(_("Only subscriptions of one customer in one currency are merged."))
    parts = [subscription.key, *_parts(subscription.key)]
    return Change(
        act="subscription.merged",
        target=_target(subscription),
        rows={"subscriptions": {key: {"merged_into": into.key} for key in parts}},
    )


def taken_apart(*, subscription: Subscription) -> Change:
    """Everything that was merged into it stands by itself again."""
    parts = {key: {"merged_into": ""} for key in _parts(subscription.key)}
    return Change(
        act="subscription.taken_apart",
        target=_target(subscription),
        rows={"subscriptions": parts},
    )


def split(*, lines: Sequence[InvoiceLine], subscription: Subscription) -> Change:
    """These rows of it become a subscription of their own, confirmed.

    Raises ValidationError for rows of another customer or currency.
    """
    _require_of(subscription, lines)
    key = _own_key(subscription.customer_id, subscription.currency)
    return Change(
        act="subscription.split",
        target=_target(subscription),
        rows={
            "lines": _lines(lines, {"subscription_key": key}),
            "subscriptions": {key: {"verdict": "confirmed"}},
        },
        counted={"rows": len(lines)},
    )


def moved(*, lines: Sequence[InvoiceLine], into: Subscription | None) -> Change:
    """These rows become a part of another subscription of their customer; None: as found."""
    if into is not None:
        _require_of(into, lines)
    values = {"subscription_key": into.key if into else ""}
    return Change(
        act="subscription.rows_moved",
        target=_target(into) if into else "",
        rows={"lines": _lines(lines, values)},
        counted={"rows": len(lines)},
    )


def made(
    *,
    line: InvoiceLine,
    period_months: int | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Change:
    """This row alone is a subscription, by hand: over a period, or from day to day.

    `end` is the first day without service.
    """
    key = _own_key(_customer_of(line), line.invoice.currency)
    said = {"type": Mark.RECURRING.value, "subscription_key": key, **_days(start, end)}
    decision = {"verdict": "confirmed", "period_months": _period(period_months)}
    return Change(
        act="subscription.made",
        target=_row(line),
        rows={"lines": {str(line.pk): said}, "subscriptions": {key: decision}},
        counted={"rows": 1, "period_months": period_months},
    )


def made_of_all_like(
    *,
    line: InvoiceLine,
    period_months: int | None = None,
    start: date | None = None,
    end: date | None = None,
) -> Change:
    """Every row of this product for this customer is a subscription, in future invoices too.

    It begins on `start` and ends before `end` where they are given.
    """
    product = product_ref(line.product_id, line.name)
    key = str(SubscriptionKey(_customer_of(line), product, line.invoice.currency))
    decision = {
        "verdict": "confirmed",
        "period_months": _period(period_months),
        "start": start,
        "end": _after(start, end),
    }
    rows = {"subscriptions": {key: decision}}
    return Change(act="subscription.made", target=_row(line), rows=rows)


def line_said(
    *,
    line: InvoiceLine,
    type: str,
    start: date | None = None,
    end: date | None = None,
) -> Change:
    """What one row is, and for when; "" leaves it to detection."""
    if type and type not in LINE_TYPES:
        raise ValidationError({"type": _("Choose one of the types in the list.")})
    said = {"type": type, **_days(start, end)}
    if not type:
        said = dict.fromkeys(("type", "subscription_key"), "") | dict.fromkeys(("start", "end"))
    return Change(act="line.said", target=_row(line), rows={"lines": {str(line.pk): said}})


def products_marked(
    *, products: Sequence[Product], mark: str | None, period_months: int | None = None
) -> Change:
    """What products are: recurring, one_off, usage or ignore; None takes the word back."""
    said = mark and {"mark": mark, "period_months": _period(period_months)}
    return Change(
        act="product.marked",
        target=products[0].name if len(products) == 1 else "",
        rows={"products": {str(product.pk): said or None for product in products}},
        counted={"count": len(products), "mark": mark} if len(products) > 1 else {},
    )


def customers_merged(*, customer: Customer, into: Customer) -> Change:
    """Both are one: figures of `customer` count for `into`, in whatever connection either stands.

    What was merged into `customer` goes along, and `into` is the one that it counts for itself,
    so that every merged customer names the whole. Raises ValidationError where both are one
    already.
    """
    whole = CustomerMerge.objects.filter(customer=into).values_list("into_id", flat=True).first()
    target = int(whole or into.pk)
    if target == customer.pk:
        raise ValidationError(_("These two count as one already."))
    parts = CustomerMerge.objects.filter(into=customer).order_by("pk")
    ids = [customer.pk, *parts.values_list("customer_id", flat=True)]
    return Change(
        act="customers.merged",
        target=_customer(customer),
        rows={"customers": {str(one): {"into_id": target} for one in ids}},
    )


def customers_parted(*, customer: Customer) -> Change:
    """It counts for itself again, and nobody counts for it."""
    parts = CustomerMerge.objects.filter(Q(customer=customer) | Q(into=customer)).order_by("pk")
    rows: dict[str, None] = {str(one): None for one in parts.values_list("customer_id", flat=True)}
    return Change(act="customers.parted", target=_customer(customer), rows={"customers": rows})


def customers_apart(*, customer: Customer, other: Customer) -> Change:
    """They look like one and are not; they are not proposed again."""
    small, large = sorted((customer.pk, other.pk))
    said = {"customer_id": small, "other_id": large}
    return Change(
        act="customers.kept_apart",
        target=_customer(customer),
        rows={"apart": {f"{small}:{large}": said}},
    )


def settings_changed(**values: Any) -> Change:
    """Other settings of the figures: only those given."""
    rows = {"settings": {str(scope.required()): values}}
    return Change(act="report.settings_changed", rows=rows)


def costs_entered(costs: Mapping[int, int | None]) -> Change:
    """What winning customers cost, in minor units by month index; None takes a cost back."""
    rows = {
        str(month): None if amount is None else {"amount_minor": amount}
        for month, amount in costs.items()
    }
    return Change(act="report.costs_entered", rows={"costs": rows})


def cash_marked(*, event: BankEvent, financing: bool | None) -> Change:
    """Whether a bank event is financing; None takes the word back."""
    said = None if financing is None else {"financing": financing}
    return Change(
        act="cash.marked",
        target=str(event.public_id),
        rows={"cash": {str(event.pk): said}},
    )


def _decided(subscription: Subscription, act: str, values: Mapping[str, Any] | None) -> Change:
    rows = {"subscriptions": {subscription.key: values}}
    return Change(act=act, target=_target(subscription), rows=rows)


# The log cannot be changed when a contact is erased, so that it names customers, bank events and
# rows by their ids: a row's own text, by which a subscription without a product goes, may hold a
# person's name. Products are named.
def _target(subscription: Subscription) -> str:
    return str(subscription.product_name if subscription.product_id else subscription.public_id)


def _row(line: InvoiceLine) -> str:
    return f"{line.invoice.public_id}/{line.position}"


def _customer(customer: Customer) -> str:
    return str(customer.public_id)


def _parts(key: str) -> list[str]:
    parts = SubscriptionDecision.objects.filter(merged_into=key).order_by("pk")
    return list(parts.values_list("key", flat=True))


def _lines(lines: Sequence[InvoiceLine], values: Mapping[str, Any]) -> dict[str, Any]:
    return {str(line.pk): values for line in lines}


def _require_of(subscription: Subscription, lines: Sequence[InvoiceLine]) -> None:
    customers = {_customer_of(line) for line in lines}
    currencies = {line.invoice.currency for line in lines}
    if not (customers <= {subscription.customer_id} and currencies <= {subscription.currency}):
        raise ValidationError(_("Rows move between subscriptions of one customer only."))


def _own_key(customer_id: int, currency: str) -> str:
    return str(SubscriptionKey(customer_id, f"{OWN}{uuid4().hex}", currency))


def _customer_of(line: InvoiceLine) -> int:
    """The customer whose figures the row counts for."""
    merged = CustomerMerge.objects.filter(customer=line.invoice.customer_id)
    found: int | None = merged.values_list("into_id", flat=True).first()
    return found or int(line.invoice.customer_id or 0)


def _days(start: date | None, end: date | None) -> dict[str, date | None]:
    """A row's own period: both ends, or neither."""
    if (start is None) != (end is None):
        raise ValidationError(_("Give both the first and the last day, or neither."))
    return {"start": start, "end": _after(start, end)}


def _after(start: date | None, end: date | None) -> date | None:
    if start is not None and end is not None and end <= start:
        raise ValidationError(_("The last day must not lie before the first day."))
    return end


def _period(months: int | None) -> int | None:
    if months is not None and months not in PERIODS:
        raise ValidationError({"period_months": _("Choose one of the periods in the list.")})
    return months
