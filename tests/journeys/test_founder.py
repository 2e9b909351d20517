"""What a founder does in the first days, in a real browser on the running product."""

from __future__ import annotations

import re
from decimal import Decimal
from urllib.parse import urljoin

import pytest
from playwright.sync_api import Page, expect

from calqsync.local.visitor import Visitor
from calqsync.tenancy import formats
from tests.journeys.running import NUMBERS, PASSWORD, TOGETHER, JourneyStack, Office

pytestmark = [pytest.mark.journey, *TOGETHER]


def to_procountor(page: Page) -> None:
    page.get_by_role("button", name="Connect now").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Procountor login")


def log_in_and_choose(page: Page, company: str) -> None:
    page.get_by_role("button", name="Log in").click()
    page.get_by_label(company).check()
    page.get_by_role("button", name="Continue").click()


def cents(text: str) -> int:
    """`12,345.60` or `€−3.10` in minor units."""
    digits = re.sub(r"[^\d.\u2212-]", "", text).replace("\u2212", "-")
    return int(Decimal(digits) * 100)


def mrr_tile(page: Page) -> str:
    tile = page.get_by_role("region", name="Monthly recurring revenue")
    return tile.locator(".tile-value").inner_text().strip()


def written(minor: int, currency: str) -> str:
    return formats.money(minor, currency, cents=False)


def sign_up(page: Page, stack: JourneyStack) -> Office:
    page.goto(stack.site)
    page.get_by_role("link", name="Start a free 14-day trial").click()
    email = f"alma{next(NUMBERS)}@alku.example"
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("Company name").fill("Alku Oy")
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Create account").click()
    page.get_by_label("Code").fill(stack.code_for(email))
    page.get_by_role("button", name="Continue").click()
    expect(page.get_by_text("14 days left of your trial")).to_be_visible()
    return Office(stack, email, page.url.split("/t/")[1].split("/")[0], Visitor(stack.site))


def open_integrations(page: Page) -> None:
    main = page.get_by_role("navigation", name="Main")
    main.get_by_role("link", name="Integrations").click()


def test_from_sign_up_to_figures_to_a_plan(page: Page, stack: JourneyStack) -> None:
    office = sign_up(page, stack)

    # Connect: Procountor's own login, its company choice, and a name of the founder's own.
    open_integrations(page)
    to_procountor(page)
    log_in_and_choose(page, "Koivu Software Oy")
    expect(page.get_by_text("You are connecting Koivu Software Oy (2790551-")).to_be_visible()
    page.get_by_role("textbox", name="Name").fill("Main books")
    stack.fault(kind="slow", seconds=1, times=None, path="/invoices", company="koivu")
    page.get_by_role("button", name="Confirm").click()

    # Progress moves on one page; the status follows when the import ends.
    expect(page.get_by_role("heading", level=1)).to_have_text("Main books")
    page.evaluate("window.stillHere = true")
    expect(page.get_by_role("heading", name="Import now")).to_be_visible()
    expect(page.get_by_text(re.compile("[0-9]+ of about [0-9]+ documents"))).to_be_visible()
    stack.no_faults()
    facts = page.get_by_role("region", name="Connection", exact=True)
    expect(facts.get_by_text("Active")).to_be_visible(timeout=240_000)
    assert page.evaluate("window.stillHere"), "the page was loaded anew"
    office.await_figures()

    # The dashboard shows what the engine published.
    page.get_by_role("link", name="Financial reporting").first.click()
    figures = office.report()
    assert figures["now"]["mrr_minor"] > 0
    assert mrr_tile(page) == written(figures["now"]["mrr_minor"], figures["currency"])

    # A figure opens its documents, and they add up to it.
    page.get_by_role("region", name="Monthly recurring revenue").locator(".tile-value a").click()
    assert cents(page.locator("tfoot td").last.inner_text()) == figures["now"]["mrr_minor"]
    assert sum(amounts_on_all_pages(page)) == figures["now"]["mrr_minor"]

    # Another name for the connection.
    open_integrations(page)
    page.get_by_role("link", name="Main books").click()
    page.get_by_role("textbox", name="Name").fill("Finland")
    page.get_by_role("button", name="Save name").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Finland")

    # The trial ends: no import, but everything stays in sight.
    office.end_trial()
    page.get_by_role("button", name="Sync now").click()
    expect(page.get_by_role("heading", name="Imports are stopped")).to_be_visible()
    page.get_by_role("link", name="Financial reporting").first.click()
    assert mrr_tile(page) == written(figures["now"]["mrr_minor"], figures["currency"])
    assert runs(office) == 1

    # With a plan the same button imports again.
    page.get_by_role("link", name="Choose a plan").first.click()
    page.get_by_role("button", name="Choose Starter").click()
    expect(page.get_by_text("Your plan is active. Imports run again.")).to_be_visible()
    open_integrations(page)
    page.get_by_role("button", name="Sync now: Finland").click()
    stack.until(lambda: runs(office) >= 2 and office.figures_ready())


