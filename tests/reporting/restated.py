"""What a publication restated, as tests read it."""

from __future__ import annotations

from reporting.models import Restatement


def index(month: str) -> int:
    return int(month[:4]) * 12 + int(month[5:]) - 1


def of(metric: str, month: str) -> Restatement:
    return Restatement.objects.get(metric=metric, month=index(month))


def causes(metric: str, month: str) -> list[tuple[str, str | None, int]]:
    """(code, the document's number, amount) of one restated figure."""
    return [
        (cause["code"], cause["params"].get("number"), cause["amount_minor"])
        for cause in of(metric, month).causes
    ]


def restated() -> dict[str, dict[str, int]]:
    """What changed, by month and metric."""
    found: dict[str, dict[str, int]] = {}
    for row in Restatement.objects.order_by("month", "metric"):
        assert sum(cause["amount_minor"] for cause in row.causes) == (
            row.after_minor - row.before_minor
        ), row
        month = f"{row.month // 12:04d}-{row.month % 12 + 1:02d}"
        found.setdefault(month, {})[row.metric] = row.after_minor - row.before_minor
    return found
