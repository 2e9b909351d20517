"""Every page, full and empty, on a laptop and on a phone: whole, quiet, accessible and light."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import pytest
import requests
from django.urls import reverse
from playwright.sync_api import Browser, BrowserContext, Page, Response, expect

from tests.architecture.test_url_guard import TENANT_PAGES, filled
from tests.journeys.running import ROOT, TOGETHER, JourneyStack, Office, found_company

pytestmark = [pytest.mark.journey, *TOGETHER]

LAPTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
Screens = tuple[tuple[dict[str, int], str], ...]
BOTH_SCREENS: Screens = ((LAPTOP, "light"), (PHONE, "dark"))
HTML_BYTES = 100_000
ASSET_BYTES = 120_000
MAIN = ["financial", "growth", "cashflow", "customers", "products", "subscriptions", "invoices"]
MAIN += ["payments", "retention", "segments", "economics", "recognition", "overdue"]
MAIN += ["deferred_customers", "deferred_invoices"]
MAIN += ["subscriptions_review", "edits", "board", "restatements"]
MAIN += ["quality", "quality_subscriptions", "quality_credits"]
SETTINGS = [
    "settings_company",
    "settings_figures",
    "settings_team",
    "integrations",
    "plan",
    "settings_security",
]
SETTINGS += ["settings_audit", "connect_key", "settings_data", "settings_tokens", "company_delete"]
ONE = ["customer", "product", "subscription", "invoice"]
CONNECTION = ["connection", "connection_disconnect", "connection_rejected"]
BEHIND = ["mrr", "arr", "customers", "new", "churn-customers", "revenue", "open"]
BEHIND += ["money_out", "burn"]
OWN = ["/?choose", "/accounts/email/", "/accounts/2fa/", "/accounts/password/change/"]
OWN += ["/accounts/logout/", "/accounts/2fa/totp/activate/"]
OWN += ["/account/", "/accounts/sessions/", "/accounts/2fa/webauthn/"]
OWN += ["/accounts/2fa/webauthn/add/", "/accounts/reauthenticate/"]
GUEST = ["/", "/terms/", "/accounts/login/", "/accounts/signup/", "/accounts/password/reset/"]
GUEST += ["/accounts/password/reset/done/", "/nowhere/", "/invite/unknown/"]
# Pages of a company that a link cannot open: they answer a form, a poll or another site.
NO_PAGE = {"connection_progress", "connect_confirm", "api_figures", "export_progress"}

AXE = (ROOT / "node_modules" / "axe-core" / "axe.min.js").read_text("utf-8")
RUN_AXE = """async () => {
  await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
  const why = (node) => [...node.any, ...node.all, ...node.none].map((check) => check.message);
  const found = await axe.run(document, {resultTypes: ["violations"]});
  return found.violations.map((rule) => [rule.id, ...rule.nodes.slice(0, 3)
    .map((node) => `${node.target.join(" ")} (${why(node)})`)].join(": "));
}"""
# Words of a picture that begin before it or end after it: no scroll bar leads to them.
CUT = """() => [...document.querySelectorAll("svg text")].filter((word) => {
    const own = word.getBoundingClientRect(), all = word.ownerSVGElement.getBoundingClientRect();
    return own.left < all.left - 1 || own.right > all.right + 1; })
  .slice(0, 3).map((word) => `cut off: ${word.textContent}`)"""
WIDER = """() => document.documentElement.scrollWidth <= innerWidth ? [] :
  [...document.querySelectorAll("body *")]
    .filter((e) => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest(".scroll"))
    .slice(0, 3).map((e) => `${e.tagName}.${e.className}`).concat("too wide")"""


@dataclass
class Watched:
    """A tab and everything that it complained about."""

    page: Page
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on(
            "console",
            lambda line: self.said.append(line.text) if line.type in ("error", "warning") else None,
        )
        self.page.on("requestfailed", lambda request: self.said.append(f"failed: {request.url}"))

    def look_at(
        self, address: str, *, status: int = 200, screens: Screens = BOTH_SCREENS
    ) -> list[str]:
        """What is wrong with the page on these screens."""
        answer = self.page.goto(address)
        assert answer is not None
        return self.check(answer, status=status, screens=screens)

    def check(
        self, answer: Response, *, status: int = 200, screens: Screens = BOTH_SCREENS
    ) -> list[str]:
        wrong = [] if answer.status == status else [f"answered {answer.status}"]
        if len(answer.body()) > HTML_BYTES:
            wrong.append(f"{len(answer.body())} bytes of HTML")
        self.page.evaluate(AXE)
        for screen, scheme in screens:
            self.page.set_viewport_size(screen)
            self.page.emulate_media(color_scheme=scheme)
            self.page.wait_for_function(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
            headings = self.page.locator("h1").count()
            found = [f"{headings} h1"] if headings != 1 else []
            found += self.page.evaluate(WIDER) + self.page.evaluate(CUT)
            found += self.page.evaluate(RUN_AXE)
            wrong += [f"{scheme}, {screen['width']} px: {one}" for one in found]
        refusal = f"status of {status}" if status >= 400 else "no such line"
        return wrong + [line for line in self.said if refusal not in line]


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[BrowserContext]:
    """One browser profile for all pages: styles and scripts are fetched once."""
    made = browser.new_context(viewport=LAPTOP, locale="en-GB", reduced_motion="reduce")
    yield made
    made.close()


@pytest.fixture
def watched(tab: BrowserContext) -> Iterator[Watched]:
    page = tab.new_page()
    yield Watched(page)
    page.close()
    tab.clear_cookies()


@pytest.fixture(scope="session")
def empty(stack: JourneyStack) -> Office:
    """A company that has connected nothing."""
    return found_company(stack, "Tyhjat Hyllyt Oy")


def of(watched: Watched, office: Office) -> Watched:
    watched.page.context.add_cookies(office.cookies())
    return watched


def address(office: Office, name: str, *rest: Any) -> str:
    return office.stack.site + reverse(name, args=[office.slug, *rest])


def newest(office: Office, table: str, extra: str = "") -> Any:
    """The public id of a row of the company."""
    query = f"SELECT public_id FROM {table} t WHERE tenant_id = %s {extra} ORDER BY id DESC LIMIT 1"
    return office.stack.one(query, office.tenant_id)


TABLES = {
    "customer": ("integrations_customer", "AND EXISTS (SELECT 1 FROM reporting_subscription s"
                 " WHERE s.customer_id = t.id AND s.counted)"),
    "product": ("integrations_product", "AND EXISTS (SELECT 1 FROM integrations_invoiceline l"
                " WHERE l.product_id = t.id)"),
    "subscription": ("reporting_subscription", "AND counted"),
    "invoice": ("integrations_invoice", "AND EXISTS (SELECT 1 FROM integrations_payment p"
                " WHERE p.invoice_id = t.id)"),
}  # fmt: skip


def test_the_watch_sees_what_is_wrong(watched: Watched, stack: JourneyStack) -> None:
    answer = watched.page.goto(f"{stack.site}/terms/")
    assert answer is not None
    bad = "<h1 style='width: 3000px'>Twice</h1><img src='/nothing.png'><a href='/'></a>"
    bad += "<svg width='40'><text>A long word in a small picture</text></svg>"
    watched.page.evaluate("(bad) => document.body.insertAdjacentHTML('beforeend', bad)", bad)
    found = " ".join(watched.check(answer))
    for one in ("2 h1", "image-alt", "link-name", "cut off", "Content Security Policy", "404"):
        assert one in found


@pytest.mark.parametrize("name", MAIN + SETTINGS)
def test_a_page_with_data_is_whole(watched: Watched, books: Office, name: str) -> None:
    assert of(watched, books).look_at(address(books, name)) == []


@pytest.mark.parametrize("name", ONE)
def test_a_document_is_whole(watched: Watched, books: Office, name: str) -> None:
    public_id = newest(books, *TABLES[name])
    assert of(watched, books).look_at(address(books, name, public_id)) == []


@pytest.mark.parametrize("name", CONNECTION)
def test_a_connections_page_is_whole(watched: Watched, books: Office, name: str) -> None:
    public_id = newest(books, "integrations_connection")
    assert of(watched, books).look_at(address(books, name, public_id)) == []


def test_an_invoice_rows_page_is_whole(watched: Watched, books: Office) -> None:
    public_id = newest(books, *TABLES["invoice"])
    assert of(watched, books).look_at(address(books, "invoice_line", public_id, 0)) == []


def test_what_a_change_would_do_is_shown_on_a_whole_page(watched: Watched, books: Office) -> None:
    page = of(watched, books).page
    public_id = newest(books, "reporting_subscription", "AND counted AND status = 'active'")
    page.goto(address(books, "subscription", public_id))
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        page.get_by_role("button", name="Reject").click()
    page.wait_for_load_state()
    assert page.get_by_text("Nothing is saved yet").count() == 1
    assert watched.check(posted.value) == []


def test_an_imports_page_is_whole(watched: Watched, books: Office) -> None:
    run, connection = books.stack.rows(
        "SELECT r.public_id, c.public_id FROM integrations_syncrun r"
        " JOIN integrations_connection c ON c.id = r.connection_id"
        " WHERE r.tenant_id = %s ORDER BY r.id LIMIT 1",
        books.tenant_id,
    )[0]
    assert of(watched, books).look_at(address(books, "connection_run", connection, run)) == []


@pytest.mark.parametrize("figure", BEHIND)
def test_the_documents_behind_a_figure_are_whole(
    watched: Watched, books: Office, figure: str
) -> None:
    month = books.report()["now"]["month"]
    assert of(watched, books).look_at(address(books, "behind", figure, month)) == []


@pytest.mark.parametrize("name", MAIN + SETTINGS)
def test_an_empty_companys_page_is_whole(watched: Watched, empty: Office, name: str) -> None:
    assert of(watched, empty).look_at(address(empty, name), screens=BOTH_SCREENS[1:]) == []


@pytest.mark.parametrize("path", OWN)
def test_a_persons_own_page_is_whole(watched: Watched, books: Office, path: str) -> None:
    assert of(watched, books).look_at(books.stack.site + path) == []


@pytest.mark.parametrize("path", GUEST)
def test_a_guests_page_is_whole(watched: Watched, stack: JourneyStack, path: str) -> None:
    status = 404 if path in ("/nowhere/", "/invite/unknown/") else 200
    assert watched.look_at(stack.site + path, status=status) == []


def test_another_companys_address_is_nowhere_on_a_whole_page(
    watched: Watched, books: Office, empty: Office
) -> None:
    assert of(watched, empty).look_at(books.url("customers/"), status=404) == []


def test_an_expired_form_says_so_on_a_whole_page(watched: Watched, stack: JourneyStack) -> None:
    page = watched.page
    page.goto(f"{stack.site}/accounts/login/")
    page.context.clear_cookies()
    page.get_by_label("Email").fill("somebody@example.com")
    page.get_by_label("Password", exact=True).fill("whatever it was")
    with page.expect_response(lambda answer: answer.request.method == "POST") as posted:
        page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_load_state()
    assert watched.check(posted.value, status=403) == []


def test_every_other_address_of_a_company_only_takes_forms(books: Office) -> None:
    listed = {*MAIN, *SETTINGS, *ONE, *CONNECTION, "behind", "invoice_line", *NO_PAGE}
    others = [route for route, item in TENANT_PAGES if item.name not in listed]
    session = books.visitor.session
    assert others, "every address has a page, so this guards nothing"
    shown = []
    for route in others:
        answer = session.get(books.stack.site + filled(route, books.slug), allow_redirects=False)
        # Or a way on to a page: for who comes back there after being asked for the password.
        if answer.status_code not in {302, 404, 405}:
            shown.append((route, answer.status_code))
    assert shown == []


def test_styles_and_scripts_of_a_dashboard_are_light(books: Office) -> None:
    books.visitor.open(books.url())
    linked = re.findall(r'<(?:link rel="stylesheet" href|script src)="([^"]+)"', books.visitor.html)
    assert len(linked) > 8
    found = [requests.get(urljoin(books.stack.site, one)) for one in linked]
    assert all(one.ok for one in found)
    assert sum(len(gzip.compress(one.content)) for one in found) < ASSET_BYTES


def test_the_first_tab_leads_past_the_navigation(watched: Watched, books: Office) -> None:
    page = of(watched, books).page
    page.goto(books.url())
    page.keyboard.press("Tab")
    skip = page.get_by_role("link", name="Skip to content")
    expect(skip).to_be_focused()
    expect(skip).to_be_in_viewport()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()


def test_the_users_menu_opens_and_closes_by_keyboard(watched: Watched, books: Office) -> None:
    page = of(watched, books).page
    page.goto(books.url())
    menu = page.locator("summary[aria-label='You and your settings']")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Your account")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Sign out")).to_be_hidden()
    expect(menu).to_be_focused()


def test_the_phones_menu_takes_the_focus_and_gives_it_back(watched: Watched, books: Office) -> None:
    page = of(watched, books).page
    page.set_viewport_size(PHONE)
    page.goto(books.url())
    opener = page.get_by_role("link", name="Menu", exact=True)
    opener.focus()
    page.keyboard.press("Enter")
    sheet = page.get_by_role("navigation", name="Main")
    expect(sheet.get_by_role("link", name="Customers")).to_be_visible()
    expect(sheet.locator(":focus")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(sheet.get_by_role("link", name="Customers")).to_be_hidden()
    expect(opener).to_be_focused()


def test_a_change_is_shown_saved_and_undone_without_scripts(
    browser: Browser, books: Office
) -> None:
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(books.cookies())
    page = plain.new_page()
    public_id = newest(books, "reporting_subscription", "AND counted AND status = 'active'")
    page.goto(address(books, "subscription", public_id))
    page.get_by_role("button", name="Reject").click()
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_text("Rejected. Figures are being recomputed.")).to_be_visible()
    page.get_by_role("button", name="Undo").first.click()
    expect(page.get_by_text("Undone.")).to_be_visible()
    books.await_figures()
    plain.close()


def test_a_list_can_be_searched_without_scripts(browser: Browser, books: Office) -> None:
    plain = browser.new_context(java_script_enabled=False)
    plain.add_cookies(books.cookies())
    page = plain.new_page()
    name = books.stack.one(
        "SELECT name FROM integrations_customer WHERE tenant_id = %s ORDER BY id LIMIT 1",
        books.tenant_id,
    )
    page.goto(address(books, "customers"))
    page.get_by_label("Search").fill(name)
    page.get_by_role("button", name="Show").click()
    expect(page.locator("tbody tr").first).to_contain_text(name)
    plain.close()
