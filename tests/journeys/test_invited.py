"""An invitation in a browser: by a mail from a worker, also with someone else signed in."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from calqsync.local.mailbox import mails
from tests.journeys.running import (
    NUMBERS,
    PASSWORD,
    TOGETHER,
    JourneyStack,
    Office,
    found_company,
)

pytestmark = TOGETHER


def link_for(stack: JourneyStack, email: str) -> str:
    """The link in the newest invitation to that address, once a worker has sent it."""

    def invited() -> str | None:
        for mail in mails(Path(stack.env["EMAIL_FILE_DIR"])):
            if mail.to == email and (link := re.search(r"http\S+/invite/\S+", mail.body)):
                return link[0]
        return None

    return str(stack.until(invited))


def invite(page: Page, office: Office, email: str, role: str) -> None:
    page.context.add_cookies(office.cookies())
    page.goto(office.url("settings/team/"))
    page.get_by_label("Email address").fill(email)
    page.locator("#id_role").select_option(label=role)
    page.get_by_role("button", name="Send invitation").click()
    expect(page.get_by_text(f"The invitation to {email} is on its way.")).to_be_visible()
    page.context.clear_cookies()


def test_a_new_person_signs_up_from_the_mail_and_sees_what_the_role_allows(
    page: Page, stack: JourneyStack
) -> None:
    office = found_company(stack, "Kutsu Oy")
    email = f"partner{next(NUMBERS)}@fund.example"
    invite(page, office, email, "Investor")

    page.goto(link_for(stack, email))
    expect(page.get_by_role("heading", name="Join Kutsu Oy")).to_be_visible()
    page.get_by_role("link", name="Make an account").click()
    expect(page.get_by_label("Email")).to_have_value(email)
    expect(page.get_by_label("Company name")).to_have_count(0)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_label("I accept the terms").check()
    page.get_by_role("button", name="Create account").click()
    page.get_by_label("Code").fill(stack.code_for(email))
    page.get_by_role("button", name="Continue").click()
    page.get_by_role("button", name="Join").click()

    expect(page).to_have_url(office.url())
    main = page.get_by_role("navigation", name="Main")
    expect(main.get_by_role("link", name="Cashflow")).to_be_visible()
    expect(main.get_by_role("link", name="Customers")).to_have_count(0)
    assert page.goto(office.url("customers/")).status == 403  # type: ignore[union-attr]


def test_an_invitation_opened_in_another_persons_session_waits_for_its_own(
    page: Page, context: BrowserContext, stack: JourneyStack
) -> None:
    office, other = found_company(stack, "Kaksi Oy"), found_company(stack, "Toinen Oy")
    third = found_company(stack, "Kolmas Oy")
    invite(page, office, third.email, "Member")
    link = link_for(stack, third.email)

    context.add_cookies(other.cookies())
    page.goto(link)
    expect(page.get_by_text(f"You are signed in as {other.email}")).to_be_visible()
    expect(page.get_by_role("button", name="Join")).to_have_count(0)
    page.get_by_role("button", name="Sign in with the invited address").click()
    page.get_by_label("Email").fill(third.email)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in", exact=True).click()
    page.get_by_role("button", name="Join").click()
    expect(page).to_have_url(office.url())

    page.goto(link)
    expect(page.get_by_role("heading", name="This invitation no longer works")).to_be_visible()
