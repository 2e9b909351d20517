"""The review screen, what is shown before a change is saved, and the way back."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from integrations.models import InvoiceLine
from reporting.models import (
    Edit,
    LineDecision,
    ProductMark,
    ReportSettings,
    Subscription,
    SubscriptionDecision,
)
from tests.conftest import Cast
from tests.factories import Row, invoice_make, monthly_make, product_make
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import queries_of, text


@pytest.fixture
def found(shop: Any) -> Any:
    return Subscription.objects.get(customer=shop["aalto"])


def post(client: Client, cast: Cast, path: str, **data: Any) -> Any:
    return client.post(cast.url(path), data, follow=True)


def say(client: Client, cast: Cast, word: str, row: Any, **more: str) -> Any:
    return post(client, cast, "subscriptions/say/", say=f"{word}:{row.public_id}", **more)


class TestPreview:
    def test_what_moves_mrr_is_shown_and_not_saved(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        page = text(say(bob, cast, "reject", found))
        assert "Nothing is saved yet" in page
        assert "€133.32 → €33.33" in page
        assert "Aalto Oy" in page
        assert not SubscriptionDecision.objects.exists()

    def test_the_form_under_it_saves_what_was_asked(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        shown = say(bob, cast, "reject", found)
        fields = dict(shown.context["fields"]) | {"seen": "yes", "came": shown.context["came"]}
        bob.post(cast.url("subscriptions/say/"), fields)
        assert SubscriptionDecision.objects.get().verdict == "rejected"

    def test_what_moves_no_month_is_saved_at_once(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        say(bob, cast, "confirm", found)
        assert SubscriptionDecision.objects.get().verdict == "confirmed"

    def test_saving_leads_back_to_the_page_with_its_filters(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        came = f"{cast.url('subscriptions/review/')}?show=counted"
        data = {"say": f"reject:{found.public_id}", "seen": "yes", "came": came, "from": "review"}
        response = bob.post(cast.url("subscriptions/say/"), data)
        assert response["Location"] == came

    @pytest.mark.parametrize("came", ["https://evil.example/", "//evil.example/", "javascript:x"])
    def test_a_form_leads_to_no_other_site(
        self, cast: Cast, bob: Client, found: Any, came: str
    ) -> None:
        edit = say(bob, cast, "confirm", found, seen="yes", came=came).context
        assert edit is not None
        undo = cast.url(f"subscriptions/edits/{Edit.objects.get().public_id}/undo/")
        assert bob.post(undo, {"came": came})["Location"] == cast.url("subscriptions/edits/")

    def test_a_product_shows_what_it_does_to_all_its_customers(
        self, cast: Cast, bob: Client, shop: Any
    ) -> None:
        ticked = [str(shop["plan"].public_id)]
        page = text(
            post(bob, cast, "products/mark/", save="ticked", mark="one_off", product=ticked)
        )
        assert "Mark Alusta: One-off" in page
        assert "€133.32 → €33.33" in page
        assert not ProductMark.objects.exists()

    def test_an_edit_is_shown_first(self, cast: Cast, bob: Client, found: Any) -> None:
        path = f"subscriptions/{found.public_id}/edit/"
        page = text(post(bob, cast, path, last="2026-02-28"))
        assert "Edit Aalto Oy: Alusta" in page
        assert 'name="last" value="2026-02-28"' in page
        assert not SubscriptionDecision.objects.exists()


class TestUndo:
    def test_the_banner_takes_the_act_back(self, cast: Cast, bob: Client, found: Any) -> None:
        page = text(say(bob, cast, "reject", found, seen="yes"))
        undo = cast.url(f"subscriptions/edits/{Edit.objects.get().public_id}/undo/")
        assert f'action="{undo}"' in page
        assert "Undone." in text(bob.post(undo, follow=True))
        assert not SubscriptionDecision.objects.exists()

    def test_under_something_newer_it_says_what_to_do(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        for word in ("confirm", "reject"):
            say(bob, cast, word, found, seen="yes")
        first = Edit.objects.earliest("pk")
        page = text(post(bob, cast, f"subscriptions/edits/{first.public_id}/undo/"))
        assert "Undo that first." in page
        assert SubscriptionDecision.objects.get().verdict == "rejected"

    def test_edits_are_listed_with_what_they_are_about(
        self, cast: Cast, bob: Client, shop: Any, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        post(
            bob,
            cast,
            "products/mark/",
            save="ticked",
            mark="usage",
            product=[str(shop["plan"].public_id)],
            seen="yes",
        )
        page = text(bob.get(cast.url("subscriptions/edits/")))
        assert "Rejected a subscription" in page
        assert "Aalto Oy: Alusta" in page
        assert "Said what a product is" in page
        assert page.count('form="undo"') == 2

    def test_a_viewer_sees_edits_and_cannot_undo(
        self, cast: Cast, bob: Client, vera: Client, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        page = text(vera.get(cast.url("subscriptions/edits/")))
        assert "Rejected a subscription" in page
        assert 'form="undo"' not in page
        undo = cast.url(f"subscriptions/edits/{Edit.objects.get().public_id}/undo/")
        assert vera.post(undo).status_code == 403

    def test_a_stranger_cannot_undo(
        self, cast: Cast, bob: Client, as_person: Any, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        edit = Edit.objects.get()
        mallory = as_person("mallory")
        own = f"/t/{cast.stranger_tenant.slug}/edits/{edit.public_id}/undo/"
        assert mallory.post(own).status_code == 404
        assert (
            mallory.post(cast.url(f"subscriptions/edits/{edit.public_id}/undo/")).status_code == 404
        )


class TestReview:
    def test_candidates_come_with_their_evidence_and_picture(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        page = text(bob.get(cast.url("subscriptions/review/")))
        assert "0 of 2 reviewed" in page
        assert "Aalto Oy: Alusta" in page
        assert "€99.99 of MRR counts now" in page
        assert "3 invoice rows" in page
        assert 'class="timeline timeline--invoices"' in page

    def test_progress_moves_before_the_figures_do(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        page = text(bob.get(cast.url("subscriptions/review/")))
        assert "1 of 2 reviewed" in page
        assert f"confirm:{found.public_id}" not in page

    def test_what_was_rejected_is_not_proposed_again_until_it_is_cleared(
        self, cast: Cast, bob: Client, shop: Any, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        monthly_make(shop["aalto"], shop["plan"], ["2026-04"], net="99.99")
        refreshed()
        assert f"confirm:{found.public_id}" not in text(bob.get(cast.url("subscriptions/review/")))
        say(bob, cast, "clear", found, seen="yes")
        refreshed()
        assert f"confirm:{found.public_id}" in text(bob.get(cast.url("subscriptions/review/")))

    def test_all_that_are_certain_are_confirmed_at_once_but_none_that_was_rejected(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        say(bob, cast, "reject", found, seen="yes")
        post(bob, cast, "subscriptions/say/", say="confirm-certain", seen="yes")
        said = dict(SubscriptionDecision.objects.values_list("key", "verdict"))
        assert said.pop(found.key) == "rejected"
        assert list(said.values()) == ["confirmed"]

    def test_when_all_is_reviewed_it_says_so(self, cast: Cast, bob: Client, shop: Any) -> None:
        post(bob, cast, "subscriptions/say/", say="confirm-certain", seen="yes")
        page = text(bob.get(cast.url("subscriptions/review/")))
        assert "2 of 2 reviewed" in page
        assert "Everything is reviewed" in page

    def test_without_books_it_leads_to_connecting(self, cast: Cast, bob: Client) -> None:
        assert "Nothing to review yet" in text(bob.get(cast.url("subscriptions/review/")))

    def test_a_viewer_sees_candidates_without_buttons(
        self, cast: Cast, vera: Client, found: Any
    ) -> None:
        page = text(vera.get(cast.url("subscriptions/review/")))
        assert "Aalto Oy: Alusta" in page
        assert 'name="say"' not in page

    def test_the_default_period_is_kept(self, cast: Cast, bob: Client, shop: Any) -> None:
        post(bob, cast, "subscriptions/say/", say="default-period", period="12", seen="yes")
        assert ReportSettings.objects.get().default_period_months == 12
        answer = bob.post(cast.url("subscriptions/say/"), {"say": "default-period", "period": "7"})
        assert answer.status_code == 404

    def test_the_review_asks_at_most_twelve_times(
        self, cast: Cast, bob: Client, found: Any
    ) -> None:
        say(bob, cast, "confirm", found, seen="yes")
        assert len(queries_of(bob, cast.url("subscriptions/review/"))) <= 12


class TestRows:
    @pytest.fixture
    def addon(self, shop: Any) -> Any:
        """A second subscription of the same customer."""
        product = product_make(shop["eu"], "Lisäosa")
        monthly_make(shop["aalto"], product, ["2026-01", "2026-02", "2026-03"], net="20.00")
        refreshed()
        return Subscription.objects.get(customer=shop["aalto"], product=product)

    def test_one_is_merged_into_another(
        self, cast: Cast, bob: Client, found: Any, addon: Any
    ) -> None:
        path = f"subscriptions/{addon.public_id}/merge/"
        post(bob, cast, path, into=str(found.public_id), seen="yes")
        assert SubscriptionDecision.objects.get(key=addon.key).merged_into == found.key
        page = f"subscriptions/{found.public_id}/"
        assert "Take apart" in text(bob.get(cast.url(page)))
        post(bob, cast, f"{page}merge/", into="apart", seen="yes")
        assert not SubscriptionDecision.objects.exists()

    def test_another_customers_is_not_merged(
        self, cast: Cast, bob: Client, shop: Any, found: Any
    ) -> None:
        other = Subscription.objects.get(customer=shop["cedar"])
        path = f"subscriptions/{found.public_id}/merge/"
        page = text(post(bob, cast, path, into=str(other.public_id), seen="yes"))
        assert "Only subscriptions of one customer" in page
        assert not SubscriptionDecision.objects.exists()

    def test_ticked_rows_are_split_off(
        self, cast: Cast, bob: Client, shop: Any, found: Any
    ) -> None:
        page = text(bob.get(cast.url(f"subscriptions/{found.public_id}/")))
        row = f"{shop['due'].public_id}:0"
        assert f'value="{row}"' in page
        path = f"subscriptions/{found.public_id}/rows/"
        post(bob, cast, path, row=[row], to="own", seen="yes")
        assert "own:" in LineDecision.objects.get().subscription_key

    def test_ticked_rows_are_moved_and_put_back(
        self, cast: Cast, bob: Client, shop: Any, found: Any, addon: Any
    ) -> None:
        row = f"{shop['due'].public_id}:0"
        path = f"subscriptions/{found.public_id}/rows/"
        post(bob, cast, path, row=[row], to=str(addon.public_id), seen="yes")
        assert LineDecision.objects.get().subscription_key == addon.key
        post(bob, cast, path, row=[row], to="found", seen="yes")
        assert not LineDecision.objects.exists()

    def test_no_row_ticked_says_so(self, cast: Cast, bob: Client, found: Any) -> None:
        path = f"subscriptions/{found.public_id}/rows/"
        assert "Tick the rows first." in text(post(bob, cast, path, to="own"))

    def test_a_strangers_row_is_not_found(self, cast: Cast, bob: Client, found: Any) -> None:
        path = cast.url(f"subscriptions/{found.public_id}/rows/")
        for row in ("x", f"{found.public_id}:0", f"{found.public_id}:99999999999999999999", ":"):
            assert bob.post(path, {"row": row, "to": "own"}).status_code == 404


class TestInvoiceRow:
    @pytest.fixture
    def fee(self, shop: Any) -> Any:
        invoice = invoice_make(shop["berg"], "2026-03-05", [Row(net="30.00", name="Käyttöönotto")])
        refreshed()
        return invoice

    def row(self, invoice: Any) -> str:
        return f"invoices/{invoice.public_id}/rows/0/"

    def test_an_invoice_leads_to_making_a_subscription(
        self, cast: Cast, bob: Client, vera: Client, fee: Any
    ) -> None:
        link = cast.url(self.row(fee))
        assert link in text(bob.get(cast.url(f"invoices/{fee.public_id}/")))
        assert link not in text(vera.get(cast.url(f"invoices/{fee.public_id}/")))
        assert vera.get(link).status_code == 403
        assert "Say what it is" in text(bob.get(link))

    def test_all_rows_like_it_are_confirmed_by_the_products_key(
        self, cast: Cast, bob: Client, fee: Any
    ) -> None:
        shown = text(post(bob, cast, self.row(fee), what="all", period_months="3"))
        assert "Nothing is saved yet" in shown
        post(bob, cast, self.row(fee), what="all", period_months="3", seen="yes")
        said = SubscriptionDecision.objects.get()
        assert (said.verdict, said.period_months) == ("confirmed", 3)
        assert said.key.endswith("|n:käyttöönotto|EUR|0")

    def test_the_row_alone_gets_a_key_of_its_own(self, cast: Cast, bob: Client, fee: Any) -> None:
        days = {"start": "2026-03-01", "last": "2026-05-31"}
        post(bob, cast, self.row(fee), what="alone", seen="yes", **days)
        line = LineDecision.objects.get()
        assert (line.type, str(line.start), str(line.end)) == (
            "recurring",
            "2026-03-01",
            "2026-06-01",
        )
        assert SubscriptionDecision.objects.get().key == line.subscription_key

    def test_a_row_is_said_to_be_something_else_and_taken_back(
        self, cast: Cast, bob: Client, fee: Any
    ) -> None:
        post(bob, cast, self.row(fee), what="usage", seen="yes")
        assert LineDecision.objects.get().type == "usage"
        post(bob, cast, self.row(fee), what="", seen="yes")
        assert not LineDecision.objects.exists()

    @pytest.mark.parametrize(
        "days", [{"start": "2026-03-01"}, {"start": "2026-03-02", "last": "2026-03-01"}]
    )
    def test_half_a_period_comes_back_as_it_was_typed(
        self, cast: Cast, bob: Client, fee: Any, days: dict[str, str]
    ) -> None:
        response = bob.post(cast.url(self.row(fee)), {"what": "alone", **days})
        assert response.status_code == 422
        assert 'value="2026-03-0' in text(response)
        assert not LineDecision.objects.exists()

    def test_a_row_that_is_not_there_is_not_found(self, cast: Cast, bob: Client, fee: Any) -> None:
        assert InvoiceLine.objects.filter(invoice=fee).count() == 1
        for place in ("1", "99999999999999999999"):
            path = cast.url(f"invoices/{fee.public_id}/rows/{place}/")
            assert bob.get(path).status_code == 404


@pytest.mark.parametrize("who", ["vera", "bob"])
@pytest.mark.parametrize("page", ["subscription", "edits", "invoice"])
def test_pages_around_the_review_ask_at_most_twelve_times(
    cast: Cast, as_person: Any, shop: Any, found: Any, who: str, page: str
) -> None:
    path = {
        "subscription": f"subscriptions/{found.public_id}/",
        "edits": "subscriptions/edits/",
        "invoice": f"invoices/{shop['due'].public_id}/",
    }[page]
    assert len(queries_of(as_person(who), cast.url(path))) <= 12
