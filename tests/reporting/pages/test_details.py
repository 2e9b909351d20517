"""Pages of one document say what is known of it and why."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.test import Client

from integrations.models import Invoice, Product
from reporting.models import Subscription
from reporting.selectors import frame
from reporting.selectors.customers import customer_page
from tests.conftest import Cast
from tests.reporting.conftest import NOON
from tests.reporting.pages.conftest import queries_of, text


def test_a_customer_shows_its_mrr_by_month(cast: Cast, vera: Client, shop: Any) -> None:
    page = customer_page(tenant=cast.tenant, customer=shop["aalto"], today=NOON.date())
    assert page.mrr is not None
    assert page.mrr["data"]["series"][0]["values"] == [9999, 9999, 9999]
    assert page.mrr["data"]["incomplete"] == [2]


def test_a_customer_shows_its_documents(cast: Cast, vera: Client, shop: Any) -> None:
    page = text(vera.get(cast.url(f"customers/{shop['aalto'].public_id}/")))
    for invoice in shop["invoices"][:3]:
        assert str(invoice.public_id) in page
    assert "All payments of this customer" in page


def test_an_invoice_says_where_its_period_is_from(cast: Cast, vera: Client, shop: Any) -> None:
    page = text(vera.get(cast.url(f"invoices/{shop['due'].public_id}/")))
    assert "Dates on the row" in page
    assert "1 Mar 2026 – 31 Mar 2026" in page.replace("\u00a0", " ")
    assert "cover 31 days: monthly" in page
    assert shop["due"].external_id in page


def test_when_procountor_last_changed_an_invoice_is_written_like_other_moments(
    cast: Cast, vera: Client, shop: Any
) -> None:
    Invoice.objects.filter(pk=shop["due"].pk).update(version="2026-03-02T06:15:00")
    page = text(vera.get(cast.url(f"invoices/{shop['due'].public_id}/")))
    assert "2 Mar 2026, 06:15" in page.replace("\u00a0", " ")


def test_a_draft_is_shown_as_not_issued(cast: Cast, vera: Client, shop: Any) -> None:
    assert "Not issued" in text(vera.get(cast.url(f"invoices/{shop['draft'].public_id}/")))


def test_a_products_price_is_written_like_other_money(cast: Cast, vera: Client, shop: Any) -> None:
    Product.objects.filter(pk=shop["plan"].pk).update(price=Decimal("1490.005"), currency="SEK")
    page = text(vera.get(cast.url(f"products/{shop['plan'].public_id}/")))
    assert "SEK1,490.01" in page.replace("\u00a0", "")


def test_a_product_sums_its_rows_by_customer(cast: Cast, vera: Client, shop: Any) -> None:
    response = vera.get(cast.url(f"products/{shop['plan'].public_id}/"))
    rows = response.context["page"].buyers["rows"]
    assert [row["label"] for row in rows] == ["Aalto Oy", "Sum"]
    assert rows[-1]["cells"][1:] == ["3", "299.97"]


def test_a_subscription_shows_its_reason_and_invoices(cast: Cast, vera: Client, shop: Any) -> None:
    found = Subscription.objects.get(customer=shop["aalto"])
    response = vera.get(cast.url(f"subscriptions/{found.public_id}/"))
    timeline = response.context["page"].timeline["rows"]
    assert len(timeline) == 3
    mrr = {Decimal(row["cells"][-1]) for row in timeline}
    assert mrr == {Decimal("99.99")}
    assert response.context["page"].reasons[0] == "Rows that state their period: 3 of 3."
    assert "Rows that state their period: 3 of 3." in text(response)


def test_a_page_of_one_document_needs_at_most_twelve_queries(
    cast: Cast, bob: Client, shop: Any
) -> None:
    subscription = Subscription.objects.get(customer=shop["aalto"])
    for kind, row in [
        ("customers", shop["aalto"]),
        ("products", shop["plan"]),
        ("subscriptions", subscription),
        ("invoices", shop["due"]),
    ]:
        found = queries_of(bob, cast.url(f"{kind}/{row.public_id}/"))
        assert len(found) <= 12, (kind, found)


def test_a_customer_without_figures_is_shown(cast: Cast, vera: Client, shop: Any) -> None:
    from tests.factories import customer_make

    quiet = customer_make(shop["eu"], "Hiljainen Oy")
    page = text(vera.get(cast.url(f"customers/{quiet.public_id}/")))
    assert "Nothing has been invoiced to this customer" in page
    assert frame.published() is not None
