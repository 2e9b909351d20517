"""Every figure of a dashboard opens its documents, and their sum is the figure, to the cent."""

from __future__ import annotations

import html
import re
from datetime import date

import pytest
from django.urls import reverse

from calqsync.tenancy.models import Tenant
from integrations.models import BankEvent, Connection
from reporting.models import CashFigure, Subscription, SubscriptionDecision
from reporting.selectors import behind
from reporting.selectors.behind import rates
from reporting.selectors.behind.kinds import Question
from reporting.selectors.behind.steps import Stretch
from reporting.selectors.frame import published, words_for
from tests.factories import Row, account_make, invoice_make, statement_make
from tests.reporting.conftest import refreshed

MONEY = {
    "mrr": "mrr_minor",
    "arr": "arr_minor",
    "new": "new_minor",
    "expansion": "expansion_minor",
    "reactivation": "reactivation_minor",
    "fx": "fx_minor",
}
LOSSES = {"contraction": "contraction_minor", "churn": "churn_minor"}
COUNTS = {
    "customers": "customers",
    "new-customers": "new_customers",
    "reactivation-customers": "reactivated_customers",
    "churn-customers": "churned_customers",
}


def parts(figure, month, body, tenant):
    words = words_for(tenant)
    asked = Question(tenant=tenant, figure=figure, month=month, body=body, words=words)
    return behind.kind_of(asked).parts


@pytest.fixture
def book(shop, cast):
    body = published().body
    assert len(body["months"]) >= 3, "there is no month to walk"
    return body


def walked(book, cast, table, measure):
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    wrong = {}
    for month in book["months"]:
        for figure, field in table.items():
            got = measure(parts(figure, month["month"], book, tenant))
            if got != month[field]:
                wrong[month["month"], figure] = (got, month[field])
    return wrong


def test_every_amount_of_every_month_is_the_sum_of_its_documents(book, cast):
    total = lambda found: sum(part.minor for part in found)  # noqa: E731
    assert walked(book, cast, MONEY, total) == {}
    assert walked(book, cast, LOSSES, lambda found: -total(found)) == {}


def test_the_mrr_of_a_new_customer_is_rounded_once(cast):
    row = {"new_minor": 2_512_499, "new_customers": 25_000}  # 100.49996 each
    stretch = Stretch(row=row, index=0, name="")
    _name, value, _text = rates._said("new_arpa", stretch, [], words_for(cast.tenant))
    assert value == "€1.00"


@pytest.mark.parametrize("whole", [False, True], ids=["one of two", "both"])
def test_an_end_that_a_person_set_has_its_lines_behind_what_is_known_to_end(shop, cast, whole):
    for month in range(1, 4):
        served = (f"2026-{month:02}-01", f"2026-{month + 1:02}-01")
        for day, net in (("01", "10.00"), ("15", "30.00")):
            row = Row(net=net, product=shop["plan"], service=served)
            invoice_make(shop["berg"], f"2026-{month:02}-{day}", [row])
    refreshed()
    beside = Subscription.objects.filter(customer=shop["berg"], product=shop["plan"])
    assert beside.count() == 2
    key = beside.order_by("mrr_e4")[0].key
    key = f"{key.rpartition('|')[0]}|0" if whole else key
    SubscriptionDecision.objects.create(tenant=cast.tenant, key=key, end=date(2026, 4, 1))
    refreshed()
    body = published().body
    found = parts("ending", body["months"][-1]["month"], body, cast.tenant)
    assert sorted(part.minor for part in found) == ([-3000, -1000] if whole else [-1000])
    assert body["months"][-1]["ending_minor"] == -sum(part.minor for part in found)


def test_every_count_of_customers_is_the_number_of_its_rows(book, cast):
    assert walked(book, cast, COUNTS, len) == {}


def test_revenue_of_every_month_is_the_sum_of_its_invoices(book, cast):
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    for month in book["revenue"]:
        recurring, rest, whole = (
            sum(part.minor for part in parts(figure, month["month"], book, tenant))
            for figure in ("recurring", "non_recurring", "revenue")
        )
        assert (recurring, rest) == (month["recurring_minor"], month["non_recurring_minor"])
        assert whole == recurring + rest


def test_receivables_of_every_age_and_week_are_the_sum_of_their_invoices(book, cast):
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    as_of = book["as_of"][:7]
    found = book["receivables"]
    figures = {f"open-{age['age']}": age["minor"] for age in found["ages"]}
    figures |= {f"expected-{week['start']}": week["minor"] for week in found["weeks"]}
    figures["open"] = found["total_minor"]
    assert found["total_minor"] > 0
    for figure, minor in figures.items():
        assert sum(part.minor for part in parts(figure, as_of, book, tenant)) == minor, figure


