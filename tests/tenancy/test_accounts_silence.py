"""Nobody learns from sign-up, reset, sign-in or a change of address who has an account."""

from __future__ import annotations

import re
import statistics
import time

import pytest
from allauth.account.models import EmailAddress
from django.core import mail
from django.core.cache import cache
from django.test import Client

from calqsync.tenancy.models import User
from tests.tenancy.people import PASSWORD, confirmed, sign_in

KNOWN, UNKNOWN = "alice@example.com", "nobody@example.org"
NEW = {"password1": "another horse battery", "company_name": "Lumi Oy", "accept_terms": "on"}
# What differs between any two answers, whoever asks.
PASSING = re.compile(
    r'(csrfmiddlewaretoken" value|nonce|reference">|X-Request-ID)[="\']*[^"\'<\s]+|[0-9a-f]{12}'
)
HEADERS_OF_THE_MOMENT = {
    "Expires",
    "X-Request-ID",
    "Content-Security-Policy",
    "Set-Cookie",
    "Content-Length",
}


@pytest.fixture
def alice(cast):
    return confirmed(cast.alice)


def ask(way, email, client=None):
    """The answer, and the page to which it leads, as somebody in a fresh browser sees them."""
    client = client or Client()
    sent = {
        "sign-up": lambda: client.post("/accounts/signup/", {"email": email, **NEW}),
        "reset": lambda: client.post("/accounts/password/reset/", {"email": email}),
        "sign-in": lambda: sign_in(client, email, "wrong password"),
    }[way]()
    led = client.get(sent["Location"]) if sent.status_code == 302 else sent
    return [seen(sent, email), seen(led, email), sorted(client.cookies)]


def seen(answer, email):
    body = PASSING.sub("", answer.content.decode()).replace(email, "ADDRESS")
    headers = {k: v for k, v in answer.headers.items() if k not in HEADERS_OF_THE_MOMENT}
    cookies = {n: {k: v for k, v in m.items() if k != "expires"} for n, m in answer.cookies.items()}
    return answer.status_code, headers, cookies, body


@pytest.mark.parametrize("way", ["sign-up", "reset", "sign-in"])
def test_t25_known_and_unknown_addresses_get_the_same_answer(alice, way):
    known = ask(way, KNOWN)
    cache.clear()
    assert ask(way, UNKNOWN) == known


@pytest.mark.parametrize(("way", "mails"), [("sign-up", 1), ("reset", 1), ("sign-in", 0)])
@pytest.mark.parametrize("email", [KNOWN, UNKNOWN])
def test_t25_either_way_one_mail_goes_to_that_address_alone(alice, way, mails, email):
    mail.outbox.clear()
    ask(way, email)
    assert [letter.to for letter in mail.outbox] == [[email]] * mails


def test_t25_signing_up_with_a_known_address_leaves_no_trace_but_the_mail(alice):
    before = User.objects.count(), EmailAddress.objects.count()
    ask("sign-up", KNOWN)
    assert (User.objects.count(), EmailAddress.objects.count()) == before
    assert "account already" in mail.outbox[-1].body


def test_t25_a_person_changing_their_address_does_not_learn_whose_it_is(cast, alice):
    bob = confirmed(cast.bob)
    answers = []
    for email in (KNOWN, UNKNOWN):
        cache.clear()
        client = Client()
        client.force_login(bob)
        client.post("/accounts/reauthenticate/", {"password": PASSWORD})
        sent = client.post("/accounts/email/", {"email": email, "action_add": ""})
        led = client.get(sent["Location"]) if sent.status_code == 302 else sent
        answers.append([seen(sent, email)[:1], seen(led, email)[3]])
        EmailAddress.objects.filter(user=bob, verified=False).delete()
    assert answers[0] == answers[1]


@pytest.mark.parametrize("way", ["sign-up", "reset", "sign-in"])
def test_t25_known_and_unknown_addresses_take_about_the_same_time(alice, settings, way):
    # A real hash: without it the one step that could tell takes no time at all.
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.PBKDF2PasswordHasher"]
    alice.set_password("correct horse battery")
    alice.save()
    settings.ACCOUNT_RATE_LIMITS = False
    taken: dict[bool, list[float]] = {True: [], False: []}
    ask(way, UNKNOWN)
    for n in range(5):
        for known in (True, False) if n % 2 else (False, True):
            email = KNOWN if known else f"nobody{n}@example.org"
            began = time.process_time()
            ask(way, email)
            taken[known].append(time.process_time() - began)
    known, unknown = statistics.median(taken[True]), statistics.median(taken[False])
    # Half of a hash is far less than the step that must not be skipped, and far above noise.
    began = time.process_time()
    alice.check_password("x")
    assert abs(known - unknown) < (time.process_time() - began) / 2, taken
