"""Whole columns reach a tenant's table unchanged, and only what differs is written."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from calqsync.tenancy import scope
from calqsync.tenancy.bulk import Written, check_keys, former_table, replace_rows
from reporting.models import CustomerFigure, SubscriptionDecision
from tests.conftest import Cast
from tests.factories import connection_make, customer_make


def decisions(**keys: str) -> dict[str, list[Any]]:
    """Columns of decisions by key and verdict."""
    size = len(keys)
    return {
        "key": list(keys),
        "verdict": list(keys.values()),
        "period_months": [None] * size,
        "start": [None] * size,
        "end": [None] * size,
        "paused": [False] * size,
        "by_id": [None] * size,
        "at": ["2026-01-01T00:00:00+00:00"] * size,
    }


def replace(**keys: str) -> Written:
    return replace_rows(SubscriptionDecision, key=["key"], columns=decisions(**keys))


def stored() -> dict[str, str]:
    return dict(SubscriptionDecision.objects.values_list("key", "verdict"))


def test_rows_become_exactly_the_given_ones(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk):
        assert replace(a="confirmed", b="rejected") == Written(added=2)
        assert replace(b="confirmed", c="rejected") == Written(added=1, changed=1, removed=1)
        assert stored() == {"b": "confirmed", "c": "rejected"}


def test_same_rows_are_not_written_again(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk):
        replace(a="confirmed")
        before = SubscriptionDecision.objects.extra(select={"v": "ctid::text"}).get().v
        assert replace(a="confirmed").total == 0
        assert SubscriptionDecision.objects.extra(select={"v": "ctid::text"}).get().v == before


def test_no_rows_empty_the_tenant_s_table(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk):
        replace(a="confirmed")
        assert replace() == Written(removed=1)


def test_another_tenant_s_rows_stay(cast: Cast) -> None:
    with scope.tenant(cast.stranger_tenant.pk):
        replace(a="rejected")
    with scope.tenant(cast.tenant.pk):
        replace(a="confirmed")
        replace()
    with scope.tenant(cast.stranger_tenant.pk):
        assert stored() == {"a": "rejected"}


@pytest.mark.parametrize("text", ["tab\there", "line\nbreak", r"back\slash \N \.", "Åäö €", ""])
def test_any_text_survives(cast: Cast, text: str) -> None:
    with scope.tenant(cast.tenant.pk):
        replace(**{text: "confirmed"})
        assert stored() == {text: "confirmed"}


def figure_of(customer_id: int) -> dict[str, list[Any]]:
    counts = ("mrr_now_e4", "invoiced_minor", "open_minor", "overdue_minor", "subscriptions")
    return {
        "customer_id": [customer_id],
        "mrr_e4": [[1, -2]],
        "fx_e4": [[]],
        "moves": [[3]],
        **{name: [0] for name in ("first_month", *counts)},
    }


def test_a_key_to_a_row_that_is_not_there_is_refused_when_asked(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk):
        replace_rows(CustomerFigure, key=["customer_id"], columns=figure_of(987654321))
        with pytest.raises(IntegrityError), transaction.atomic():
            check_keys()
        CustomerFigure.objects.all().delete()


def test_lists_of_numbers_are_stored(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk):
        customer = customer_make(connection_make())
        replace_rows(CustomerFigure, key=["customer_id"], columns=figure_of(customer.pk))
        figure = CustomerFigure.objects.get()
        assert (figure.mrr_e4, figure.fx_e4, figure.moves) == ([1, -2], [], [3])


def test_what_changed_rows_were_is_kept_until_the_commit(cast: Cast) -> None:
    with scope.tenant(cast.tenant.pk), connection.cursor() as cursor:
        replace(same="confirmed", changed="rejected", gone="rejected")
        wanted = decisions(same="confirmed", changed="confirmed", new="rejected")
        replace_rows(SubscriptionDecision, key=["key"], columns=wanted, keep_former=True)
        former = former_table(SubscriptionDecision)
        cursor.execute(f"SELECT key, verdict, id IS NULL FROM {former} ORDER BY key")
        kept = [("changed", "rejected", False), ("gone", "rejected", False), ("new", None, True)]
        assert cursor.fetchall() == kept
        assert stored() == {"same": "confirmed", "changed": "confirmed", "new": "rejected"}
