"""May this company import, and how often: one function of state and date."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.utils.translation import gettext_lazy as _

from billing.models import Plan

# The fewest hours between two imports that run by themselves; a trial has what Growth has.
SHORTEST_HOURS: dict[str, int] = {Plan.STARTER: 6, Plan.GROWTH: 1}
SHORTEST_OF_ALL = min(SHORTEST_HOURS.values())


class Standing(StrEnum):
    TRIAL = "trial"
    PAID = "paid"
    ENDED = "ended"


class PlanNeeded(Exception):
    """The trial or the plan has ended: imports stop, everything imported stays visible."""

    advice = _("Choose a plan to import again. Everything imported so far stays visible.")


@dataclass(frozen=True, slots=True)
class Entitlement:
    """What a company may do at an instant, and how many whole days of trial remain.

    `every_hours` is how often a connection may import by itself: each so many hours at most.
    """

    standing: Standing
    days_left: int | None = None
    every_hours: int = SHORTEST_OF_ALL

    @property
    def may_import(self) -> bool:
        return self.standing is not Standing.ENDED


def entitlement(
    *, trial_ends_at: datetime, plan: str, paid_until: datetime | None, now: datetime
) -> Entitlement:
    """The company's standing at `now`; a plan without an end date is open-ended."""
    if plan and (paid_until is None or now < paid_until):
        every_hours = SHORTEST_HOURS.get(plan, SHORTEST_OF_ALL)
        return Entitlement(Standing.PAID, every_hours=every_hours)
    if now < trial_ends_at:
        return Entitlement(
            Standing.TRIAL, math.ceil((trial_ends_at - now).total_seconds() / 86_400)
        )
    return Entitlement(Standing.ENDED)
