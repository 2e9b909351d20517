"""What members say about products and subscriptions is kept, and the figures follow."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.test import Client

from calqsync.jobs.services import live_job
from reporting.models import ProductMark, Report, Subscription, SubscriptionDecision
from reporting.services import KIND
from tests.conftest import Cast
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text


@pytest.fixture
def found(shop: Any) -> Any:
    return Subscription.objects.get(customer=shop["aalto"])


def say(client: Client, cast: Cast, word: str, row: Any, **more: str) -> Any:
    """Said by a person who has seen what it does."""
    data = {"say": f"{word}:{row.public_id}", "seen": "yes", **more}
    return client.post(cast.url("subscriptions/say/"), data, follow=True)


def test_rejecting_takes_a_subscription_out_of_mrr(cast: Cast, bob: Client, found: Any) -> None:
    page = text(say(bob, cast, "reject", found))
    assert "Figures are being recomputed" in page
    assert live_job(kind=KIND) is not None
    refreshed()
    assert Report.objects.get().body["now"]["mrr_minor"] == 3333
    assert "Rejected" in text(bob.get(cast.url(f"subscriptions/{found.public_id}/")))


def test_confirming_and_clearing_are_kept(cast: Cast, bob: Client, found: Any) -> None:
    say(bob, cast, "confirm", found)
    assert SubscriptionDecision.objects.get().verdict == "confirmed"
    say(bob, cast, "clear", found)
    assert not SubscriptionDecision.objects.exists()


def test_all_that_are_certain_are_confirmed_at_once(cast: Cast, bob: Client, found: Any) -> None:
    bob.post(cast.url("subscriptions/say/"), {"say": "confirm-certain"})
    assert SubscriptionDecision.objects.count() == 2


def test_a_changed_row_says_that_it_is_being_counted(cast: Cast, bob: Client, found: Any) -> None:
    say(bob, cast, "confirm", found)
    page = text(bob.get(cast.url("subscriptions/")))
    assert "being counted" in page
    assert 'hx-trigger="every 3s"' in page


def test_editing_keeps_the_last_day_as_the_day_before_the_end(
    cast: Cast, bob: Client, found: Any
) -> None:
    edit = cast.url(f"subscriptions/{found.public_id}/edit/")
    bob.post(
        edit, {"period_months": "3", "start": "2026-01-01", "last": "2026-03-31", "seen": "yes"}
    )
    said = SubscriptionDecision.objects.get()
    assert (said.period_months, said.start, said.end) == (3, date(2026, 1, 1), date(2026, 4, 1))
    page = text(bob.get(cast.url(f"subscriptions/{found.public_id}/")))
    assert 'value="2026-03-31"' in page


def test_a_mistake_in_the_form_keeps_what_was_typed(cast: Cast, bob: Client, found: Any) -> None:
    edit = cast.url(f"subscriptions/{found.public_id}/edit/")
    response = bob.post(edit, {"start": "2026-03-01", "last": "2026-01-31"})
    assert response.status_code == 422
    assert "must not lie before" in text(response)
    assert 'value="2026-01-31"' in text(response)
    assert not SubscriptionDecision.objects.exists()


@pytest.mark.parametrize("day", ["9999-12-31", "0001-01-01"])
@pytest.mark.parametrize("end", ["start", "last"])
def test_a_slip_in_the_year_is_refused(
    cast: Cast, bob: Client, found: Any, end: str, day: str
) -> None:
    edit = cast.url(f"subscriptions/{found.public_id}/edit/")
    assert bob.post(edit, {end: day}).status_code == 422
    assert not SubscriptionDecision.objects.exists()


def test_a_product_is_marked_with_its_period(cast: Cast, bob: Client, shop: Any) -> None:
    plan = shop["plan"]
    data = {"save": str(plan.public_id), f"mark-{plan.public_id}": "recurring-3", "seen": "yes"}
    page = text(bob.post(cast.url("products/mark/"), data, follow=True))
    assert "1 product marked." in page
    mark = ProductMark.objects.get()
    assert (mark.product_id, mark.mark, mark.period_months) == (plan.pk, "recurring", 3)


def test_ticked_products_are_marked_at_once(cast: Cast, bob: Client, shop: Any) -> None:
    ticked = [str(shop[name].public_id) for name in ("plan", "hours")]
    data = {"save": "ticked", "mark": "ignore", "product": ticked, "seen": "yes"}
    bob.post(cast.url("products/mark/"), data)
    assert ProductMark.objects.filter(mark="ignore").count() == 2


def test_a_mark_is_taken_back(cast: Cast, bob: Client, shop: Any) -> None:
    plan = shop["plan"]
    for code in ("usage", ""):
        data = {"save": str(plan.public_id), f"mark-{plan.public_id}": code, "seen": "yes"}
        bob.post(cast.url("products/mark/"), data)
    assert not ProductMark.objects.exists()


def test_marking_nothing_says_so(cast: Cast, bob: Client, shop: Any) -> None:
    data = {"save": "ticked", "mark": "usage"}
    page = text(bob.post(cast.url("products/mark/"), data, follow=True))
    assert "Tick the products to mark first." in page


def test_viewers_see_no_controls_and_may_not_post(
    cast: Cast, vera: Client, shop: Any, found: Any
) -> None:
    assert 'name="say"' not in text(vera.get(cast.url("subscriptions/")))
    assert 'form="marks"' not in text(vera.get(cast.url("products/")))
    assert say(vera, cast, "confirm", found).status_code == 403
    assert vera.post(cast.url("products/mark/"), {"save": "ticked"}).status_code == 403
    edit = cast.url(f"subscriptions/{found.public_id}/edit/")
    assert vera.post(edit, {}).status_code == 403


def test_a_stranger_cannot_decide(cast: Cast, as_person: Any, shop: Any, found: Any) -> None:
    mallory = as_person("mallory")
    own = f"/t/{cast.stranger_tenant.slug}/"
    data = {"say": f"confirm:{found.public_id}"}
    assert mallory.post(f"{own}subscriptions/say/", data).status_code == 404
    marked = {"save": "ticked", "mark": "usage", "product": [str(shop["plan"].public_id)]}
    assert mallory.post(f"{own}products/mark/", marked).status_code == 404
    assert mallory.post(cast.url("subscriptions/say/"), data).status_code == 404


def test_an_unknown_word_is_not_found(cast: Cast, bob: Client, found: Any) -> None:
    for word in ["", "confirm", "confirm:zz", "drop:1"]:
        response = bob.post(cast.url("subscriptions/say/"), {"say": word})
        assert response.status_code == 404, word


def test_after_saying_the_filters_are_still_there(cast: Cast, bob: Client, found: Any) -> None:
    here = f"http://testserver{cast.url('subscriptions/')}?status=late&q=Aalto"
    data = {"say": f"confirm:{found.public_id}"}
    response = bob.post(cast.url("subscriptions/say/"), data, headers={"referer": here})
    assert response["Location"] == f"{cast.url('subscriptions/')}?status=late&q=Aalto"


def test_a_foreign_referrer_leads_nowhere_else(cast: Cast, bob: Client, found: Any) -> None:
    data = {"say": f"confirm:{found.public_id}"}
    headers = {"referer": "https://evil.example/t/?x=1"}
    response = bob.post(cast.url("subscriptions/say/"), data, headers=headers)
    assert response["Location"] == cast.url("subscriptions/")