def test_cash_of_every_month_is_the_sum_of_its_bank_events(shop, cast):
    account = account_make(shop["eu"])
    for month in ("2026-01", "2026-02"):
        statement_make(
            account,
            f"{month}-01",
            f"{month}-28",
            opening="1000.00",
            events=[(f"{month}-05", "300.00"), (f"{month}-20", "-450.25")],
        )
    refreshed()
    tenant = Tenant.objects.get(pk=cast.tenant.pk)
    book = published().body
    assert CashFigure.objects.count() == BankEvent.objects.count() == 4
    fields = {"money_in": 1, "money_out": -1}
    for month in book["cash"]:
        for figure, sign in fields.items():
            got = sum(part.minor for part in parts(figure, month["month"], book, tenant))
            assert got * sign == month[f"{figure}_minor"]
        burn = sum(part.minor for part in parts("burn", month["month"], book, tenant))
        assert burn == month["net_burn_minor"]


@pytest.mark.parametrize("page", ["", "growth/", "cashflow/"])
def test_every_link_of_a_dashboard_leads_somewhere(vera, shop, cast, page):
    html = vera.get(cast.url(page) + "?period=all").content.decode()
    links = set(re.findall(r'href="(/t/[^"]+/figures/[^"]+)"', html))
    assert links or page == "cashflow/"
    assert {link: vera.get(link).status_code for link in links} == dict.fromkeys(links, 200)


def test_a_loading_first_import_shows_what_its_newest_months_hold(vera, shop, cast):
    """Revenue and receivables of whole months, long before MRR can be told; no sample figures."""
    Connection.objects.update(first_import_at=None, complete_back_to=date(2026, 1, 15))
    refreshed()
    page = vera.get(cast.url("") + "?period=all").content.decode()
    for words in ("Still importing", "Open receivables", "Invoiced in", "Still to come", "99.99"):
        assert words in page
    assert "sample" not in page.lower()
    links = set(re.findall(r'href="(/t/[^"]+/figures/[^"]+)"', page))
    assert {link: vera.get(link).status_code for link in links} == dict.fromkeys(links, 200)
    assert {link.split("/")[4] for link in links} >= {"revenue", "open"}


def test_no_address_of_a_balance_holds_the_number_of_its_account(cast, bob, shop):
    account = account_make(shop["eu"])
    statement_make(account, "2026-03-01", "2026-03-31", "0.00", [("2026-03-03", "10.00")])
    refreshed()
    page = bob.get(cast.url("cashflow/")).content.decode()
    (url,) = set(re.findall(r'href="([^"]*/figures/account-[^"]*)"', page))
    assert account.iban not in url
    assert account.iban in bob.get(url).content.decode()
    assert bob.get(cast.url(f"figures/account-{account.iban}/2026-03/")).status_code == 404


def test_accounts_of_one_number_at_two_connections_open_their_own_balances(cast, bob, shop):
    for name, amount in (("eu", "10.00"), ("us", "77.00")):
        account = account_make(shop[name])
        statement_make(account, "2026-03-01", "2026-03-31", "0.00", [("2026-03-03", amount)])
    refreshed()
    page = bob.get(cast.url("cashflow/")).content.decode()
    urls = set(re.findall(r'href="([^"]*/figures/account-[^"]*)"', page))
    opened = [bob.get(url).content.decode() for url in urls]
    assert sorted(("10.00" in one, "77.00" in one) for one in opened) == [
        (False, True),
        (True, False),
    ]


def test_the_documents_behind_a_figure_lead_back_to_the_page_and_its_filter(bob, shop, cast):
    came = reverse("growth", args=[cast.tenant.slug]) + "?view=quarters&period=24"
    figure = reverse(
        "behind", args=[cast.tenant.slug, "mrr", published().body["months"][-1]["month"]]
    )
    page = bob.get(figure, headers={"referer": f"http://testserver{came}"}, follow=True)
    crumb = re.search(r'class="crumbs"><a href="([^"]+)">([^<]+)', page.content.decode())
    assert (html.unescape(crumb[1]), crumb[2]) == (came, "Growth")
    # The way is still known after a look at one of the documents.
    here = page.redirect_chain[0][0].removeprefix("?")
    document = re.search(
        r'href="(/t/[^"]+/(?:customers|subscriptions)/[^"]+)"', page.content.decode()
    )
    opened = bob.get(document[1], headers={"referer": f"http://testserver{figure}?{here}"})
    up = re.search(r'class="crumbs"><a href="([^"]+)">', opened.content.decode())
    back = bob.get(html.unescape(up[1]), headers={"referer": f"http://testserver{document[1]}"})
    assert f'<a href="{html.escape(came)}">Growth</a>' in back.content.decode()


@pytest.mark.parametrize(
    "came",
    ["https://evil.example/t/x/growth/", "//evil.example/", "/t/another-oy/growth/", "/none/"],
)
def test_a_way_back_leads_nowhere_else(bob, shop, cast, came):
    figure = reverse(
        "behind", args=[cast.tenant.slug, "mrr", published().body["months"][-1]["month"]]
    )
    page = bob.get(figure, {"came": came}).content.decode()
    assert (
        f'<a href="{reverse("financial", args=[cast.tenant.slug])}">Financial reporting</a>' in page
    )
    assert "evil.example" not in page.split("<main")[1].split("</h1>")[0]
