"""Lists: their sums hold over all rows, their state is in the address, their files are safe."""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client

from calqsync.tenancy.models import AuditEvent
from integrations.models import Customer, Invoice
from reporting.domain import rounding
from reporting.models import Report, Subscription
from reporting.selectors.customers import customers_list
from reporting.selectors.invoices import invoices_list
from reporting.selectors.payments import payments_list
from reporting.selectors.products import products_list
from reporting.selectors.subscriptions import subscriptions_list
from tests.conftest import Cast
from tests.factories import Row, customer_make, invoice_make, monthly_make
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.pages.conftest import file_of, queries_of, summed, text, totals_of
from tests.tenancy.people import PASSWORD, confirmed

LISTS = ["customers", "products", "subscriptions", "invoices", "payments"]


@pytest.mark.parametrize("name", LISTS)
def test_a_list_of_an_empty_company_says_what_to_do(cast: Cast, vera: Client, name: str) -> None:
    page = text(vera.get(cast.url(f"{name}/")))
    assert "Open integrations" in page
    assert cast.url("settings/integrations/") in page


@pytest.mark.parametrize("name", LISTS)
def test_a_search_without_matches_offers_all(
    cast: Cast, vera: Client, shop: Any, name: str
) -> None:
    assert "Nothing matches" in text(vera.get(cast.url(f"{name}/?q=zzzz")))


@pytest.mark.parametrize("name", LISTS)
def test_a_list_needs_at_most_twelve_queries(cast: Cast, bob: Client, shop: Any, name: str) -> None:
    found = queries_of(bob, cast.url(f"{name}/"))
    assert len(found) <= 12, found


@pytest.mark.parametrize("name", LISTS)
def test_queries_do_not_grow_with_rows(cast: Cast, bob: Client, shop: Any, name: str) -> None:
    before = len(queries_of(bob, cast.url(f"{name}/")))
    for number in range(4):
        other = customer_make(shop["eu"], f"Uusi {number} Oy")
        monthly_make(other, shop["plan"], ["2026-01", "2026-02"])
    refreshed()
    assert len(queries_of(bob, cast.url(f"{name}/"))) == before


BROKEN = ["sort=nothing", "sort=-tenant__name", "page=zz", "page=999", "period=2026-99", "status=x"]


@pytest.mark.parametrize("name", LISTS)
def test_an_unreadable_address_shows_the_list(
    cast: Cast, vera: Client, shop: Any, name: str
) -> None:
    for address in [*BROKEN, "customer=zz&product=1", "account=%00", "q=%00"]:
        response = vera.get(cast.url(f"{name}/?{address}"))
        assert response.status_code == 200, address
        assert response.context["listing"]["rows"], address


def test_every_column_that_offers_sorting_sorts(cast: Cast, shop: Any) -> None:
    def made(name: str, query: dict[str, str]) -> Any:
        return {
            "customers": lambda: customers_list(tenant=cast.tenant, query=query),
            "products": lambda: products_list(tenant=cast.tenant, query=query),
            "subscriptions": lambda: subscriptions_list(tenant=cast.tenant, query=query).listing,
            "invoices": lambda: invoices_list(tenant=cast.tenant, query=query, today=NOON.date()),
            "payments": lambda: payments_list(tenant=cast.tenant, query=query),
        }[name]()

    for name in LISTS:
        for column in made(name, {}).shown:
            for sign in ("", "-") if column.order else ():
                page = made(name, {"sort": sign + column.key}).page()
                assert page["sort"] == sign + column.key
                assert page["rows"]


def test_the_sum_is_of_all_rows_and_not_of_the_page(cast: Cast, vera: Client, shop: Any) -> None:
    for number in range(60):
        invoice_make(shop["aalto"], "2025-05-05", [Row(net=f"{number}.01")])
    response = vera.get(cast.url("invoices/?period=2025"))
    assert len(response.context["listing"]["rows"]) == 50
    assert totals_of(response)["net"] == "1,770.60"
    assert summed(file_of(vera, cast.url("invoices/?period=2025")), "Net") == Decimal("1770.60")


