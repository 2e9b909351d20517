"""A passkey in a real browser: added, used alone and as a second step, renamed, removed."""

from __future__ import annotations

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.journeys.running import PASSWORD, TOGETHER, JourneyStack, found_company

pytestmark = [pytest.mark.journey, *TOGETHER]
# What a phone or laptop with a fingerprint reader is to the browser.
DEVICE = {
    "protocol": "ctap2",
    "transport": "internal",
    "hasResidentKey": True,
    "hasUserVerification": True,
    "isUserVerified": True,
    "automaticPresenceSimulation": True,
}


def sign_out(page: Page, stack: JourneyStack) -> None:
    page.goto(f"{stack.site}/accounts/logout/")
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("link", name="Sign in").first).to_be_visible()


def test_a_passkey_from_its_making_to_its_end(
    stack: JourneyStack, context: BrowserContext, page: Page
) -> None:
    office = found_company(stack, "Passkey Oy")
    context.add_cookies(office.cookies())
    device = context.new_cdp_session(page)
    device.send("WebAuthn.enable")
    made = device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})

    page.goto(f"{stack.site}/account/")
    page.get_by_role("link", name="Turn on two-step sign-in").click()
    page.get_by_role("link", name="Add a key").click()
    page.get_by_label("Name").fill("Laptop")
    expect(page.get_by_label("Sign in with it alone")).to_be_checked()
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Recovery codes")
    codes = page.locator("#recovery-codes").inner_text().split()
    assert len(codes) == 10
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").click()
    assert download.value.path().read_text().split() == codes

    sign_out(page, stack)
    page.goto(f"{stack.site}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(f"{office.url()}**")

    sign_out(page, stack)
    page.goto(f"{stack.site}/accounts/login/")
    page.get_by_label("Email").fill(office.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Second step")
    page.get_by_role("button", name="Use a security key or passkey").click()
    page.wait_for_url(f"{office.url()}**")

    page.goto(f"{stack.site}/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Rename Laptop").click()
    page.get_by_label("Name").fill("Old laptop")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", name="Old laptop")).to_be_visible()

    # A browser without any key says on the page that it found none.
    device.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": made["authenticatorId"]})
    device.send("WebAuthn.addVirtualAuthenticator", {"options": DEVICE})
    sign_out(page, stack)
    page.goto(f"{stack.site}/accounts/login/")
    page.get_by_role("button", name="Sign in with a passkey").click()
    expect(page.get_by_role("alert")).to_contain_text("The browser did not give a key")

    page.get_by_label("Email").fill(office.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_label("Code").fill(codes[0])
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.wait_for_url(f"{office.url()}**")
    page.goto(f"{stack.site}/accounts/2fa/webauthn/")
    page.get_by_role("link", name="Remove Old laptop").click()
    page.get_by_role("button", name="Remove").click()
    expect(page.get_by_text("No key yet")).to_be_visible()
