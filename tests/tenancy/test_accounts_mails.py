"""Every mail about an account is in our words; a new address or password is a whole walk."""

from __future__ import annotations

import re
from pathlib import Path

import allauth
import pytest
from allauth.account.models import EmailAddress
from django.conf import settings as product
from django.core import mail
from django.core.cache import cache
from django.core.mail.backends.locmem import EmailBackend
from django.test import Client

from calqsync.tenancy.models import User
from tests.tenancy.people import (
    PASSWORD,
    Clock,
    code_in_mail,
    confirmed,
    is_in,
    link_in_mail,
    sign_in,
)

NEW = {"password1": "quite another horse", "password2": "quite another horse"}
THEIRS = Path(allauth.__file__).parent / "templates"
OURS = product.BASE_DIR / "templates"
ROOMS = ("account", "mfa", "usersessions")


def names(folder, pattern):
    return {
        str(path.relative_to(folder)) for room in ROOMS for path in (folder / room).glob(pattern)
    }


def test_every_mail_and_notice_that_allauth_can_send_has_our_words():
    theirs = names(THEIRS, "email/*.txt") | names(THEIRS, "messages/*.txt")
    assert len(theirs) > 50, "the scan found hardly any mail, so it guards nothing"
    assert theirs - names(OURS, "email/*.txt") - names(OURS, "messages/*.txt") == set()


# Pages of ways to sign in that the product does not offer.
NOT_OFFERED = re.compile(
    r"phone|login_code|reset_code|signup_by|webauthn/signup|trust|/email\.html"
)


def test_every_page_that_allauth_can_show_has_our_looks():
    frames = {name for name in names(THEIRS, "**/*.html") if "/base" in name}
    theirs = {n for n in names(THEIRS, "**/*.html") - frames if not NOT_OFFERED.search(n)}
    assert len(theirs) > 20
    snippets = {n for n in theirs if "/snippets/warn" in n}
    assert theirs - snippets - names(OURS, "**/*.html") == set()


@pytest.fixture
def alice(cast):
    return confirmed(cast.alice)


@pytest.fixture
def here(client, alice):
    client.force_login(alice)
    return client


def newest():
    return mail.outbox[-1]


class TestWords:
    def test_a_mail_is_short_plain_text_with_our_name(self, here):
        both = {**NEW, "oldpassword": PASSWORD}
        here.post("/accounts/password/change/", both, headers={"User-Agent": "Firefox/140 Linux"})
        letter = newest()
        assert letter.to == ["alice@example.com"]
        assert letter.alternatives == []
        assert "CalqSync password was changed" in letter.subject
        assert "Was it not you?" in letter.body
        assert "Firefox on Linux" in letter.body
        assert len(letter.body) < 700

    def test_links_go_to_our_own_address_whatever_the_request_named(self, here, settings):
        settings.ALLOWED_HOSTS = ["*"]
        settings.SITE_URL = "https://app.example"
        Client(headers={"Host": "evil.example"}).post(
            "/accounts/password/reset/", {"email": "alice@example.com"}
        )
        links = re.findall(r"https?://[^/\s]+", newest().body)
        assert set(links) == {"https://app.example"}

    def test_a_name_in_a_mail_stays_text(self, here, alice):
        # Mails are plain text: nothing may be escaped for HTML either.
        here.post("/accounts/email/", {"email": "o'hara@example.com", "action_add": ""})
        here.post("/accounts/confirm-email/", {"code": code_in_mail()})
        assert "o'hara@example.com" in newest().body


class TestNewBrowser:
    def test_the_first_sign_in_from_a_browser_is_told(self, alice):
        sign_in(Client(), alice.email)
        assert [m.subject for m in mail.outbox] == ["New sign-in to CalqSync"]

    def test_the_next_one_from_the_same_browser_is_not(self, client, alice):
        sign_in(client, alice.email)
        client.post("/accounts/logout/")
        mail.outbox.clear()
        sign_in(client, alice.email)
        assert mail.outbox == []

    def test_a_forged_cookie_makes_no_browser_known(self, client, alice):
        client.cookies["browser"] = f"{alice.public_id}:made:up"
        sign_in(client, alice.email)
        assert len(mail.outbox) == 1


class TestNewPassword:
    def test_a_forgotten_password_is_set_anew_and_signs_in(self, client, alice):
        client.post("/accounts/password/reset/", {"email": "Alice@Example.com"})
        form = client.get(link_in_mail(), follow=True).redirect_chain[-1][0]
        assert client.post(form, NEW)["Location"] == "/accounts/password/reset/key/done/"
        assert "was reset" in newest().subject
        sign_in(client, alice.email, NEW["password1"])
        assert is_in(client)

    def test_a_mistyped_address_hears_of_it_and_the_right_one_works_at_once(self, client, alice):
        client.post("/accounts/password/reset/", {"email": "alise@example.com"})
        assert newest().to == ["alise@example.com"]
        assert "no account with this address" in newest().body
        client.post("/accounts/password/reset/", {"email": alice.email})
        assert newest().to == [alice.email]

    def test_the_secret_of_the_link_does_not_stay_in_the_address(self, client, alice):
        client.post("/accounts/password/reset/", {"email": alice.email})
        link = link_in_mail()
        landed = client.get(link, follow=True).redirect_chain[-1][0]
        assert landed != link
        assert landed.endswith("-set-password/")

    def test_the_link_is_dead_after_an_hour(self, client, alice, monkeypatch):
        from datetime import datetime, timedelta

        client.post("/accounts/password/reset/", {"email": alice.email})
        late = datetime.now() + timedelta(minutes=61)
        monkeypatch.setattr(
            "django.contrib.auth.tokens.PasswordResetTokenGenerator._now", lambda self: late
        )
        assert "no longer works" in client.get(link_in_mail(), follow=True).content.decode()


