"""Customers that look like one: the same business id or name, or one that goes on as another."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from django.db import connection
from django.db.models import BigIntegerField, F, Value
from django.db.models.functions import Coalesce

from calqsync.tenancy import scope
from integrations.models import Customer
from reporting.models import CustomerFigure, CustomerMerge, CustomersApart, Subscription

MOST = 50
"""Proposals made at once; the next ones follow when these are settled."""
EARLIER, LATER = timedelta(days=7), timedelta(days=45)
"""How far before or after the end of one customer's service its namesake's may begin."""
SAME_PRICE_PERCENT = 1

_BUSINESS_ID = re.compile(r"\d{7}-?\d")
"""A Finnish one: of each company one, under which it registers its name."""

Why = Literal["business_id", "name", "continues"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Double:
    """Two customers that may be one; `into` is the one that brings more now."""

    customer: Any
    into: Any
    why: Why
    mrr_e4: int
    """MRR of both now."""


# Legal forms and everything but letters and digits say nothing about who it is.
_ALIKE = r"""
    SELECT f.why, array_agg(c.id ORDER BY c.id)
    FROM integrations_customer c CROSS JOIN LATERAL (VALUES
        ('business_id', lower(regexp_replace(c.business_id, '[^[:alnum:]]', '', 'g'))),
        ('name', regexp_replace(regexp_replace(lower(c.name),
            '\m(oyj|oy|ab|abp|ky|tmi|ay|ry|ltd|inc|llc|gmbh|as|aps|oü|sa|bv|plc)\M', '', 'g'),
            '[^[:alnum:]]', '', 'g'))
    ) f (why, folded)
    WHERE c.tenant_id = %(tenant)s AND c.removed_at IS NULL AND f.folded <> ''
        AND NOT EXISTS (SELECT FROM reporting_customermerge m
            WHERE m.tenant_id = c.tenant_id AND m.customer_id = c.id)
    GROUP BY f.why, f.folded HAVING count(*) > 1
    ORDER BY f.why, f.folded LIMIT %(most)s
"""


def doubles() -> list[Double]:
    """At most MOST proposals, those with the most MRR first; none that a person kept apart."""
    pairs: dict[tuple[int, int], Why] = {}
    apart = set(CustomersApart.objects.values_list("customer_id", "other_id"))
    for why, small, large in (*_alike(), *_continued()):
        pair = (min(small, large), max(small, large))
        if pair not in apart:
            pairs.setdefault(pair, why)
    return _as_proposals(pairs)


def _alike() -> Iterator[tuple[Why, int, int]]:
    with connection.cursor() as cursor:
        cursor.execute(_ALIKE, {"tenant": scope.required(), "most": 4 * MOST})
        groups = cursor.fetchall()
    for why, ids in groups:
        for other in ids[1:]:
            yield why, ids[0], other


def _continued() -> Iterator[tuple[Why, int, int]]:
    """A customer whose last subscription ended, and a new one that buys the same for the same.

    Where several did, the price is a usual one and says nothing about who follows whom.
    """
    runs = Subscription.objects.filter(product__isnull=False, counted=True).values_list(
        "customer_id", "product_id", "currency", "first_start", "last_end", "status"
    )
    begun: dict[tuple[int, str], list[tuple[date, int]]] = defaultdict(list)
    ended: list[tuple[int, tuple[int, str], date]] = []
    running: set[int] = set()
    first: dict[int, date] = {}
    for customer, product, currency, start, end, status in runs.iterator():
        begun[product, currency].append((start, customer))
        first[customer] = min(first.get(customer, start), start)
        if status == "churned":
            ended.append((customer, (product, currency), end))
        else:
            running.add(customer)
    for starts in begun.values():
        starts.sort()
    found = [
        (gone, came)
        for gone, what, end in ended
        if gone not in running
        for came in _began(begun[what], end)
        # One that bought before the other left is no new name for it.
        if came != gone and first[came] >= end - EARLIER
    ]
    histories = _histories({one for pair in found for one in pair})
    alike = {
        (gone, came)
        for gone, came in found
        if _same_price(histories.get(gone, []), histories.get(came, []))
    }
    left, begun_as = Counter(gone for gone, _ in alike), Counter(came for _, came in alike)
    for gone, came in sorted(alike):
        if left[gone] == begun_as[came] == 1:
            yield "continues", gone, came


def _began(starts: list[tuple[date, int]], end: date) -> Iterator[int]:
    at = bisect_left(starts, (end - EARLIER, 0))
    while at < len(starts) and starts[at][0] <= end + LATER:
        yield starts[at][1]
        at += 1


def _histories(customers: Iterable[int]) -> Mapping[int, list[int]]:
    wanted = list(customers)
    if not wanted:
        return {}
    rows = CustomerFigure.objects.filter(customer__in=wanted)
    return dict(rows.values_list("customer_id", "mrr_e4"))


def _same_price(gone: list[int], came: list[int]) -> bool:
    last = next((mrr for mrr in reversed(gone) if mrr), 0)
    begins = next((mrr for mrr in came if mrr), 0)
    return last > 0 and abs(last - begins) * 100 <= last * SAME_PRICE_PERCENT


def _two_companies(known: Mapping[int, Any], pair: tuple[int, int]) -> bool:
    """Whether two of one name, legal form included, are registered as different companies."""
    one, other = (known[pk] for pk in pair)
    ids = {row.business_id.strip().replace("-", "") for row in (one, other)}
    registered = all(_BUSINESS_ID.fullmatch(row.business_id.strip()) for row in (one, other))
    return registered and len(ids) == 2 and one.name.casefold() == other.name.casefold()


def _as_proposals(pairs: Mapping[tuple[int, int], Why]) -> list[Double]:
    ids = {one for pair in pairs for one in pair}
    found = Customer.objects.filter(pk__in=ids).exclude(
        pk__in=CustomerMerge.objects.values("customer")
    )
    mrr_now = Coalesce(F("figures__mrr_now_e4"), Value(0), output_field=BigIntegerField())
    found = found.select_related("connection").annotate(mrr_e4=mrr_now)
    known = {row.pk: row for row in found} if ids else {}
    proposals = []
    for pair, why in pairs.items():
        if all(one in known for one in pair) and not (
            why == "name" and _two_companies(known, pair)
        ):
            both = sorted((known[one] for one in pair), key=lambda one: (-one.mrr_e4, one.pk))
            whole, part = both
            mrr = part.mrr_e4 + whole.mrr_e4
            proposals.append(Double(customer=part, into=whole, why=why, mrr_e4=mrr))
    return sorted(proposals, key=lambda one: (-one.mrr_e4, one.into.sort_key))[:MOST]
