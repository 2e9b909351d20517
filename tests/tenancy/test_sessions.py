"""Sessions begin anew at sign-in, are seen and ended by their owner, and do not last for ever."""

from __future__ import annotations

import zlib
from datetime import timedelta

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core.signing import b64_decode
from django.test import Client
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.accounts.sign_in import session_over
from calqsync.tenancy.models import Membership
from calqsync.tenancy.services import member_remove
from tests.tenancy.people import (
    PASSWORD,
    browser,
    confirmed,
    is_in,
    link_in_mail,
    sign_in,
    with_app,
)

NEW = "quite another horse"
LIST = "/accounts/sessions/"
NOW = timezone.now()
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1"


@pytest.fixture
def alice(cast):
    return confirmed(cast.alice)


class TestBeginning:
    def test_t28_a_session_planted_before_sign_in_is_not_the_one_afterwards(self, alice):
        client = Client()
        client.get("/accounts/login/")
        client.get("/invite/a-planted-token/")  # leaves something in a session of nobody
        session = client.session
        session["planted"] = "yes"
        session.save()
        planted = client.cookies["session"].value
        sign_in(client, alice.email)
        assert client.cookies["session"].value != planted
        thief = Client()
        thief.cookies["session"] = planted
        assert not is_in(thief)
        assert not Session.objects.filter(pk=session.session_key).exists()

    def test_t28_an_id_of_the_attackers_own_making_is_not_taken(self, alice):
        client = Client()
        client.cookies["session"] = "a" * 32
        sign_in(client, alice.email)
        assert "a" * 32 not in client.cookies["session"].value

    def test_t28_the_id_changes_at_the_second_step_too(self, client, alice):
        from tests.tenancy.people import digits, second_step

        secret = with_app(alice)
        sign_in(client, alice.email)
        before = client.cookies["session"].value
        second_step(client, digits(secret))
        assert client.cookies["session"].value != before


class TestChanges:
    def test_t29_a_new_password_ends_the_other_sessions_and_keeps_this_one(self, alice):
        here, elsewhere = browser(alice), browser(alice, PHONE)
        both = {"password1": NEW, "password2": NEW}
        here.post("/accounts/password/change/", {"oldpassword": PASSWORD, **both})
        assert (is_in(here), is_in(elsewhere)) == (True, False)

    def test_t29_a_password_reset_ends_every_session(self, alice):
        old, fresh = browser(alice), Client()
        fresh.post("/accounts/password/reset/", {"email": alice.email})
        form = fresh.get(link_in_mail(), follow=True).redirect_chain[-1][0]
        fresh.post(form, {"password1": NEW, "password2": NEW})
        assert not is_in(old)

    def test_t29_turning_a_second_step_off_ends_the_other_sessions(self, client, alice):
        elsewhere = browser(alice, PHONE)
        with_app(alice)
        client.force_login(alice)
        client.post("/accounts/2fa/totp/deactivate/")
        assert not Authenticator.objects.exists()
        assert (is_in(client), is_in(elsewhere)) == (True, False)

    def test_t29_turning_a_second_step_on_ends_the_other_sessions(self, rf, alice):
        from allauth.core import context

        here, elsewhere = browser(alice), browser(alice, PHONE)
        request = rf.get("/")
        request.session, request.user = here.session, alice
        with context.request_context(request):
            authenticator_added.send(
                sender=Authenticator, request=request, user=alice, authenticator=None
            )
        assert (is_in(here), is_in(elsewhere)) == (True, False)

    def test_t29_a_disabled_person_is_out_with_the_next_request(self, alice):
        here = browser(alice)
        alice.is_active = False
        alice.save()
        assert not is_in(here)
        sign_in(here, alice.email)
        assert not is_in(here)

    def test_t29_a_removed_member_loses_the_company_and_keeps_the_account(self, cast):
        here = browser(confirmed(cast.bob))
        assert here.get(cast.url("customers/")).status_code == 200
        with scope.tenant(cast.tenant.pk):
            member_remove(membership=Membership.objects.get(user=cast.bob), by=cast.alice)
        assert here.get(cast.url("customers/")).status_code == 404
        assert here.get(cast.url("customers/?format=csv")).status_code == 404
        assert is_in(here)


