"""A second step asks for what only its owner has, once; a company may ask it of everybody."""

from __future__ import annotations

import pytest
from allauth.mfa.models import Authenticator
from django.core import mail
from django.db import transaction
from django.test import Client

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Tenant
from tests.tenancy.people import (
    confirmed,
    digits,
    is_in,
    link_in_mail,
    second_step,
    sign_in,
    with_app,
)

SET_UP = "/accounts/2fa/totp/activate/"
NEW = {"password1": "quite another horse", "password2": "quite another horse"}
TURN_OFF = "/accounts/2fa/totp/deactivate/"


@pytest.fixture
def alice(cast):
    return confirmed(cast.alice)


def at_second_step(user):
    """A browser in which this person's password was right."""
    client = Client()
    assert sign_in(client, user.email)["Location"].startswith("/accounts/2fa/authenticate/")
    return client


def test_t26_a_right_password_alone_is_not_enough(alice):
    with_app(alice)
    assert not is_in(at_second_step(alice))


def test_t26_the_same_digits_do_not_work_twice(alice):
    secret = with_app(alice)
    shown = digits(secret)
    first, second = at_second_step(alice), at_second_step(alice)
    second_step(first, shown)
    second_step(second, shown)
    assert is_in(first)
    assert not is_in(second)


def test_t26_the_digits_of_another_person_do_not_work(cast, alice):
    with_app(alice)
    others = digits(with_app(confirmed(cast.bob)))
    client = at_second_step(alice)
    second_step(client, others)
    assert not is_in(client)


def test_t26_a_recovery_code_works_once(alice):
    with_app(alice)
    codes = Authenticator.objects.get(user=alice, type="recovery_codes").wrap()
    code = codes.get_unused_codes()[0]
    first, second = at_second_step(alice), at_second_step(alice)
    second_step(first, code)
    second_step(second, code)
    assert is_in(first)
    assert not is_in(second)


def test_t26_a_new_password_by_mail_leaves_the_second_step_on(alice):
    secret = with_app(alice)
    client = Client()
    client.post("/accounts/password/reset/", {"email": alice.email})
    form = client.get(link_in_mail(), follow=True).redirect_chain[-1][0]
    client.post(form, NEW)
    assert not is_in(client)
    sign_in(client, alice.email, "quite another horse")
    assert not is_in(client)
    second_step(client, digits(secret))
    assert is_in(client)


def test_t26_a_link_for_a_new_password_works_once(alice):
    client = Client()
    client.post("/accounts/password/reset/", {"email": alice.email})
    link = link_in_mail()
    form = client.get(link, follow=True).redirect_chain[-1][0]
    client.post(form, NEW)
    assert "no longer works" in Client().get(link, follow=True).content.decode()


@pytest.mark.django_db(transaction=True)
class TestSettingUp:
    def test_an_app_is_added_with_codes_that_are_shown_once(self, client, committed_cast):
        confirmed(committed_cast.bob)
        client.force_login(committed_cast.bob)
        client.get(SET_UP)
        answer = client.post(SET_UP, {"code": digits(client.session["mfa.totp.secret"])})
        first = client.get(answer["Location"]).content.decode()
        codes = Authenticator.objects.get(type="recovery_codes").wrap().get_unused_codes()
        assert all(code in first for code in codes)
        again = client.get(answer["Location"]).content.decode()
        assert not any(code in again for code in codes)
        assert "10 of 10" in again

    def test_t26_the_digits_that_turned_the_app_on_do_not_sign_in(self, client, committed_cast):
        bob = confirmed(committed_cast.bob)
        client.force_login(bob)
        client.get(SET_UP)
        shown = digits(client.session["mfa.totp.secret"])
        client.post(SET_UP, {"code": shown})
        thief = at_second_step(bob)
        second_step(thief, shown)
        assert not is_in(thief)

    def test_t29_setting_one_up_ends_the_other_sessions(self, client, committed_cast):
        bob = confirmed(committed_cast.bob)
        elsewhere = Client()
        sign_in(elsewhere, bob.email)
        assert is_in(elsewhere)
        client.force_login(bob)
        client.get(SET_UP)
        client.post(SET_UP, {"code": digits(client.session["mfa.totp.secret"])})
        assert (is_in(client), is_in(elsewhere)) == (True, False)

    def test_the_person_is_told_by_mail_and_what_to_do_if_it_was_not_them(
        self, client, committed_cast
    ):
        confirmed(committed_cast.bob)
        client.force_login(committed_cast.bob)
        client.get(SET_UP)
        client.post(SET_UP, {"code": digits(client.session["mfa.totp.secret"])})
        letter = mail.outbox[-1]
        assert letter.to == ["bob@example.com"]
        assert "authenticator app turned on" in letter.subject
        assert "Was it not you?" in letter.body