def test_mrr_of_customers_and_of_running_subscriptions_is_the_dashboards(
    cast: Cast, vera: Client, shop: Any
) -> None:
    mrr = Decimal(Report.objects.get().body["now"]["mrr_minor"]) / 100
    assert mrr == Decimal("133.32")
    for name in ("customers", "subscriptions"):
        assert summed(file_of(vera, cast.url(f"{name}/")), "MRR") == mrr
        assert totals_of(vera.get(cast.url(f"{name}/")))["mrr"] == f"{mrr}"


def test_rows_are_rounded_so_that_they_add_up(cast: Cast, vera: Client, shop: Any) -> None:
    for number in range(3):
        other = customer_make(shop["eu"], f"Kolmas {number} Oy")
        span = ("2026-01-01", "2026-04-01")
        rows = [Row(net="100.00", product=shop["plan"], service=span)]
        invoice_make(other, "2026-01-01", rows)
    refreshed()
    mrr = Decimal(rounding.minor(Report.objects.get().body["months"][-1]["mrr_e4"])) / 100
    assert summed(file_of(vera, cast.url("customers/")), "MRR") == mrr
    assert summed(file_of(vera, cast.url("subscriptions/")), "MRR") == mrr


def test_open_invoices_add_up_to_the_receivables(cast: Cast, vera: Client, shop: Any) -> None:
    owed = Decimal(Report.objects.get().body["receivables"]["total_minor"]) / 100
    assert owed > 0
    assert summed(file_of(vera, cast.url("invoices/?status=open")), "Open") == owed


def test_a_period_narrows_to_its_month(cast: Cast, vera: Client, shop: Any) -> None:
    rows = file_of(vera, cast.url("invoices/?period=2026-02"))
    assert {row["Date"] for row in rows} == {"2026-02-01", "2026-02-10"}


def test_invoices_are_told_apart_by_status(cast: Cast, vera: Client, shop: Any) -> None:
    counts = {"": 5, "overdue": 2, "part_paid": 0, "paid": 2, "credit": 0, "draft": 1}
    for status, count in counts.items():
        rows = file_of(vera, cast.url(f"invoices/?status={status}"))
        assert len(rows) == count, status


def test_an_account_narrows_every_list(cast: Cast, vera: Client, shop: Any) -> None:
    for name in LISTS:
        rows = file_of(vera, cast.url(f"{name}/?account={shop['us'].public_id}"))
        assert {row["Account"] for row in rows} == {"US account"}, name


def test_a_customer_and_a_product_narrow_invoices(cast: Cast, vera: Client, shop: Any) -> None:
    by_customer = file_of(vera, cast.url(f"invoices/?customer={shop['aalto'].public_id}"))
    by_product = file_of(vera, cast.url(f"invoices/?product={shop['hours'].public_id}"))
    assert len(by_customer) == 3
    assert [row["Customer"] for row in by_product] == ["Berg Oy"]


def test_what_is_gone_from_the_books_is_left_out(cast: Cast, vera: Client, shop: Any) -> None:
    Invoice.objects.filter(pk=shop["due"].pk).update(removed_at="2026-03-12T00:00:00Z")
    assert len(file_of(vera, cast.url("invoices/"))) == 4


def test_a_file_holds_no_formula_and_numbers_stay_numbers(
    cast: Cast, vera: Client, shop: Any
) -> None:
    Customer.objects.filter(pk=shop["berg"].pk).update(name="=HYPERLINK(1)")
    invoice_make(shop["berg"], "2026-03-01", [Row(net="-5.00")], number="@cmd")
    rows = file_of(vera, cast.url("invoices/?status=credit"))
    assert rows[0]["Customer"] == "'=HYPERLINK(1)"
    assert rows[0]["Invoice"] == "'@cmd"
    assert rows[0]["Net"] == "-5.00"


def test_rows_in_another_currency_stay_out_of_the_sum(cast: Cast, vera: Client, shop: Any) -> None:
    total = totals_of(vera.get(cast.url("invoices/")))["net"]
    shop["us"].currency = "USD"
    shop["us"].save()
    response = vera.get(cast.url("invoices/"))
    assert totals_of(response)["net"] != total
    assert "100.00 USD" in text(response)
    assert "Sum of those in EUR" in text(response)


