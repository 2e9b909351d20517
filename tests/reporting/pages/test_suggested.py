"""Where a product's customers agree what it is, one click says it, and can be taken back."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from reporting.domain.votes import Vote
from reporting.models import Edit, ProductMark, Subscription
from reporting.selectors.products import products_suggested
from reporting.services import edit_undo, product_votes
from tests.conftest import Cast
from tests.factories import customer_make, monthly_make, product_make
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import queries_of, text

PANEL = "Customers agree what these are"


@pytest.fixture
def plan(shop: Any) -> Any:
    """A product that three customers are billed for each month."""
    for name in ("Dahl Ab", "Ek Ab"):
        customer = customer_make(shop["eu"], name)
        monthly_make(customer, shop["plan"], ["2026-01", "2026-02", "2026-03"], net="70.00")
    refreshed()
    return shop["plan"]


def test_what_most_customers_are_billed_for_in_a_rhythm_is_marked_with_one_click(
    cast: Cast, bob: Client, plan: Any
) -> None:
    page = text(bob.get(cast.url("products/")))
    panel = page[page.index(PANEL) :].split("</section>")[0]
    assert "3 of 3 repeat customers are billed for it at regular intervals" in panel
    fields = dict(re.findall(r'name="(mark-[^"]+)" value="([^"]+)"', panel))
    (pressed,) = re.findall(r'name="save" value="([^"]+)"', panel)
    data = {**fields, "save": pressed, "seen": "yes"}
    bob.post(cast.url("products/mark/"), data)
    mark = ProductMark.objects.get()
    assert (mark.product, mark.mark, mark.period_months) == (plan, "recurring", None)
    assert PANEL not in text(bob.get(cast.url("products/"))), "it is settled"
    edit_undo(edit=Edit.objects.get(), by=cast.bob)
    assert PANEL in text(bob.get(cast.url("products/")))


def test_two_customers_are_too_few_to_suggest_anything(cast: Cast, bob: Client, shop: Any) -> None:
    assert PANEL not in text(bob.get(cast.url("products/")))
    assert all(vote.customers < 3 for vote in product_votes().values())


def test_what_none_of_several_customers_is_billed_for_in_a_rhythm_is_called_one_off(
    cast: Cast, shop: Any
) -> None:
    Subscription.objects.update(counted=False)
    found = {shop["plan"].pk: Vote(0, 3, 1), shop["hours"].pk: Vote(0, 9, 1)}
    (one,) = products_suggested(tenant=cast.tenant, votes=found)
    assert (one["name"], one["code"]) == ("Alusta", "one_off"), "hours have no subscription"
    assert products_suggested(tenant=cast.tenant, votes={shop["plan"].pk: Vote(1, 3, 1)}) == []


def test_what_counts_in_mrr_is_never_called_one_off_for_want_of_a_rhythm(
    cast: Cast, shop: Any
) -> None:
    seats = product_make(shop["eu"], "Paikat")
    for name in ("Dahl Ab", "Ek Ab", "Fors Ab"):
        customer = customer_make(shop["eu"], name)
        for month, net in (("2025-10", "70.00"), ("2025-12", "190.00"), ("2026-03", "20.00")):
            monthly_make(customer, seats, [month], net=net)
    refreshed()
    vote = product_votes()[seats.pk]
    assert (vote.customers, vote.recurring) == (3, 0)
    assert products_suggested(tenant=cast.tenant, votes=product_votes()) == []


def test_only_who_may_mark_is_shown_it_and_the_page_stays_within_its_questions(
    cast: Cast, bob: Client, vera: Client, plan: Any
) -> None:
    assert PANEL not in text(vera.get(cast.url("products/")))
    assert PANEL not in text(bob.get(cast.url("products/?mark=unmarked")))
    asked = queries_of(bob, cast.url("products/"))
    assert len(asked) <= 12, asked