class TestNewAddress:
    def change(self, here, to="new@example.com"):
        return here.post("/accounts/email/", {"email": to, "action_add": ""}, follow=True)

    def test_it_takes_over_once_its_code_is_typed(self, here, alice):
        self.change(here)
        assert newest().to == ["new@example.com"]
        here.post("/accounts/confirm-email/", {"code": code_in_mail()})
        alice.refresh_from_db()
        assert alice.email == "new@example.com"
        only = EmailAddress.objects.get(user=alice)
        assert (only.email, only.verified, only.primary) == ("new@example.com", True, True)
        sign_in(elsewhere := Client(), "new@example.com")
        assert is_in(elsewhere)
        sign_in(old := Client(), "alice@example.com")
        assert not is_in(old)

    def test_the_old_address_is_told(self, here):
        self.change(here)
        here.post("/accounts/confirm-email/", {"code": code_in_mail()})
        letter = next(m for m in mail.outbox if m.to == ["alice@example.com"])
        assert "new@example.com instead of alice@example.com" in letter.body

    def test_until_then_the_old_one_signs_in(self, here, alice):
        self.change(here)
        sign_in(elsewhere := Client(), alice.email)
        assert is_in(elsewhere)

    def test_a_wrong_code_changes_nothing(self, here, alice):
        self.change(here)
        here.post("/accounts/confirm-email/", {"code": "WRONG1"})
        alice.refresh_from_db()
        assert alice.email == "alice@example.com"

    def test_a_mistyped_address_can_be_replaced(self, here, alice, monkeypatch):
        clock = Clock(monkeypatch)
        self.change(here, "nwe@example.com")
        clock.forward(seconds=11)
        self.change(here, "new@example.com")
        here.post("/accounts/confirm-email/", {"code": code_in_mail()})
        alice.refresh_from_db()
        assert alice.email == "new@example.com"

    def test_an_address_of_another_person_is_never_taken_over(self, cast, here, alice):
        confirmed(cast.bob)
        self.change(here, "bob@example.com")
        here.post("/accounts/confirm-email/", {"code": "AAAAAA"})
        alice.refresh_from_db()
        assert alice.email == "alice@example.com"
        assert not EmailAddress.objects.filter(user=alice, email="bob@example.com").exists()


class Refusing(EmailBackend):
    """A mail server that is down."""

    def send_messages(self, messages):
        raise ConnectionRefusedError


@pytest.fixture
def mail_is_down(settings):
    settings.EMAIL_BACKEND = f"{__name__}.Refusing"


class TestMailServerDown:
    def test_a_notice_that_cannot_be_sent_undoes_nothing(self, here, alice, mail_is_down):
        both = {**NEW, "oldpassword": PASSWORD}
        saved = here.post("/accounts/password/change/", both, follow=True)
        assert saved.redirect_chain == [("/account/", 302)]
        assert "Your new password is saved" in saved.content.decode()
        alice.refresh_from_db()
        assert alice.check_password(NEW["password1"])

    def test_sign_up_says_so_and_can_be_done_again(self, client, db, mail_is_down, settings):
        form = {"email": "founder@example.com", "password1": PASSWORD}
        form |= {"company_name": "Lumi Oy", "accept_terms": "on"}
        answer = client.post("/accounts/signup/", form)
        assert (answer.status_code, answer["Retry-After"]) == (503, "60")
        assert not User.objects.exists()
        settings.EMAIL_BACKEND = "django.core.mail.backends.locmem.EmailBackend"
        cache.clear()
        assert client.post("/accounts/signup/", form).status_code == 302
        assert newest().to == ["founder@example.com"]


class TestOwnPage:
    def test_a_person_of_no_company_has_a_usable_page(self, client, db):
        nobody = confirmed(User.objects.create_user("nobody@example.com", PASSWORD))
        client.force_login(nobody)
        page = client.get("/account/").content.decode()
        assert "nobody@example.com" in page
        assert "You are in no company" in page

    def test_the_name_is_changed(self, here, alice):
        here.post("/account/", {"name": "  Alice   Aalto "})
        alice.refresh_from_db()
        assert alice.name == "Alice Aalto"

    def test_a_member_leaves_and_the_audit_log_has_it(self, client, cast):
        from calqsync.tenancy import scope
        from calqsync.tenancy.models import AuditEvent, Membership

        client.force_login(cast.bob)
        with scope.tenant(cast.tenant.pk):
            own = Membership.objects.get(user=cast.bob).public_id
        assert client.get(f"/account/companies/{own}/leave/").status_code == 200
        client.post(f"/account/companies/{own}/leave/")
        assert client.get(cast.url("customers/")).status_code == 404
        with scope.tenant(cast.tenant.pk):
            assert AuditEvent.objects.get(act="member.left").actor == cast.bob

    def test_the_last_owner_stays(self, here, cast):
        from calqsync.tenancy import scope
        from calqsync.tenancy.models import Membership

        with scope.tenant(cast.tenant.pk):
            own = Membership.objects.get(user=cast.alice).public_id
        first = here.get(f"/account/companies/{own}/leave/").content.decode()
        assert "Make somebody else owner" in first
        assert f'action="/account/companies/{own}/leave/"' not in first
        page = here.post(f"/account/companies/{own}/leave/", follow=True).content.decode()
        assert "needs an owner" in page

    def test_nobody_ends_the_membership_of_another(self, here, cast):
        from calqsync.tenancy import scope
        from calqsync.tenancy.models import Membership

        with scope.tenant(cast.tenant.pk):
            bobs = Membership.objects.get(user=cast.bob).public_id
        assert here.post(f"/account/companies/{bobs}/leave/").status_code == 404