@pytest.mark.parametrize("name", LISTS)
def test_a_stranger_finds_nothing(cast: Cast, as_person: Any, shop: Any, name: str) -> None:
    assert as_person("mallory").get(cast.url(f"{name}/")).status_code == 404


@pytest.mark.parametrize("name", LISTS)
def test_another_company_sees_none_of_it(cast: Cast, as_person: Any, shop: Any, name: str) -> None:
    page = as_person("mallory").get(f"/t/{cast.stranger_tenant.slug}/{name}/")
    assert not page.context["listing"]["rows"]


def test_documents_of_another_company_are_not_found(cast: Cast, as_person: Any, shop: Any) -> None:
    theirs = as_person("mallory")
    for kind, row in [
        ("customers", shop["aalto"]),
        ("products", shop["plan"]),
        ("invoices", shop["due"]),
    ]:
        own = f"/t/{cast.stranger_tenant.slug}/{kind}/{row.public_id}/"
        assert theirs.get(own).status_code == 404, kind
        assert theirs.get(cast.url(f"{kind}/{row.public_id}/")).status_code == 404


def test_a_list_of_a_company_without_imports_offers_no_filters(cast: Cast, vera: Client) -> None:
    for name in LISTS:
        assert 'type="search"' not in text(vera.get(cast.url(f"{name}/"))), name


def test_when_none_runs_the_list_names_the_tab_that_holds_some(
    cast: Cast, vera: Client, shop: Any
) -> None:
    Subscription.objects.update(status="churned")
    page = text(vera.get(cast.url("subscriptions/")))
    assert "None runs now" in page
    assert "?status=churned" in page


def test_t31_a_file_asked_for_by_an_old_sign_in_asks_who_it_is_and_leads_back_to_the_list(
    cast: Cast, client: Any, shop: Any
) -> None:
    client.force_login(confirmed(cast.vera), recently=False)
    page = cast.url("customers/?q=Aalto")
    asked = client.get(f"{page}&format=csv")
    assert asked["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': page})}"
    assert not AuditEvent.objects.filter(act="list.exported").exists()
    back = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": page})
    assert back["Location"] == page
    assert "Press Export again" in text(client.get(page))
    assert [row["Customer"] for row in file_of(client, page)] == ["Aalto Oy"]


def test_t31_pages_and_figures_for_machines_are_no_files_and_do_not_ask(
    cast: Cast, client: Any, shop: Any
) -> None:
    client.force_login(confirmed(cast.vera), recently=False)
    for path in ("customers/", "customers/?q=Aalto", "api/figures/"):
        assert "/reauthenticate/" not in client.get(cast.url(path)).get("Location", ""), path


def test_t31_a_given_up_file_leads_nobody_astray_afterwards(
    cast: Cast, client: Any, shop: Any
) -> None:
    client.force_login(confirmed(cast.vera), recently=False)
    client.get(cast.url("customers/?format=csv"))
    then = {"password": PASSWORD, "next": "/accounts/email/"}
    back = client.post("/accounts/reauthenticate/", then, follow=True)
    assert back.redirect_chain[0][0] == "/accounts/email/"
    assert "Press Export again" not in text(back)


def test_t31_htmx_is_led_to_the_page_that_asks_with_the_whole_page(
    cast: Cast, client: Any, shop: Any
) -> None:
    client.force_login(confirmed(cast.vera), recently=False)
    answer = client.get(cast.url("customers/?format=xlsx"), headers={"HX-Request": "true"})
    assert answer.status_code == 204
    assert answer["HX-Redirect"].startswith("/accounts/reauthenticate/?next=%2Ft%2F")


def test_the_log_names_the_filters_of_a_file_and_not_who_was_searched_for(
    cast: Cast, vera: Client, shop: Any
) -> None:
    assert file_of(vera, cast.url("customers/?q=Aalto&sort=name&matti=meikalainen"))
    entry = AuditEvent.objects.get(act="list.exported")
    assert entry.after == {"format": "csv", "filters": ["q"]}
