"""Reports open as they were known on a day, and say what changed since."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.utils import timezone

from reporting.models import Report, ReportVersion, Restatement
from tests.factories import Row, invoice_make
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.pages.conftest import file_of, queries_of, text

PAGES = ["", "growth/", "cashflow/"]


@pytest.fixture
def credited(shop: Any) -> Any:
    """A day later a credit note takes half of January back."""
    credit = invoice_make(
        shop["aalto"],
        "2026-03-16",
        [Row(net="-49.99", product=shop["plan"], service=("2026-01-01", "2026-02-01"))],
        number="1187",
    )
    refreshed(NOON + timedelta(days=1))
    # Pages tell of what was restated lately, by the clock of the day on which they are read.
    Restatement.objects.update(at=timezone.now())
    return credit


@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_the_figures_of_the_day_asked_for(vera, cast, credited, page):
    old = text(vera.get(cast.url(page) + "?known=2026-03-15&period=all"))
    assert "As known on 15 Mar 2026" in old
    assert cast.url("figures/") not in old, "documents of today stand behind figures of another day"
    today = text(vera.get(cast.url(page) + "?period=all"))
    assert "As known on 15" not in today


def test_growth_of_another_day_differs_where_it_was_restated(vera, cast, credited):
    version = ReportVersion.objects.get(day=date(2026, 3, 15)).body["months"]
    now = Report.objects.get().body["months"]
    assert version != now
    old = vera.get(cast.url("growth/") + "?known=2026-03-15&period=all")
    new = vera.get(cast.url("growth/") + "?period=all")
    assert cells_of(old) != cells_of(new)
    assert cells_of(old) == [row["mrr_minor"] for row in version]


def cells_of(response: Any) -> list[int]:
    chart = next(one["chart"] for one in response.context["page"].sections if "chart" in one)
    return next(one["values"] for one in chart["data"]["series"] if one["kind"] == "mrr")


@pytest.mark.parametrize("day", ["2026-03-16", "2031-01-01", "soon", ""])
def test_today_and_nonsense_show_today(vera, cast, credited, day):
    assert "Back to today" not in text(vera.get(cast.url("growth/") + f"?known={day}"))


def test_a_day_before_all_versions_shows_the_oldest(vera, cast, credited):
    assert "As known on 15 Mar 2026" in text(vera.get(cast.url("growth/") + "?known=2020-01-01"))


def test_the_chosen_day_stays_in_the_address_of_the_controls(vera, cast, credited):
    page = text(vera.get(cast.url("growth/") + "?known=2026-03-15"))
    assert "?known=2026-03-15&amp;period=24" in page
    assert '<input type="hidden" name="known" value="2026-03-15">' in page


def test_top_customers_of_another_day_have_the_names_of_today(vera, cast, shop, credited):
    shop["aalto"].name = "Aalto Group Oy"
    shop["aalto"].save()
    page = text(vera.get(cast.url("") + "?known=2026-03-15"))
    assert "Aalto Group Oy" in page


def test_a_file_of_another_day_holds_its_figures_and_its_name(vera, cast, credited):
    url = cast.url("growth/") + "?known=2026-03-15&period=all&table=movements-table&format=csv"
    answer = vera.get(url)
    assert answer.status_code == 200
    assert "2026-03-15" in answer["Content-Disposition"]


def test_a_version_of_an_older_program_opens_with_what_it_knew(vera, cast, credited):
    row = ReportVersion.objects.get(day=date(2026, 3, 15))
    for month in row.body["months"]:
        del month["contracted_minor"], month["nrr_12_ppm"]
    del row.body["runway"]["average"], row.body["to_review"]
    row.body["version"] = 0
    row.save()
    for page in PAGES:
        assert vera.get(cast.url(page) + "?known=2026-03-15").status_code == 200


def test_the_dashboard_says_which_month_was_restated_and_why(vera, cast, credited):
    page = text(vera.get(cast.url("")))
    assert "MRR of January 2026 was restated by −€49.99: credit note 1187" in page
    listed = text(vera.get(cast.url("restatements/?metric=mrr")))
    assert "Credit note 1187" in listed
    row = Restatement.objects.get(metric="mrr")
    detail = text(vera.get(cast.url(f"restatements/{row.public_id}/")))
    assert "Aalto Oy" in detail
    assert f"/invoices/{credited.public_id}/" in detail


def test_the_list_narrows_to_a_month_and_a_figure_and_can_be_taken_along(vera, cast, credited):
    every = file_of(vera, cast.url("restatements/"))
    assert {row["Figure"] for row in every} > {"MRR"}
    mrr = file_of(vera, cast.url("restatements/?month=2026-01&metric=mrr"))
    assert [row["Change"] for row in mrr] == ["-49.99"]
    assert mrr[0]["Why"] == "credit note 1187 -49.99"
    assert file_of(vera, cast.url("restatements/?month=2026-02&metric=churn")) == []


def test_an_investor_sees_the_figures_and_no_documents(as_person, cast, credited):
    ivan = as_person("ivan")
    for url in ("", "restatements/"):
        page = text(ivan.get(cast.url(url)))
        assert "credit note" in page.lower()
        assert "1187" not in page
    row = Restatement.objects.get(metric="mrr")
    assert ivan.get(cast.url(f"restatements/{row.public_id}/")).status_code == 403
    assert ivan.get(cast.url("restatements/?format=csv")).status_code == 403
    old = text(ivan.get(cast.url("") + "?known=2026-03-15"))
    assert "As known on 15 Mar 2026" in old
    assert "Aalto" not in old


@pytest.mark.parametrize("page", [*PAGES, "restatements/"])
def test_twelve_queries_are_enough(vera, cast, credited, page):
    for address in (page, f"{page}?known=2026-03-15"):
        found = queries_of(vera, cast.url("") + address)
        assert len(found) <= 12, "\n".join(found)


def test_a_sentence_says_who_moved_a_month_and_that_it_was_restated(vera, cast, shop, credited):
    page = text(vera.get(cast.url("growth/") + "?from=2025-12&to=2026-02"))
    assert "MRR rose by €83 to €83: +€83 new: Aalto Oy, Cedar Inc." in page
    assert "Restated by −€49.99 since its end." in page


def test_the_sentence_names_nobody_to_an_investor_or_of_another_day(as_person, cast, credited):
    for who, day in (("ivan", ""), ("vera", "2026-03-15")):
        page = text(as_person(who).get(cast.url("growth/") + f"?period=all&known={day}"))
        assert "new (2 customers)" in page
        assert "Aalto" not in page


def test_what_another_account_adds_to_every_month_is_one_line(vera, cast, shop):
    months = range(24312, 24315)
    for place, month in enumerate(months):
        Restatement.objects.create(
            at=timezone.now().replace(microsecond=0, second=0),
            month=month,
            metric="mrr",
            before_minor=0,
            after_minor=100 + place,
            causes=[{"code": "account_added", "params": {}, "amount_minor": 100 + place}],
        )
    page = text(vera.get(cast.url("")))
    assert page.count("account added") == 1
    assert "MRR, January 2026 to March 2026, was restated: account added" in page
    assert "since its end" not in text(vera.get(cast.url("growth/")))
