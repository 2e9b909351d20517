"""Support at work, in a real browser on the running product: sign in, find, look in, be ended."""

from __future__ import annotations

import subprocess
import sys

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.running import ROOT, TOGETHER, JourneyStack, Office, found_company
from tests.tenancy.people import digits

pytestmark = [pytest.mark.journey, *TOGETHER]


def letters(books: Office) -> int:
    """How often the company was written to that support looks in."""
    query = "SELECT count(*) FROM jobs_job WHERE tenant_id = %s AND key LIKE 'support.opened:%%'"
    return int(books.stack.one(query, books.tenant_id))


def test_i23_support_looks_in_for_a_customer_who_sees_it_and_ends_it(
    stack: JourneyStack, books: Office, context: BrowserContext, page: Page
) -> None:
    staff, told = found_company(stack, "Support Hands"), letters(books)
    command = [sys.executable, "-m", "django", "staff", "add", staff.email]
    subprocess.run(command, cwd=ROOT, env=stack.env, check=True)
    context.add_cookies(staff.cookies())  # type: ignore[arg-type]

    # Without a second step the console sends them to turn it on, and opens afterwards.
    page.goto(f"{stack.site}/admin/")
    expect(page.get_by_text("Support needs a second step")).to_be_visible()
    page.get_by_role("listitem").filter(has_text="Authenticator app").get_by_role("link").click()
    page.get_by_label("code").fill(digits(page.locator("code").inner_text()))
    page.get_by_role("button", name="Turn on").click()
    page.get_by_role("link", name="I have kept them, go on").click()
    expect(page.get_by_role("heading", name="What needs support")).to_be_visible()

    # Find the company by a connection's name, and ask to look in.
    assert page.goto(books.url()).status == 404  # type: ignore[union-attr]
    page.goto(f"{stack.site}/admin/")
    page.get_by_role("searchbox").fill("EU account")
    page.get_by_role("button", name="Find").click()
    page.get_by_role("link", name="Demo Oy").first.click()
    expect(page.get_by_role("region", name="Connections")).to_contain_text("US account")
    page.get_by_role("link", name="Look into the company").click()
    page.get_by_label("On behalf of").select_option(index=1)
    page.get_by_label("Reason").fill("The growth page looks odd")
    page.get_by_label("Ticket").fill("T-77")
    page.get_by_role("button", name="Look into the company").click()

    # A viewer's pages, under the banner, and no file.
    page.get_by_role("link", name="Look at their pages").click()
    banner = page.get_by_role("complementary", name="Support access")
    expect(banner).to_contain_text("T-77")
    page.get_by_role("link", name="Customers", exact=True).click()
    expect(banner).to_be_visible()
    assert page.goto(books.url("customers/?format=csv")).status == 403  # type: ignore[union-attr]

    # The customer reads of it, and ends it.
    owner = books.visitor
    owner.open(f"/t/{books.slug}/settings/security/")
    assert "The growth page looks odd" in owner.html
    owner.press("End now")
    assert page.goto(books.url()).status == 404  # type: ignore[union-attr]
    owner.open(f"/t/{books.slug}/settings/audit/")
    assert "Opened a page as support" in owner.html
    assert letters(books) == told + 1
