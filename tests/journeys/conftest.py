"""Browser, servers and a company with imported books; each is started once and only if asked."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.journeys.running import JourneyStack, Office, found_company

SHOTS = Path(os.environ.get("CALQSYNC_SHOTS", ""))
POLICY = "Content Security Policy"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-extensions"]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    report = yield
    if report.when == "call":
        item.stash[_FAILED] = report.failed
    return report


_FAILED = pytest.StashKey[bool]()


@pytest.fixture(scope="session")
def stack() -> Iterator[JourneyStack]:
    """Everything runs; ends with the test run."""
    with JourneyStack() as running:
        try:
            running.start()
            yield running
        finally:
            running.stop()
            running.drop_database()


@pytest.fixture(scope="session")
def books(stack: JourneyStack) -> Office:
    """A company with two connections and its figures."""
    office = found_company(stack, "Demo Oy")
    office.connect("kuusi", name="EU account")
    office.connect("aalto-us", name="US account")
    office.await_figures()
    return office


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. It ends with the module: its event loop must not meet tests that use the ORM."""
    path = os.environ.get("CALQSYNC_CHROMIUM") or shutil.which("chromium")
    if not path:
        pytest.skip("NO BROWSER FOUND: set CALQSYNC_CHROMIUM to the path of a Chromium")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        expect.set_options(timeout=90_000)
        yield opened
        opened.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A fresh browser profile on a laptop's screen."""
    made = browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-GB")
    made.set_default_timeout(120_000)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, request: pytest.FixtureRequest) -> Iterator[Page]:
    """A tab in which no script fails and no policy is broken.

    When the test fails, the tab's picture is kept in the folder CALQSYNC_SHOTS.
    """
    tab = context.new_page()
    wrong: list[str] = []
    tab.on("pageerror", lambda error: wrong.append(str(error)))
    tab.on("console", lambda line: wrong.append(line.text) if POLICY in line.text else None)
    yield tab
    if request.node.stash.get(_FAILED, False) and SHOTS.name:
        SHOTS.mkdir(parents=True, exist_ok=True)
        tab.screenshot(path=SHOTS / f"{request.node.name[:80].replace('/', '_')}.png")
    assert wrong == []
