"""The pages of figures: what each of them says, adds up to, takes along and leaves out."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from reporting.models import Report, ReportPart, ReportSettings
from reporting.parts import DIMENSIONS
from reporting.selectors.frame import Comparison, words_for
from reporting.selectors.months import Months, Row
from tests.conftest import Cast
from tests.reporting.pages.conftest import queries_of, text, totals_of
from tests.reporting.pages.parts import cohorts, parts_make, segments

PAGES = ["growth/", "retention/", "segments/", "unit-economics/", "recognition/", "overdue/"]
MOST_QUERIES = 12


@pytest.fixture
def made(shop: Any) -> dict[str, Any]:
    """The parts of the shop's report, by name."""
    return parts_make()


def long_ago() -> list[dict[str, Any]]:
    """Five years of months in the report of the tenant in scope, each as its last one."""
    report = Report.objects.get()
    last = {**report.body["months"][-1], "complete": True}
    names = [f"{year}-{month:02}" for year in range(2021, 2026) for month in range(1, 13)]
    report.body["months"] = [{**last, "month": name} for name in names]
    report.save(update_fields=["body"])
    return list(report.body["months"])


def tables(page: Any) -> dict[str, Any]:
    """The tables of a page by their id."""
    found = {}
    for section in page.sections:
        table = section.get("table") or (section.get("chart") or {}).get("table")
        if table:
            found[table["id"]] = table
    return found


def cells(table: Any, label: str) -> list[str]:
    row = next(row for row in table["rows"] if row["label"] == label)
    return [cell if isinstance(cell, str) else cell["text"] for cell in row["cells"]]


def chosen(**values: str) -> None:
    """The company's settings of figures."""
    ReportSettings.objects.all().delete()
    ReportSettings.objects.create(**values)


def sheet(client: Client, address: str) -> list[dict[str, str]]:
    answer = client.get(address)
    assert answer.status_code == 200, answer.status_code
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))


@pytest.mark.parametrize(
    "address", [*PAGES, "growth/?view=quarters", "segments/?by=country&key=FI"]
)
def test_a_page_of_figures_reads_stored_figures_with_few_queries(
    vera: Client, cast: Cast, made: Any, address: str
) -> None:
    found = queries_of(vera, cast.url(address))
    assert len(found) <= MOST_QUERIES, found
    assert not any("linefigure" in query for query in found)


@pytest.mark.parametrize("address", ["recognition/customers/", "recognition/invoices/"])
def test_lists_of_deferred_revenue_need_few_queries(
    vera: Client, cast: Cast, made: Any, address: str
) -> None:
    assert len(queries_of(vera, cast.url(address))) <= MOST_QUERIES


@pytest.mark.parametrize("address", PAGES[1:])
def test_a_part_that_is_not_computed_yet_is_said_to_come(
    vera: Client, cast: Cast, shop: Any, address: str
) -> None:
    ReportPart.objects.all().delete()
    assert "Computed with the next refresh" in text(vera.get(cast.url(address)))


def test_longer_periods_that_are_not_computed_yet_are_said_to_come(
    vera: Client, cast: Cast, shop: Any
) -> None:
    ReportPart.objects.all().delete()
    assert "Computed with the next refresh" in text(vera.get(cast.url("growth/?view=years")))


@pytest.mark.parametrize("address", PAGES)
def test_a_company_without_figures_is_told_so(vera: Client, cast: Cast, address: str) -> None:
    assert "No figures yet" in text(vera.get(cast.url(address)))


@pytest.mark.parametrize("address", PAGES)
def test_every_table_of_a_page_can_be_taken_along(
    vera: Client, as_person: Callable[[str], Client], cast: Cast, made: Any, address: str
) -> None:
    client = as_person("vera")
    shown = tables(client.get(cast.url(address)).context["page"])
    assert shown
    for name, table in shown.items():
        rows = sheet(client, cast.url(f"{address}?table={name}&format=csv"))
        assert len(rows) > 0, name
        assert f"table={name}" in table["exports"][0]["url"]


