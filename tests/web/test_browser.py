"""Hostile texts, frames and the Back button, met by a real browser at the real server."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from tests.journeys.conftest import browser as browser  # the same Chromium
from tests.staff import staff_make
from tests.web.conftest import Server, signed_in
from tests.web.world import TEMPLATE, World

pytestmark = pytest.mark.journey

# Runs in every page before anything of the page does.
LISTEN = """
window.attacked = [];
window.hit = () => window.attacked.push("a script ran");
for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = window.hit;
document.addEventListener("securitypolicyviolation", (event) =>
  window.attacked.push(`${event.effectiveDirective} blocked ${event.blockedURI} ${event.sample}`));
"""
# What the hostile text would make of itself if it were taken for HTML.
MADE = "img[src='x'], svg[onload], main script:not([type='application/json'])"
OPEN_ALL = "() => document.querySelectorAll('details').forEach((fold) => { fold.open = true; })"


@dataclass
class Tab:
    """A tab of the hostile company's owner, and all that went wrong in it."""

    page: Page
    server: Server
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.add_init_script(LISTEN)
        self.page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: (self.wrong.append("dialog"), dialog.dismiss()))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)

    def _said(self, line: Any) -> None:
        if "Content Security Policy" in line.text:
            self.wrong.append(line.text)

    def _asked(self, request: Any) -> None:
        if not request.url.startswith((self.server.site, "data:")):
            self.wrong.append(f"asked {request.url}")

    def open(self, path: str) -> int:
        answer = self.page.goto(self.server.site + path)
        assert answer is not None
        self.page.evaluate(OPEN_ALL)
        self.wrong += [f"{path}: {one}" for one in self.page.evaluate("window.attacked")]
        return answer.status


@pytest.fixture(scope="module")
def session(hostile: World) -> str:
    """Made before the browser starts: its event loop keeps the ORM out."""
    return signed_in(hostile.cast.alice)


@pytest.fixture(scope="module")
def short_session(hostile: World) -> str:
    """Another one of the same person, to sign out of."""
    return signed_in(hostile.cast.alice)


@pytest.fixture(scope="module")
def staff_session(hostile: World) -> str:
    """Support staff, who find every company in the console."""
    return signed_in(staff_make())


def cookie(server: Server, session: str) -> Any:
    return [{"name": "__Host-session", "value": session, "url": server.site, "secure": True}]


@pytest.fixture
def tab(
    server: Server,
    hostile: World,
    session: str,
    short_session: str,
    staff_session: str,
    browser: Browser,
) -> Iterator[Tab]:
    context = browser.new_context(
        ignore_https_errors=True, extra_http_headers={"X-Forwarded-Proto": "https"}
    )
    context.set_default_timeout(120_000)
    context.add_cookies(cookie(server, session))
    made = Tab(context.new_page(), server)
    yield made
    context.close()


def test_the_watch_sees_an_attack(tab: Tab) -> None:
    tab.open("/terms/")
    body = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=hit()>')"
    tab.page.evaluate(f"() => {{ {body} }}")
    tab.page.wait_for_function("() => window.attacked.length > 0")
    assert tab.page.evaluate("window.attacked[0]").startswith("script-src")


def test_w1_hostile_texts_stay_text_on_every_page(tab: Tab, hostile: World, session: str) -> None:
    shown, statuses = 0, set()
    for path in hostile.paths():
        plain = tab.server.ask(path, session=session)
        if "html" not in plain.headers.get("content-type", "html") or plain.status_code == 204:
            continue  # files and signals make no page
        statuses.add(tab.open(path))
        text = tab.page.content()
        assert "49}" not in text.replace("}}", "}"), path
        shown += TEMPLATE in text
        assert (
            tab.page.locator(
                "img[src='x'], svg[onload], main script:not([type='application/json'])"
            ).count()
            == 0
        ), path
    assert shown > 10, "hardly any page showed a hostile text, so it guards nothing"
    assert 200 in statuses
    assert 500 not in statuses
    assert tab.wrong == []


def test_w1c_hostile_texts_stay_text_in_the_console(tab: Tab, staff_session: str) -> None:
    page = tab.page
    page.context.clear_cookies()
    page.context.add_cookies(cookie(tab.server, staff_session))
    shown, seen, ahead = 0, set(), ["/admin/"]
    while ahead and len(seen) < 60:
        path = ahead.pop(0)
        seen.add(path)
        assert tab.open(path) < 500, path
        shown += "{{7*7}" in page.content()
        assert page.locator("img[src='x'], svg[onload]").count() == 0, path
        links = page.evaluate("() => [...document.links].map((a) => a.pathname + a.search)")
        fresh = {one for one in links if one.startswith("/admin/") and "logout" not in one}
        ahead += sorted(fresh - seen - set(ahead))
    assert shown > 5, "hardly any page showed a hostile text, so it guards nothing"
    assert tab.wrong == []