class TestTime:
    @pytest.mark.parametrize(
        ("staff", "unused", "lasted", "over"),
        [
            (False, timedelta(days=13), timedelta(days=29), False),
            (False, timedelta(days=14, seconds=1), timedelta(days=20), True),
            (False, timedelta(0), timedelta(days=30, seconds=1), True),
            (True, timedelta(minutes=119), timedelta(hours=11), False),
            (True, timedelta(hours=2, seconds=1), timedelta(hours=3), True),
            (True, timedelta(0), timedelta(hours=12, seconds=1), True),
        ],
    )
    def test_t30_how_long_a_session_may_rest_and_last(self, staff, unused, lasted, over):
        said = session_over(began=NOW - lasted, seen=NOW - unused, staff=staff, now=NOW)
        assert said is over

    def test_t30_an_unused_session_is_over_on_the_server(self, alice, clock):
        here = browser(alice)
        clock.forward(days=14, minutes=6)
        here.cookies["session"]["max-age"] = ""  # a cookie that a thief never lets expire
        assert not is_in(here)

    def test_t30_a_session_in_use_lasts_longer_than_the_rest_but_not_for_ever(self, alice, clock):
        here = browser(alice)
        held = []
        for _ in range(7):
            clock.forward(days=5)
            held.append(is_in(here))
        assert held == [True] * 5 + [False] * 2 or held == [True] * 6 + [False]

    def test_t30_staff_sessions_end_sooner(self, alice, clock):
        alice.is_staff = True
        alice.save()
        here = browser(alice)
        clock.forward(hours=2, minutes=6)
        assert not is_in(here)

    def test_t30_an_old_session_says_why_it_ended(self, alice, clock):
        here = browser(alice)
        clock.forward(days=14, minutes=6)
        Session.objects.update(expire_date=timezone.now() + timedelta(days=1))
        assert "because the session was old" in here.get("/account/", follow=True).content.decode()


class TestAtRest:
    def test_t13d_the_database_does_not_show_what_a_session_holds(self, client, alice):
        client.post("/accounts/password/reset/", {"email": alice.email})
        client.get(link_in_mail(), follow=True)
        link = client.session["_password_reset_key"]
        (row,) = Session.objects.all()
        packed, *_signature = row.session_data.removeprefix(".").split(":")
        stored = b64_decode(packed.encode())
        stored = zlib.decompress(stored) if row.session_data.startswith(".") else stored
        assert link.encode() not in stored
        assert stored.startswith(b"gAAAA"), "this is no longer how a session is stored"

    def test_t13e_a_key_read_in_the_database_signs_nobody_in(self, alice):
        here = browser(alice)
        (row,) = Session.objects.all()
        assert alice.usersession_set.get().session_key == row.session_key
        thief = Client()
        for guess in (row.session_key, f"{row.session_key}:", f"{row.session_key}:{'x' * 43}"):
            thief.cookies["session"] = guess
            assert not is_in(thief)
        assert is_in(here)

    def test_a_session_that_does_not_open_is_nobodys(self, alice, settings):
        here = browser(alice)
        settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
        assert not is_in(here)

    def test_a_session_sealed_before_the_key_was_changed_still_opens(self, alice, settings):
        here = browser(alice)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
        assert is_in(here)

    def test_a_session_in_use_needs_the_old_key_no_more(self, alice, settings, clock):
        here = browser(alice)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
        clock.forward(minutes=6)
        assert is_in(here)
        settings.SECRET_KEY_FALLBACKS = []
        assert is_in(here)

    def test_another_key_signs_no_other_browser_out(self, alice, settings):
        here, there = browser(alice), browser(alice, PHONE)
        settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
        settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
        listed = UserSession.objects.filter(user=alice)
        before = set(listed.values_list("session_key", flat=True))
        assert len(before) == 2
        assert here.get(LIST).status_code == 200
        assert set(listed.values_list("session_key", flat=True)) == before
        assert is_in(there)


class TestList:
    def test_it_shows_each_browser_and_which_one_this_is(self, alice):
        here = browser(alice, REMOTE_ADDR="192.0.2.7")
        browser(alice, PHONE, REMOTE_ADDR="198.51.100.8")
        page = here.get(LIST).content.decode()
        for words in ("Firefox on Linux", "192.0.2.7", "Safari on iPhone", "198.51.100.8"):
            assert words in page
        assert page.count("This one") == 1

    def test_one_other_session_is_signed_out(self, alice):
        here, second, third = browser(alice), browser(alice, PHONE), browser(alice, "curl/8")
        key = second.session.session_key
        found = alice.usersession_set.get(session_key=key)
        assert here.post(f"/account/sessions/{found.pk}/end/").status_code == 302
        assert (is_in(here), is_in(second), is_in(third)) == (True, False, True)

    def test_all_others_are_signed_out(self, alice):
        here, second, third = browser(alice), browser(alice, PHONE), browser(alice, "curl/8")
        here.post(LIST)
        assert (is_in(here), is_in(second), is_in(third)) == (True, False, False)

    def test_nobody_ends_the_session_of_another_person(self, cast, alice):
        here, hers = browser(confirmed(cast.bob)), browser(alice)
        found = alice.usersession_set.get()
        assert here.post(f"/account/sessions/{found.pk}/end/").status_code == 404
        assert is_in(hers)

    def test_pages_do_not_write_each_time(self, alice, django_assert_max_num_queries):
        here = browser(alice)
        here.get("/terms/")
        with django_assert_max_num_queries(10) as asked:
            here.get("/terms/")
        assert len(asked) > 0
        assert not [q for q in asked.captured_queries if q["sql"].startswith(("UPDATE", "INSERT"))]
