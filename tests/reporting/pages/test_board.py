"""The monthly report for a board: the published figures of one month, and nobody's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from calqsync.tenancy.formats import WORD_JOINER
from reporting.models import Report, Restatement
from reporting.selectors import frame
from reporting.selectors.frame import Words
from reporting.selectors.sentences import why
from tests.conftest import Cast
from tests.reporting.pages.conftest import queries_of, text

NAMES = ("Aalto", "Berg", "Cedar", "EU account", "US account", "Alusta", "Platform")


def page_of(client: Client, cast: Cast, query: str = "") -> Any:
    answer = client.get(cast.url(f"board/{query}"))
    assert answer.status_code == 200
    return answer


def table(answer: Any, name: str) -> dict[str, Any]:
    sections = answer.context["page"].sections
    found: dict[str, Any] = next(
        one["table"] for one in sections if one.get("table", {}).get("id") == name
    )
    return found


def test_it_opens_with_the_last_complete_month_as_published(
    cast: Cast, vera: Client, shop: Any
) -> None:
    answer = page_of(vera, cast)
    body = Report.objects.get().body
    february = next(row for row in body["months"] if row["month"] == "2026-02")
    assert "Board report, February 2026" in text(answer)
    mrr = table(answer, "board-mrr")
    end = next(row for row in mrr["rows"] if row["label"] == "MRR at the end")
    shown = Decimal(end["cells"][-1]["text"].replace("\u00a0", "").replace(",", ""))
    assert shown * 100 == february["mrr_minor"]
    tiles = {tile["id"]: tile for tile in answer.context["page"].tiles}
    assert tiles["customers"]["value"] == str(february["customers"])


def test_an_earlier_month_shows_nothing_of_the_later_ones(
    cast: Cast, vera: Client, shop: Any
) -> None:
    page = page_of(vera, cast, "?month=2026-01").context["page"]
    assert page.month == "2026-01"
    assert len(table(page_of(vera, cast, "?month=2026-01"), "board-mrr")["head"]) == 2


def test_the_runway_says_of_which_day_it_is_whichever_month_is_shown(
    cast: Cast, vera: Client, shop: Any
) -> None:
    report = Report.objects.get()
    report.body["runway"] |= {"balance_date": "2026-02-28"}
    report.save(update_fields=["body"])
    page = page_of(vera, cast, "?month=2026-01").context["page"]
    tile = next(one for one in page.tiles if one["id"] == "runway")
    assert "(balance of 28 Feb 2026)" in tile["note"]


@pytest.mark.parametrize("asked", ["2026-03", "1999-01", "soon", "2026-13", "'"])
def test_a_month_that_is_not_complete_falls_back_to_the_last_one(
    cast: Cast, vera: Client, shop: Any, asked: str
) -> None:
    assert page_of(vera, cast, f"?month={asked}").context["page"].month == "2026-02"


def test_the_sentence_says_every_movement_and_adds_up() -> None:
    words = Words("EUR", UTC, "en")
    month = {
        "month": "2026-02",
        "start_minor": 800_000,
        "new_minor": 150_000,
        "new_customers": 3,
        "reactivation_minor": 0,
        "reactivated_customers": 0,
        "expansion_minor": 20_000,
        "expanded_customers": 1,
        "contraction_minor": 0,
        "contracted_customers": 0,
        "churn_minor": 30_000,
        "churned_customers": 1,
        "fx_minor": -10_000,
        "mrr_minor": 930_000,
    }
    said = why([month], "2026-02", words).replace("\u00a0", " ").replace(WORD_JOINER, "")
    assert said == (
        "MRR rose by €1,300 to €9,300: +€1,500 new (3 customers); +€200 expansion (1 customer);"
        " −€300 churn (1 customer); −€100 FX."
    )


def test_changes_that_a_company_tolerates_stand_in_the_sentence() -> None:
    names = ("new", "reactivation", "expansion", "contraction", "churn", "fx")
    month: dict[str, Any] = {"month": "2026-02", "start_minor": 800_000, "mrr_minor": 804_000}
    month |= {"tolerated_minor": 4_000, **{f"{name}_minor": 0 for name in names}}
    said = why([month], "2026-02", Words("EUR", UTC, "en")).replace(WORD_JOINER, "")
    assert said == "MRR rose by €40 to €8,040: +€40 changes too small to count."


def test_closed_months_that_changed_since_the_report_before_are_told(
    cast: Cast, vera: Client, shop: Any
) -> None:
    def changed(at: datetime, month: str, after: int) -> None:
        Restatement.objects.create(
            at=at,
            month=frame.month_index(month),
            metric="mrr",
            before_minor=10_000,
            after_minor=after,
            causes=[{"code": "credit_note", "params": {"number": "1187"}, "amount_minor": -1}],
        )

    changed(datetime(2026, 2, 10, tzinfo=UTC), "2026-01", 7_600)
    changed(datetime(2026, 1, 10, tzinfo=UTC), "2025-12", 5_000)
    (line,) = page_of(vera, cast).context["page"].restated
    told = line["text"].replace(WORD_JOINER, "")
    assert "MRR of January 2026 was restated by −€24.00: credit note 1187" in told
    (earlier,) = page_of(vera, cast, "?month=2026-01").context["page"].restated
    assert "December 2025" in earlier["text"]


def test_an_investor_reads_the_same_figures_without_a_name_or_a_link_to_documents(
    cast: Cast, as_person: Callable[[str], Client], shop: Any
) -> None:
    ivan, vera = as_person("ivan"), as_person("vera")
    shown, full = page_of(ivan, cast), page_of(vera, cast)
    main = text(shown).partition("<main")[2]
    assert [name for name in NAMES if name in main] == []
    assert "/figures/" not in main
    assert "format=csv" not in main
    assert shown.context["page"].said == full.context["page"].said
    texts = [cell["text"] for row in table(shown, "board-mrr")["rows"] for cell in row["cells"]]
    whole = [cell["text"] for row in table(full, "board-mrr")["rows"] for cell in row["cells"]]
    assert texts == whole


def test_a_company_without_figures_is_told_so(cast: Cast, vera: Client, kuura: Any) -> None:
    assert "No figures yet" in text(page_of(vera, cast))


def test_it_reads_stored_figures_in_few_queries(cast: Cast, vera: Client, shop: Any) -> None:
    assert len(queries_of(vera, cast.url("board/"))) <= 12


def test_the_page_is_there_for_a_printer(cast: Cast, vera: Client, shop: Any) -> None:
    page = text(page_of(vera, cast))
    assert "data-print" in page
    assert 'media="print"' in page