def test_w2_charts_and_data_attributes_hold_text_alone(tab: Tab, hostile: World) -> None:
    slug = hostile.cast.tenant.slug
    drawn = 0
    for path in ("", "growth/", "cashflow/"):
        tab.open(f"/t/{slug}/{path}")
        tab.page.wait_for_load_state("networkidle")
        drawn += tab.page.locator("canvas").count()
        tab.page.evaluate(
            "() => document.querySelectorAll('script[type=\"application/json\"]')"
            ".forEach((data) => JSON.parse(data.textContent))"
        )
        box = tab.page.locator("canvas").first
        if box.count():
            box.hover()
    assert drawn > 2, "hardly any chart was drawn, so it guards nothing"
    assert tab.page.evaluate("window.attacked") == []
    assert tab.wrong == []


def test_w2b_the_api_answers_json_that_no_browser_takes_for_a_page(
    tab: Tab, hostile: World
) -> None:
    tab.open(f"/t/{hostile.cast.tenant.slug}/api/figures/")
    assert tab.page.evaluate("document.contentType") == "application/json"
    assert tab.page.evaluate("window.attacked") == []


def test_w10_own_pages_break_no_policy(tab: Tab) -> None:
    paths = ["/", "/?choose", "/terms/", "/nowhere/", "/accounts/email/", "/accounts/2fa/"]
    paths += ["/accounts/password/change/", "/accounts/logout/", "/accounts/2fa/totp/activate/"]
    paths += ["/accounts/reauthenticate/", "/accounts/2fa/webauthn/", "/accounts/sessions/"]
    for path in paths:
        tab.open(path)
    tab.page.context.clear_cookies()
    for path in ("/accounts/login/", "/accounts/signup/", "/accounts/password/reset/", "/admin/"):
        tab.open(path)
    assert tab.wrong == []


def test_w10b_filters_that_swap_parts_of_a_page_break_no_policy(tab: Tab, hostile: World) -> None:
    tab.open(f"/t/{hostile.cast.tenant.slug}/customers/")
    with tab.page.expect_response(lambda answer: "q=script" in answer.url):
        tab.page.get_by_label("Search").fill("script")
    tab.page.wait_for_function("() => !document.querySelector('.htmx-request')")
    assert TEMPLATE in tab.page.locator("#results").inner_text()
    assert tab.page.evaluate("window.attacked") == []
    assert tab.wrong == []


def test_w11_no_page_opens_in_a_frame(tab: Tab, hostile: World) -> None:
    slug, connection = hostile.cast.tenant.slug, hostile.ids["connection"]
    paths = [
        f"/t/{slug}/settings/integrations/{connection}/disconnect/",
        f"/t/{slug}/settings/integrations/connect/key/",
        f"/t/{slug}/settings/team/",
        "/accounts/login/",
    ]
    evil = "".join(f'<iframe src="{tab.server.site}{path}"></iframe>' for path in paths)
    tab.page.route(
        "https://evil.example/",
        lambda route: route.fulfill(content_type="text/html", body=evil),
    )
    tab.page.goto("https://evil.example/")
    frames = tab.page.frames[1:]
    assert len(frames) == len(paths)
    for frame in frames:
        frame.wait_for_load_state()
        assert frame.url.startswith("chrome-error://"), frame.url


def test_w20_after_signing_out_back_shows_nothing(
    tab: Tab, hostile: World, short_session: str
) -> None:
    page, path = tab.page, f"/t/{hostile.cast.tenant.slug}/customers/"
    page.context.clear_cookies()
    page.context.add_cookies(cookie(tab.server, short_session))
    tab.open(path)
    assert TEMPLATE in page.content()
    kept = "() => JSON.stringify({...localStorage, ...sessionStorage})"
    assert TEMPLATE not in page.evaluate(kept)
    page.evaluate("() => { localStorage.kept = 1; sessionStorage.kept = 1; }")
    tab.open("/accounts/logout/")
    page.locator("main form button[type=submit]").click()
    page.wait_for_url(tab.server.site + "/")
    assert page.evaluate(kept) == "{}"
    assert page.evaluate("async () => (await caches.keys()).length") == 0
    workers = "async () => (await navigator.serviceWorker.getRegistrations()).length"
    assert page.evaluate(workers) == 0
    for _ in range(2):
        page.go_back()
        assert TEMPLATE not in page.content()
    assert "/accounts/login/" in page.url


def test_names_cannot_turn_the_words_beside_them_around(tab: Tab, hostile: World) -> None:
    tab.open(f"/t/{hostile.cast.tenant.slug}/customers/")
    link = tab.page.locator("tbody th a").first
    assert link.evaluate("(e) => getComputedStyle(e).unicodeBidi") == "isolate"