def rule(cast, client, *, on=True):
    return client.post(cast.url("settings/security/two-step/"), {"required": "on"} if on else {})


def required(cast):
    with scope.tenant(cast.tenant.pk):
        return Tenant.objects.get(pk=cast.tenant.pk).mfa_required


def require(cast):
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        Tenant.objects.filter(pk=cast.tenant.pk).update(mfa_required=True)


class TestAskedByTheCompany:
    @pytest.mark.parametrize(("who", "may"), [("alice", True), ("ann", True), ("bob", False)])
    def test_owners_and_admins_turn_it_on(self, client, cast, who, may):
        with_app(getattr(cast, who))
        client.force_login(getattr(cast, who))
        rule(cast, client)
        assert required(cast) is may

    def test_it_is_in_the_audit_log(self, client, cast):
        with_app(cast.alice)
        client.force_login(cast.alice)
        rule(cast, client)
        with scope.tenant(cast.tenant.pk):
            entry = AuditEvent.objects.get(act="tenant.updated")
        assert (entry.before, entry.after) == ({"mfa_required": False}, {"mfa_required": True})

    def test_nobody_turns_it_on_who_would_be_shut_out_by_it(self, client, cast):
        client.force_login(cast.alice)
        rule(cast, client)
        assert not required(cast)

    def test_a_member_without_it_is_led_to_set_it_up_and_back(self, client, cast):
        require(cast)
        client.force_login(cast.bob)
        page = client.get(cast.url("customers/?q=oy"), follow=True)
        assert page.redirect_chain == [("/accounts/2fa/", 302)]
        assert "Kuura Oy asks for two-step sign-in" in page.content.decode()
        assert 'href="/account/">Back to your account' in page.content.decode()
        with_app(cast.bob)
        page = client.get("/accounts/2fa/").content.decode()
        assert f'href="{cast.url("customers/?q=oy")}"' in page
        assert client.get(cast.url("customers/?q=oy")).status_code == 200
        assert "Go on to where you were" not in client.get("/accounts/2fa/").content.decode()

    def test_recovery_codes_alone_are_no_second_step(self, client, cast):
        with_app(cast.bob)
        Authenticator.objects.filter(user=cast.bob, type="totp").delete()
        require(cast)
        client.force_login(cast.bob)
        assert client.get(cast.url("customers/")).status_code == 302

    def test_the_last_second_step_stays_and_the_page_names_the_company(self, client, cast):
        with_app(cast.bob)
        require(cast)
        client.force_login(cast.bob)
        page = client.post(TURN_OFF, follow=True).content.decode()
        assert "Kuura Oy asks for two-step sign-in, so your last second step stays" in page
        assert Authenticator.objects.filter(user=cast.bob).count() == 2

    def test_it_can_be_removed_where_no_company_asks(self, client, cast):
        with_app(cast.bob)
        client.force_login(cast.bob)
        client.post(TURN_OFF)
        assert not Authenticator.objects.filter(user=cast.bob).exists()

    def test_another_companys_wish_binds_nobody_here(self, client, cast):
        with_app(cast.mallory)
        require(cast)
        client.force_login(cast.mallory)
        client.post(TURN_OFF)
        assert not Authenticator.objects.filter(user=cast.mallory).exists()


RUBBISH = [
    "",
    "{}",
    "[]",
    "null",
    "1",
    '"x"',
    '{"response": []}',
    '{"response": {"userHandle": 1}}',
]
RUBBISH += ['{"id": "x", "rawId": "x", "response": {"userHandle": "MQ"}, "type": "public-key"}']
RUBBISH += ['{"response": {"userHandle": "' + "eg" * 40 + '"}}', "{" * 2000, "\x00"]


@pytest.mark.parametrize("credential", RUBBISH)
def test_rubbish_in_place_of_a_passkey_signs_nobody_in(client, alice, credential):
    login = "/accounts/2fa/webauthn/login/"
    assert client.get(login, headers={"Accept": "application/json"}).status_code == 200
    answer = client.post(login, {"credential": credential})
    assert answer["Location"] == "/accounts/login/"
    assert not is_in(client)