def test_an_investor_takes_no_table_along(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    ivan = as_person("ivan")
    assert "format=csv" not in text(ivan.get(cast.url("retention/")))
    asked = cast.url("retention/?table=retention-table&format=csv")
    assert ivan.get(asked).status_code == 403


def test_a_table_that_a_page_does_not_have_is_not_found(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    asked = cast.url("retention/?table=nothing&format=csv")
    assert as_person("vera").get(asked).status_code == 404


def test_an_investor_sees_segments_without_names_alone(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    ivan = as_person("ivan")
    page = text(ivan.get(cast.url("segments/?by=product&key=product-0")))
    assert "Zq7xv2k" not in page
    assert "Finland" in page


def test_segments_add_up_to_the_mrr_of_the_company(vera: Client, cast: Cast, made: Any) -> None:
    page = vera.get(cast.url("segments/?by=country")).context["page"]
    table = tables(page)["segments-table"]
    growth = tables(vera.get(cast.url("growth/")).context["page"])["movements-table"]
    assert cells(table, "All segments") == cells(growth, "MRR at the end")
    assert "add up to the company's MRR in every month" in table["note"]


def test_segments_that_do_not_add_up_are_said_to(vera: Client, cast: Cast, made: Any) -> None:
    body = made["segments.country"]
    body["segments"][0]["months"][-1]["mrr_minor"] += 1
    parts_make(segments_country=body)
    page = vera.get(cast.url("segments/?by=country")).context["page"]
    assert "do not add up" in tables(page)["segments-table"]["note"]


def test_books_without_any_segment_say_where_to_name_them(
    vera: Client, cast: Cast, made: Any
) -> None:
    body = made["segments.country"]
    for one in body["segments"]:
        one["key"] = ""
    parts_make(segments_country=body)
    page = text(vera.get(cast.url("segments/?by=country")))
    assert "Your books give no country. Name it in Procountor" in page
    assert "brings the most" not in page


def test_many_segments_stand_in_the_file_one_by_one(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    months = Report.objects.get().body["months"]
    parts_make(segments_product=segments(months, "product", count=30))
    client = as_person("vera")
    table = tables(client.get(cast.url("segments/")).context["page"])["segments-table"]
    assert len(table["rows"]) == 12 + 2
    row = sheet(client, cast.url("segments/?table=segments-table&format=csv"))[-1]
    amounts = [Decimal(row[f"Zq7xv2k product-{n}"]) for n in range(29)]
    assert len(row) == 2 + 30 + 1
    assert sum(amounts) + Decimal(row["No product"]) == Decimal(row["All segments"])


def test_what_moves_a_segment_leads_from_its_start_to_its_end(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    rows = sheet(as_person("vera"), cast.url("segments/?by=country&table=segment-moves&format=csv"))
    for row in rows:
        start, *moved, end, _customers = [Decimal(value or 0) for value in list(row.values())[1:]]
        assert start + sum(moved) == end


def test_a_segment_has_a_page_with_its_movements(vera: Client, cast: Cast, made: Any) -> None:
    page = vera.get(cast.url("segments/?by=country&key=FI")).context["page"]
    assert page.title == "Finland"
    assert "MRR at the end" in [row["label"] for row in tables(page)["movements-table"]["rows"]]


def test_a_cohort_has_no_cell_before_it_is_that_old(vera: Client, cast: Cast, made: Any) -> None:
    table = tables(vera.get(cast.url("retention/?period=all")).context["page"])["cohort-customers"]
    first, *_rest, last, average = table["rows"]
    width = len(first["cells"])
    assert [cell["text"] for cell in last["cells"]] == ["10", "100.0%", *[""] * (width - 2)]
    assert average["label"] == "Weighted average"
    assert first["cells"][2]["text"] == "90.0%"


def test_the_running_month_of_a_cohort_is_marked(vera: Client, cast: Cast, made: Any) -> None:
    table = tables(vera.get(cast.url("retention/?period=all")).context["page"])["cohort-mrr"]
    marked = [
        [place for place, cell in enumerate(row["cells"]) if cell.get("incomplete")]
        for row in table["rows"][:-1]
    ]
    lengths = [sum(bool(cell["text"]) for cell in row["cells"]) for row in table["rows"][:-1]]
    assert marked == [[length - 1] for length in lengths]


def test_a_page_of_many_cohorts_stays_short_and_its_file_holds_all(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    months = long_ago()
    parts_make(cohorts=cohorts(months))
    client = as_person("vera")
    for address in ("retention/?period=24&compare=year", "retention/?period=all"):
        answer = client.get(cast.url(address))
        assert len(answer.content) < 100_000
    assert len(tables(answer.context["page"])["cohort-mrr"]["rows"]) == 15 + 1
    file = cast.url("retention/?period=all&table=cohort-mrr&format=csv")
    assert len(sheet(client, file)) == 60 + 1


@pytest.mark.parametrize("address", ["growth/", "segments/", "unit-economics/", "recognition/"])
def test_a_page_of_five_years_stays_short(
    vera: Client, cast: Cast, shop: Any, address: str
) -> None:
    months = long_ago()
    parts_make(segments_product=segments(months, "product", count=52))
    for period in ("24", "all"):
        size = len(vera.get(cast.url(f"{address}?period={period}&compare=year")).content)
        assert size < 100_000, period


def test_the_companys_own_method_and_ltv_come_first(vera: Client, cast: Cast, made: Any) -> None:
    chosen(recognition="daily", ltv="chartmogul")
    page = vera.get(cast.url("recognition/")).context["page"]
    assert page.tiles[0]["value"] == "€200"
    assert "by the day" in tables(page)["recognition-table"]["caption"]
    page = vera.get(cast.url("unit-economics/")).context["page"]
    assert [tile["name"] for tile in page.tiles][1] == "LTV as in ChartMogul"


def test_both_methods_of_recognition_add_up(vera: Client, cast: Cast, made: Any) -> None:
    shown = tables(vera.get(cast.url("recognition/")).context["page"])
    for name in ("recognition-table", "recognition-other-table"):
        labels = [row["label"] for row in shown[name]["rows"]]
        assert "Recognised" in labels
        assert "Does not add up by" not in labels


def test_a_month_of_recognition_that_does_not_add_up_is_shown(
    vera: Client, cast: Cast, made: Any
) -> None:
    body = made["recognition"]
    body["monthly"][-1]["deferred_minor"] += 7
    parts_make(recognition=body)
    shown = tables(vera.get(cast.url("recognition/")).context["page"])
    assert cells(shown["recognition-table"], "Does not add up by")[-1] == "−0.07"


def test_a_figure_that_needs_something_entered_says_what(
    vera: Client, cast: Cast, made: Any
) -> None:
    body = made["economics"]
    body["gross_margin_bp"] = None
    for month in body["months"]:
        month |= {"ltv_ours_minor": None, "cac_minor": None, "cost_minor": None}
    parts_make(economics=body)
    tiles = {
        tile["id"]: tile for tile in vera.get(cast.url("unit-economics/")).context["page"].tiles
    }
    assert tiles["ltv"]["value"] == tiles["cac"]["value"] == "–"
    assert "gross margin" in tiles["ltv"]["reason"]
    assert "acquisition cost" in tiles["cac"]["reason"]
    assert "under Settings" in tiles["ltv"]["reason"]


def test_who_may_not_enter_it_is_not_sent_to_the_settings(
    as_person: Any, cast: Cast, made: Any
) -> None:
    body = made["economics"]
    body["gross_margin_bp"] = None
    parts_make(economics=body)
    page = text(as_person("ivan").get(cast.url("unit-economics/")))
    assert "Needs the gross margin, which the company has not entered." in page
    assert "under Settings" not in page


def test_refunds_and_overdue_are_shares_of_what_was_invoiced(
    vera: Client, cast: Cast, made: Any
) -> None:
    table = tables(vera.get(cast.url("overdue/")).context["page"])["refunds-table"]
    assert set(cells(table, "Credited, of what was invoiced")) == {"10.0%"}
    assert set(cells(table, "Overdue, of what was invoiced")) == {"25.0%"}


def test_what_is_overdue_today_of_a_month_is_not_compared_with_an_older_month(
    vera: Client, cast: Cast, made: Any
) -> None:
    page = vera.get(cast.url("overdue/")).context["page"]
    tiles = {tile["id"]: tile for tile in page.tiles}
    assert tiles["credited"]["changes"]
    assert tiles["overdue-share"]["changes"] == []


@pytest.mark.parametrize(
    ("way", "said"), [("summed", "Sum of months"), ("reclassified", "own first and last day")]
)
def test_a_quarter_says_how_it_is_counted(
    vera: Client, cast: Cast, made: Any, way: str, said: str
) -> None:
    page = vera.get(cast.url(f"growth/?view=quarters&way={way}")).context["page"]
    chart = next(s["chart"] for s in page.sections if s.get("chart", {}).get("id") == "movements")
    assert said in chart["note"]
    assert ("123.45" in cells(chart["table"], "New")) == (way == "summed")


def test_the_companys_choice_says_how_a_quarter_is_counted(
    vera: Client, cast: Cast, made: Any
) -> None:
    chosen(period_view="summed")
    page = vera.get(cast.url("growth/?view=years")).context["page"]
    assert "Sum of months" in next(s["chart"]["note"] for s in page.sections if "chart" in s)


def months_of(*values: int | None) -> list[dict[str, Any]]:
    return [
        {"month": f"2026-{number:02}", "complete": True, "figure_minor": value}
        for number, value in enumerate(values, 1)
    ]


def test_a_table_says_how_each_month_differs_from_the_one_compared_with() -> None:
    known = months_of(10_000, None, 12_500, 13_000)
    tenant = Tenant(slug="x", currency="EUR", time_zone="Europe/Helsinki")
    months = Months(
        tenant=tenant,
        words=words_for(tenant),
        rows=known[2:],
        known=known,
        compare=Comparison(2, "on the period before"),
    )
    row = Row(label="MRR", field="figure_minor", compared=True)
    table = months.table(id="t", caption="T", what="W", rows=[row])
    assert cells(table, "MRR") == ["125.00", "130.00"]
    assert cells(table, "change on the period before") == ["+25.00", "–"]


def test_the_months_shown_stand_beside_those_before_them(
    vera: Client, cast: Cast, made: Any
) -> None:
    page = vera.get(cast.url("growth/?from=2026-02&to=2026-02&compare=previous")).context["page"]
    table = tables(page)["growth-compared"]
    body = {row["month"]: row for row in Report.objects.get().body["months"]}
    now, before = body["2026-02"]["mrr_minor"], body["2026-01"]["mrr_minor"]
    shown = cells(table, "MRR at the end")
    amounts = [Decimal(one.replace(",", "").replace("−", "-")) * 100 for one in shown[:3]]
    assert amounts == [now, before, now - before]


def test_months_before_the_books_begin_are_not_compared_with(
    vera: Client, cast: Cast, made: Any
) -> None:
    page = vera.get(cast.url("growth/?period=all&compare=year")).context["page"]
    assert cells(tables(page)["growth-compared"], "Net new")[1:] == ["–", "–", "–"]


def test_a_tile_says_its_change_against_the_period_chosen(
    vera: Client, cast: Cast, made: Any
) -> None:
    address = "growth/?from=2026-02&to=2026-02&compare={}"
    for compare, against in (("", "on the month before"), ("previous", "on the period before")):
        page = vera.get(cast.url(address.format(compare))).context["page"]
        said = {change["against"] for tile in page.tiles for change in tile["changes"]}
        assert said == {against}


def test_deferred_revenue_is_the_same_by_month_by_customer_and_by_invoice(
    vera: Client, cast: Cast, shop: Any
) -> None:
    table = tables(vera.get(cast.url("recognition/")).context["page"])["recognition-table"]
    totals = [
        totals_of(vera.get(cast.url(f"recognition/{name}/")))["deferred"]
        for name in ("customers", "invoices")
    ]
    assert [*totals, cells(table, "Deferred at the end")[-1]] == [totals[0]] * 3
    assert totals[0] != "0.00"


def test_deferred_invoices_are_found_by_their_customer(vera: Client, cast: Cast, shop: Any) -> None:
    page = text(vera.get(cast.url("recognition/invoices/?q=cedar")))
    assert "Cedar Inc" in page
    assert "Aalto Oy" not in page


def test_segments_of_real_books_add_up_in_every_dimension(
    vera: Client, cast: Cast, shop: Any
) -> None:
    for dimension in DIMENSIONS:
        page = vera.get(cast.url(f"segments/?by={dimension}")).context["page"]
        assert (
            "add up to the company's MRR in every month" in tables(page)["segments-table"]["note"]
        )


def test_a_segment_that_brings_and_moves_nothing_is_left_out_of_what_moved(
    vera: Client, cast: Cast, made: Any
) -> None:
    body = made["segments.country"]
    for month in body["segments"][0]["months"]:
        month |= dict.fromkeys(month, 0)
    parts_make(segments_country=body)
    table = tables(vera.get(cast.url("segments/?by=country")).context["page"])["segment-moves"]
    assert [row["label"] for row in table["rows"]] == ["No country", "All segments"]


def test_figures_of_another_company_reach_no_page(
    as_person: Callable[[str], Client], cast: Cast, made: Any
) -> None:
    mallory = as_person("mallory")
    with scope.tenant(cast.tenant.pk):
        assert {mallory.get(cast.url(address)).status_code for address in PAGES} == {404}