def runs(office: Office) -> int:
    return int(
        office.stack.one(
            "SELECT count(*) FROM integrations_syncrun WHERE tenant_id = %s", office.tenant_id
        )
    )


def amounts_on_all_pages(page: Page) -> list[int]:
    found = []
    while True:
        page.locator("tfoot td").last.wait_for()  # what comes after all rows
        cells = page.locator("tbody tr td:last-child").all_inner_texts()
        found += [cents(text) for text in cells]
        onward = page.get_by_role("link", name="Next")
        if not onward.count():
            return found
        page.goto(urljoin(page.url, str(onward.get_attribute("href"))))


@pytest.fixture
def signed_in(page: Page, books: Office) -> Page:
    """The founder of the company with books, on its connections."""
    page.context.add_cookies(books.cookies())  # type: ignore[arg-type]
    page.goto(books.url("settings/integrations/"))
    return page


def test_a_company_is_connected_once(signed_in: Page) -> None:
    to_procountor(signed_in)
    log_in_and_choose(signed_in, "Kuusi Data Oy")
    expect(signed_in.get_by_role("heading", level=1)).to_have_text(
        re.compile(r"Kuusi Data Oy \(.*\) is connected already")
    )
    expect(signed_in.get_by_role("alert")).to_contain_text("under the name EU account")
    signed_in.get_by_role("link", name="Back to integrations").click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("Integrations")


def test_leaving_procountors_login_comes_back_politely(signed_in: Page) -> None:
    to_procountor(signed_in)
    signed_in.get_by_role("button", name="Cancel").click()
    expect(signed_in.get_by_role("heading", level=1)).to_have_text("Integrations")
    expect(
        signed_in.get_by_text("You left Procountor's login. Nothing was connected.")
    ).to_be_visible()


def test_rejecting_a_subscription_takes_it_out_of_mrr_until_it_is_cleared(
    signed_in: Page, books: Office
) -> None:
    before = books.report()["now"]["mrr_minor"]
    public_id, share = books.stack.rows(
        "SELECT public_id, mrr_e4 FROM reporting_subscription WHERE tenant_id = %s"
        " AND counted AND status = 'active' ORDER BY mrr_e4 DESC",
        books.tenant_id,
    )[0]
    signed_in.goto(books.url(f"subscriptions/{public_id}/"))
    signed_in.get_by_role("button", name="Reject").click()
    signed_in.get_by_role("button", name="Save", exact=True).click()
    expect(signed_in.get_by_text("Rejected. Figures are being recomputed.")).to_be_visible()
    books.await_figures()
    after = books.report()["now"]["mrr_minor"]
    assert abs(before - after - share / 10_000) <= 1

    signed_in.goto(books.url())
    assert mrr_tile(signed_in) == written(after, books.report()["currency"])
    signed_in.goto(books.url(f"subscriptions/{public_id}/"))
    signed_in.get_by_role("button", name="Forget what was said").click()
    signed_in.get_by_role("button", name="Save", exact=True).click()
    expect(signed_in.get_by_text("Cleared; detection decides again.")).to_be_visible()
    books.await_figures()
    assert books.report()["now"]["mrr_minor"] == before
