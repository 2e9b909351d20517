"""A walk from an import to figures that hold: review, correct, explain, undo, take along."""

from __future__ import annotations

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.conftest import SHOTS
from tests.journeys.running import TOGETHER, JourneyStack, Office, found_company
from tests.journeys.test_founder import amounts_on_all_pages, cents, mrr_tile, written

pytestmark = [pytest.mark.journey, *TOGETHER]
CANDIDATES = 10


@pytest.fixture
def imported(stack: JourneyStack) -> Office:
    """A company of its own whose first import is done and on which nobody decided."""
    office = found_company(stack, "Arvo Oy")
    office.connect("koivu", name="Main books")
    office.await_figures()
    return office


def picture(page: Page, name: str) -> None:
    """Keep the page as it is where pictures are asked for."""
    if SHOTS.name:
        SHOTS.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=SHOTS / f"review-{name}.png", full_page=True)


def save_if_asked(page: Page, done: str) -> None:
    """What moves MRR is shown before it is saved; what moves nothing is saved at once."""
    asked = page.get_by_text("Nothing is saved yet")
    expect(asked.or_(page.get_by_text(done)).first).to_be_visible()
    if asked.count():
        page.get_by_role("button", name="Save", exact=True).click()


def previewed(page: Page) -> tuple[int, int]:
    """MRR now without and with the change, as the page promises it, in minor units."""
    promise = page.locator("dl.facts > div", has_text="MRR now").locator("dd").inner_text()
    before, after = promise.splitlines()[0].split("→")
    return cents(before), cents(after)


def mrr(office: Office) -> int:
    return int(office.report()["now"]["mrr_minor"])


def test_from_an_import_to_figures_that_hold(page: Page, imported: Office, tmp_path: Path) -> None:
    page.context.add_cookies(imported.cookies())  # type: ignore[arg-type]
    page.goto(imported.url("subscriptions/"))

    # Ten candidates are decided on, each with its evidence in sight.
    page.get_by_role("link", name=re.compile(r"Review \d+")).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Review subscriptions")
    found = page.get_by_role("region", name="Progress").inner_text()
    total = int(found.split(" of ")[1].split()[0].replace(",", ""))
    assert total > CANDIDATES
    picture(page, "1-candidates")
    for turn in range(1, CANDIDATES + 1):
        card = page.get_by_role("article").first
        expect(card.locator("svg[role=img]")).to_be_visible()
        card.get_by_role("button", name="Confirm").click()
        done = f"{turn} of {total} reviewed"
        save_if_asked(page, done)
        expect(page.get_by_text(done).first).to_be_visible()
    picture(page, "2-reviewed")
    imported.await_figures()

    # One is billed otherwise than detection believes: MRR becomes what the preview promised.
    public_id = imported.stack.one(
        "SELECT public_id FROM reporting_subscription WHERE tenant_id = %s"
        " AND status = 'active' AND period_months = 1 ORDER BY mrr_e4 DESC LIMIT 1",
        imported.tenant_id,
    )
    start = mrr(imported)
    page.goto(imported.url(f"subscriptions/{public_id}/"))
    page.get_by_label("Last day").fill("2024-12-31")
    page.get_by_role("button", name="See what it does").first.click()
    expect(page.get_by_text("Nothing is saved yet")).to_be_visible()
    picture(page, "3-preview")
    before, after = previewed(page)
    assert before == start
    assert after < before
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Saved and confirmed.")).to_be_visible()
    picture(page, "4-saved")
    imported.await_figures()
    assert mrr(imported) == after

    # A month explains itself: the documents behind its MRR add up to it.
    page.goto(imported.url())
    assert mrr_tile(page) == written(after, imported.report()["currency"])
    page.get_by_role("region", name="Monthly recurring revenue").locator(".tile-value a").click()
    picture(page, "5-explained")
    assert sum(amounts_on_all_pages(page)) == after

    # The edit is taken back, and MRR is what it was.
    page.goto(imported.url("subscriptions/edits/"))
    picture(page, "6-edits")
    row = page.get_by_role("row", name=re.compile("Edited a subscription")).first
    row.get_by_role("button", name=re.compile("Undo")).click()
    expect(page.get_by_text("Undone.").first).to_be_visible()
    imported.await_figures()
    assert mrr(imported) == before

    # What was reviewed is taken along.
    page.goto(imported.url("subscriptions/?found=confirmed"))
    picture(page, "7-confirmed")
    with page.expect_download() as begun:
        page.get_by_role("link", name="Export CSV").click()
    begun.value.save_as(tmp_path / "subscriptions.csv")
    with (tmp_path / "subscriptions.csv").open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert all(row["Why"].startswith("Confirmed.") for row in rows)
