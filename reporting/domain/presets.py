"""Settings as other tools have them, so that a founder can compare our figures with theirs.

Names and values are those of a tenant's settings of figures. Where a tool says nothing, or where
it works on events that accounting data do not have, the preset keeps our own choice.

Ours:
- Any gap before a return is a reactivation; any change is one (tolerance 0).
- A pause is churn that says so; a plan discounted by 100 % ends: nothing is paid for.
- Unpaid invoices count: a late payer is still a customer. Quarters and years are classified from
  their own first and last day (as Fincome does), so that they say what changed over them.
- Lifetime value is margin-adjusted: ARPA × gross margin ÷ customer churn of six months.

Like ChartMogul (help 203299812, 201244842, 207340419):
- Any gap is a reactivation; past-due subscriptions count unless its auto-cancel is switched on.
- A 100 % discount keeps the customer active at 0: a contraction (a setting there; its default).
- Paused subscriptions arrive as cancelled: churn.
- Quarters and years add up their months, which its users expect to see.
- Lifetime value: ARPA ÷ customer churn, mean of six months without the current one.

Like Baremetrics (metric sheet and academy):
- More than 30 days delinquent is churned; a 100 % coupon is churned; free to paid is new.
- Windows compare the state now with the state a period ago, as our own quarters do.
- Lifetime value: ARPU ÷ user churn, the same formula as ChartMogul's.
"""

from __future__ import annotations

from collections.abc import Mapping

Value = str | int | None

OURS: Mapping[str, Value] = {
    "reactivation_months": None,
    "tolerance_bp": 0,
    "pause_handling": "churn",
    "free_plans": "ended",
    "overdue_days": None,
    "period_view": "reclassified",
    "ltv": "ours",
}
CHARTMOGUL: Mapping[str, Value] = {
    **OURS,
    "free_plans": "kept",
    "period_view": "summed",
    "ltv": "chartmogul",
}
BAREMETRICS: Mapping[str, Value] = {**OURS, "overdue_days": 30, "ltv": "chartmogul"}
PRESETS: Mapping[str, Mapping[str, Value]] = {
    "ours": OURS,
    "chartmogul": CHARTMOGUL,
    "baremetrics": BAREMETRICS,
}


def preset_of(values: Mapping[str, Value]) -> str | None:
    """The name of the preset that these settings are, or None where they are none."""
    for name, preset in PRESETS.items():
        if all(values[key] == value for key, value in preset.items()):
            return name
    return None
