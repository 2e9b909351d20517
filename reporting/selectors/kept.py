"""What the kept pieces of a page of figures depend on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from django.db import connection as database

from calqsync.tenancy import scope
from reporting.body import BODY_VERSION, Body
from reporting.models import Report
from reporting.selectors import aggregates
from reporting.selectors.figures import STATE
from reporting.selectors.frame import Published
from reporting.selectors.restated_news import NEWS
from reporting.selectors.versions import KNOWN

# What an address may ask of a page that is kept; figures of an earlier day are asked for rarely.
ADDRESS = {*STATE, "key"} - {KNOWN}
# Nothing is kept while a change waits to be published: names may be other ones already.
_STATE = """
    SELECT r.version, r.published_at, r.freshness, to_jsonb(s)::text,
        (SELECT max(t.at) FROM reporting_restatement t WHERE t.tenant_id = r.tenant_id)
    FROM reporting_report r
    LEFT JOIN reporting_reportsettings s ON s.tenant_id = r.tenant_id
    WHERE r.tenant_id = %s
        AND NOT EXISTS (SELECT FROM reporting_bookschange b WHERE b.tenant_id = r.tenant_id)
"""


@dataclass(frozen=True, slots=True)
class State:
    """Which figures are published, and under which settings they are shown."""

    facts: tuple[object, ...]
    """Equal for equal pages, as far as figures go."""
    freshness: list[dict[str, Any]]
    restated_at: datetime | None
    """When a figure of a closed month last changed."""

    def restated(self, now: datetime) -> bool:
        """Whether there may be news of closed months."""
        return self.restated_at is not None and self.restated_at > now - NEWS

    def published(self, *, aggregates_only: bool) -> Published:
        """What the note of freshness is made from; without figures."""
        rows = aggregates.freshness_of(self.freshness) if aggregates_only else self.freshness
        return Published(Report(freshness=rows), cast(Body, {}), rows)


def state() -> State | None:
    """The state of the tenant in scope; None where a page is not to be kept."""
    with database.cursor() as cursor:
        cursor.execute(_STATE, [scope.required()])
        found = cursor.fetchone()
    if found is None:
        return None
    version, published_at, freshness, settings, restated_at = found
    facts = (BODY_VERSION, version, published_at, settings)
    return State(facts, json.loads(freshness), restated_at)
