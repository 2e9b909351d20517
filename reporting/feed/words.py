"""What people said about products, subscriptions and lines, as the engine's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from django.db.models import CharField, F, Func, QuerySet, Value

from reporting.domain.choices import (
    Decision,
    LineWord,
    Mark,
    ProductMark,
    SubscriptionKey,
    UserWords,
    Verdict,
)
from reporting.models import CustomerMerge, LineDecision, SubscriptionDecision
from reporting.models import ProductMark as ProductMarkRow


def with_merged(customer_ids: Collection[int]) -> list[int]:
    """The customers, and those whose invoices count as theirs."""
    merged = CustomerMerge.objects.filter(into__in=customer_ids)
    return sorted({*customer_ids, *merged.values_list("customer_id", flat=True)})


def read_words(customer_ids: Collection[int] | None) -> UserWords:
    """Every word of the tenant's people, or those on the given customers' subscriptions.

    What was said about a customer that is merged into another is said about the other, unless
    that one's own words differ.
    """
    into = dict(CustomerMerge.objects.values_list("customer_id", "into_id"))
    decisions = [_decision(row, into) for row in _decided(customer_ids)]
    return UserWords(
        products=tuple(
            ProductMark(
                product=f"p{row.product_id}", mark=Mark(row.mark), period_months=row.period_months
            )
            for row in ProductMarkRow.objects.order_by("pk")
        ),
        # Of two words on one subscription the later one counts.
        decisions=tuple(decision for _, decision in sorted(decisions, key=lambda one: not one[0])),
        lines=tuple(
            LineWord(
                line_id=row.line_id,
                type=Mark(row.type) if row.type else None,
                subscription=_key(row.subscription_key, into),
                start=row.start,
                end=row.end,
            )
            for row in _lines(customer_ids)
        ),
    )


def _decision(row: SubscriptionDecision, into: Mapping[int, int]) -> tuple[bool, Decision]:
    """A decision, and whether it was made about a customer that is another one now."""
    said = SubscriptionKey.parse(row.key)
    key = _follow(said, into)
    return key != said, Decision(
        key=key,
        verdict=Verdict(row.verdict) if row.verdict else None,
        period_months=row.period_months,
        start=row.start,
        end=row.end,
        paused=row.paused,
        renewal_percent=row.renewal_percent,
        merged_into=_key(row.merged_into, into),
    )


def _key(text: str, into: Mapping[int, int]) -> SubscriptionKey | None:
    return _follow(SubscriptionKey.parse(text), into) if text else None


def _follow(key: SubscriptionKey, into: Mapping[int, int]) -> SubscriptionKey:
    return key._replace(customer_id=into.get(key.customer_id, key.customer_id))


def _decided(customer_ids: Collection[int] | None) -> QuerySet[SubscriptionDecision]:
    rows = SubscriptionDecision.objects.order_by("pk")
    if customer_ids is None:
        return rows
    # A key begins with its customer.
    parts = (F("key"), Value("|"), Value(1))
    owner = Func(*parts, function="split_part", output_field=CharField())
    return rows.annotate(owner=owner).filter(owner__in=[str(one) for one in customer_ids])


def _lines(customer_ids: Collection[int] | None) -> QuerySet[LineDecision]:
    rows = LineDecision.objects.order_by("pk")
    if customer_ids is None:
        return rows
    return rows.filter(line__invoice__customer__in=customer_ids)
