"""The shared parts render what they are given, under the strict content security policy."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.template.loader import render_to_string
from django.test import RequestFactory

from calqsync.tenancy.templatetags import parts
from tests.tenancy import gallery

TEMPLATES = Path(settings.BASE_DIR) / "templates"
ICONS = Path(settings.BASE_DIR) / "calqsync" / "static" / "img" / "icons.svg"


@pytest.fixture
def page():
    request = RequestFactory().get("/t/nordlicht/customers/", {"q": "oy", "page": "2"})
    return render_to_string("parts/gallery.html", gallery.context(), request=request)


def test_a_page_with_every_part_stays_under_the_limit(page):
    assert len(page.encode()) < 100_000


def test_no_template_needs_more_than_the_strict_policy():
    inline = re.compile(
        r"<style|\sstyle=|\son[a-z]+=|javascript:"
        r"|<script(?![^>]*\bsrc=)(?![^>]*application/json)",
    )
    files = list(TEMPLATES.rglob("*.html"))
    assert len(files) > 40, "the scan found nothing, so this guards nothing"
    offending = [str(p.relative_to(TEMPLATES)) for p in files if inline.search(p.read_text())]
    assert offending == []


def test_no_template_asks_another_host():
    asking = re.compile(r"(?:src|href)=[\"']?(?:https?:)?//")
    files = TEMPLATES.rglob("*.html")
    assert [p.name for p in files if asking.search(p.read_text())] == []


def test_every_icon_that_is_named_is_drawn():
    drawn = set(re.findall(r'symbol id="([\w-]+)"', ICONS.read_text()))
    named = {icon for _tone, icon, _word in parts.STATUSES.values()}
    for path in TEMPLATES.rglob("*.html"):
        named |= set(re.findall(r'parts/icon\.html" with name="([\w-]+)"', path.read_text()))
    assert len(named) > 10
    assert named - drawn == set()


def test_a_page_has_one_main_heading(page):
    assert page.count("<h1") == 1


def test_sorting_by_a_column_keeps_the_search_and_drops_the_page(page):
    assert 'href="?q=oy&amp;sort=name"' in page
    assert 'aria-sort="descending"' in page


def test_paging_keeps_the_search(page):
    assert 'href="?q=oy&amp;page=3"' in page


def test_a_chart_carries_its_numbers_and_its_table(page):
    assert '<script id="movements-data" type="application/json">' in page
    assert 'data-series-id="movements-data"' in page
    assert 'id="movements-table-caption"' in page


def test_text_from_the_books_is_escaped():
    listing = {**gallery.listing(), "rows": [{"cells": [{"text": "<b>x</b>"}, "<i>y</i>"]}]}
    page = render_to_string(
        "parts/data_list.html", {"listing": listing}, request=RequestFactory().get("/")
    )
    assert "<b>x" not in page
    assert "<i>y" not in page


def test_a_wrong_form_names_its_errors_at_the_field(page):
    assert 'id="id_name_error"' in page
    assert 'aria-describedby="id_name_helptext id_name_error"' in page


def test_finished_progress_stops_asking():
    progress = {**gallery.progress(), "finished": True}
    assert "hx-get" not in render_to_string("parts/progress.html", {"progress": progress})


@pytest.mark.parametrize("code", sorted(parts.STATUSES))
def test_a_state_says_its_name_in_words(code):
    page = render_to_string("parts/status.html", {"status": code})
    assert str(parts.STATUSES[code][2]) in page


def test_an_unknown_state_is_shown_rather_than_hidden():
    assert "half way" in render_to_string("parts/status.html", {"status": "half_way"})


@pytest.mark.parametrize("name", ["403.html", "403_csrf.html", "404.html", "500.html"])
def test_an_error_page_leads_back(name):
    assert 'href="/"' in render_to_string(name)


class TestSpark:
    def test_the_highest_point_is_at_the_top(self):
        assert parts.spark_line([0, 10]) == "M0 26 L100 2"

    def test_a_flat_line_runs_through_the_middle(self):
        assert parts.spark_line([5, 5]) == "M0 14 L100 14"

    def test_a_gap_starts_a_new_piece(self):
        assert parts.spark_line([0, None, 10]) == "M0 26 M100 2"

    def test_the_surface_leaves_a_gap_too(self):
        places = [0, 10, None, 10, 0]
        assert (
            parts.spark_area(places) == "M0 28 L0 26 L25 2 L25 28 Z M75 28 L75 2 L100 26 L100 28 Z"
        )

    @pytest.mark.parametrize("points", [[], [1], [None, 1], None])
    def test_too_few_points_draw_nothing(self, points):
        assert parts.spark_line(points) == ""


def test_a_header_turns_the_order_around():
    assert parts.sort_key("mrr", "mrr") == "-mrr"
    assert parts.sort_key("mrr", "-mrr") == "mrr"
    assert parts.sort_key("mrr", "name") == "mrr"


def test_a_share_is_written_the_same_in_every_language():
    assert parts.whole_percent(37.6) == "38"
    assert parts.whole_percent(140) == "100"
    assert parts.whole_percent(None) == "0"
