"""Customers that look like one: the same business id or name, or one that goes on as another."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from django.db import connection
from django.db.models import BigIntegerField, F, Value
from django.db.models.functions import Coalesce

from calqsync.tenancy import scope
from integrations.models import Customer
from reporting.models import CustomerMerge

MOST = 50
"""Proposals made at once; the next ones follow when these are settled."""
ENDS = 2_000
"""Subscriptions looked at whose customers left, those that ended last; whom they go on as begins
within weeks of that, so that an older one was proposed in its time."""
EARLIER, LATER = 7, 45
"""How many days before or after the end of one customer's service its namesake's may begin."""
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
    WITH groups AS (
        SELECT f.why, f.folded, array_agg(c.id ORDER BY c.id) AS ids
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
    )
    SELECT g.why, g.ids[1], other FROM groups g CROSS JOIN LATERAL unnest(g.ids[2:]) other
    WHERE NOT EXISTS (SELECT FROM reporting_customersapart a WHERE a.tenant_id = %(tenant)s
        AND a.customer_id = g.ids[1] AND a.other_id = other)
    ORDER BY g.why, g.folded, other LIMIT %(most)s
"""

# A customer whose last subscription ended, and a new one that buys the same for the same. Where
# several did, the price is a usual one and says nothing about who follows whom. One that bought
# before the other left is no new name for it. Months meet months, and then days: a product that
# everybody buys would else be compared with itself.
_CONTINUED = """
    WITH runs AS MATERIALIZED (
        SELECT customer_id, product_id, currency, first_start, last_end, status,
            date_trunc('month', first_start::timestamp) AS begun
        FROM reporting_subscription
        WHERE tenant_id = %(tenant)s AND product_id IS NOT NULL AND counted
    ), people AS MATERIALIZED (
        SELECT customer_id, min(first_start) AS since, bool_and(status = 'churned') AS gone
        FROM runs GROUP BY customer_id
    ), ended AS MATERIALIZED (
        SELECT r.* FROM runs r JOIN people p USING (customer_id)
        WHERE p.gone ORDER BY r.last_end DESC, r.customer_id LIMIT %(ends)s
    ), months AS MATERIALIZED (
        SELECT e.customer_id, e.product_id, e.currency, e.last_end,
            date_trunc('month', (e.last_end - %(earlier)s)::timestamp)
                + place * interval '1 month' AS month
        FROM ended e CROSS JOIN (VALUES (0), (1), (2)) place (place)
    ), newcomers AS MATERIALIZED (
        SELECT r.customer_id, r.product_id, r.currency, r.first_start, r.begun
        FROM runs r JOIN people p USING (customer_id)
        WHERE r.first_start <= p.since + %(earlier)s + %(later)s
            AND r.first_start >= (SELECT min(last_end) FROM ended) - %(earlier)s
    ), pairs AS MATERIALIZED (
        SELECT DISTINCT e.customer_id AS gone, r.customer_id AS came
        FROM months e
        JOIN newcomers r ON r.product_id = e.product_id AND r.currency = e.currency
            AND r.begun = e.month AND r.customer_id <> e.customer_id
            AND r.first_start BETWEEN e.last_end - %(earlier)s AND e.last_end + %(later)s
        JOIN people p ON p.customer_id = r.customer_id AND p.since >= e.last_end - %(earlier)s
    ), prices AS MATERIALIZED (
        SELECT f.customer_id,
            (SELECT mrr FROM unnest(f.mrr_e4) WITH ORDINALITY m (mrr, place)
                WHERE mrr <> 0 ORDER BY place LIMIT 1) AS begins,
            (SELECT mrr FROM unnest(f.mrr_e4) WITH ORDINALITY m (mrr, place)
                WHERE mrr <> 0 ORDER BY place DESC LIMIT 1) AS ends
        FROM reporting_customerfigure f WHERE f.tenant_id = %(tenant)s
            AND f.customer_id IN (SELECT gone FROM pairs UNION SELECT came FROM pairs)
    ), alike AS (
        SELECT gone, came, count(*) OVER (PARTITION BY gone) AS followers,
            count(*) OVER (PARTITION BY came) AS forerunners
        FROM pairs JOIN prices g ON g.customer_id = gone JOIN prices c ON c.customer_id = came
        WHERE abs(g.ends - c.begins) * 100 <= g.ends * %(percent)s
    )
    SELECT gone, came FROM alike WHERE followers = 1 AND forerunners = 1
        AND NOT EXISTS (SELECT FROM reporting_customersapart a WHERE a.tenant_id = %(tenant)s
            AND a.customer_id = least(gone, came) AND a.other_id = greatest(gone, came))
    ORDER BY gone, came LIMIT %(most)s
"""


def doubles() -> list[Double]:
    """At most MOST proposals, those with the most MRR first; none that a person kept apart."""
    pairs: dict[tuple[int, int], Why] = {}
    for why, one, other in (*_alike(), *_continued()):
        pairs.setdefault((min(one, other), max(one, other)), why)
    return _as_proposals(pairs)


def _alike() -> list[tuple[Why, int, int]]:
    asked = {"tenant": scope.required(), "most": 4 * MOST}
    with connection.cursor() as cursor:
        cursor.execute(_ALIKE, asked)
        return list(cursor.fetchall())


def _continued() -> list[tuple[Why, int, int]]:
    asked = {"tenant": scope.required(), "most": 4 * MOST, "ends": ENDS}
    asked |= {"earlier": EARLIER, "later": LATER, "percent": SAME_PRICE_PERCENT}
    with connection.cursor() as cursor:
        cursor.execute(_CONTINUED, asked)
        return [("continues", gone, came) for gone, came in cursor.fetchall()]


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
