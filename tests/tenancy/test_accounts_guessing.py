"""Guessing is slow, whoever guesses and from wherever; the owner gets in after the wait."""

from __future__ import annotations

import pickle
from uuid import uuid4

import pytest
from django.core.cache import cache
from django.test import Client
from redis.exceptions import ConnectionError as RedisAway

from calqsync.local.home import free_port
from calqsync.tenancy.models import User
from calqsync.tenancy.web.cache import SteadyRedisCache
from tests.tenancy.people import (
    confirmed,
    digits,
    is_in,
    second_step,
    sign_in,
    with_app,
)

TOO_MANY = "Too many attempts"


@pytest.fixture
def alice(cast):
    return confirmed(cast.alice)


def guess(email="alice@example.com", *, address="192.0.2.1", path=None, **headers):
    client = Client(REMOTE_ADDR=address, headers=headers)
    answer = sign_in(client, email, "wrong")
    return answer.status_code, TOO_MANY in answer.content.decode()


def test_t24_one_account_is_guarded_against_guesses_from_a_hundred_addresses(alice):
    answers = [guess(address=f"198.51.100.{n}") for n in range(100)]
    assert [refused for _status, refused in answers] == [False] * 5 + [True] * 95


def test_t24_the_right_password_is_not_even_tried_while_the_account_waits(alice):
    for n in range(5):
        guess(address=f"198.51.100.{n}")
    client = Client(REMOTE_ADDR="192.0.2.99")
    assert TOO_MANY in sign_in(client, alice.email).content.decode()
    assert not is_in(client)


def test_t24_the_right_password_works_after_the_wait_that_the_page_tells(alice, clock):
    for n in range(6):
        guess(address=f"198.51.100.{n}")
    clock.forward(minutes=5, seconds=1)
    client = Client()
    sign_in(client, alice.email)
    assert is_in(client)


def test_t24_one_address_cannot_go_through_a_thousand_accounts(db):
    answers = [guess(f"person{n}@example.com") for n in range(100)]
    tried = sum(status == 200 and not refused for status, refused in answers)
    assert tried == 10
    assert answers[-1][0] == 429


def test_t24_one_address_is_held_back_for_longer_the_longer_it_guesses(db, clock):
    tried = 0
    for minute in range(12):
        for n in range(11):
            status, refused = guess(f"person{minute}x{n}@example.com")
            tried += status == 200 and not refused
        clock.forward(minutes=1, seconds=1)
    assert tried == 100


def test_t24_the_door_of_staff_is_the_same_door(db):
    staff = confirmed(User.objects.create_user("sam@support.example", "pass phrase", is_staff=True))
    for n in range(5):
        guess(staff.email, address=f"198.51.100.{n}")
    client = Client()
    answer = client.post("/admin/login/", {"username": staff.email, "password": "pass phrase"})
    assert answer["Location"].startswith("/accounts/login/")
    assert TOO_MANY in sign_in(client, staff.email, "pass phrase").content.decode()


def test_t24_the_digits_of_the_second_step_are_no_easier_to_guess(alice, clock):
    secret = with_app(alice)
    client = Client()
    sign_in(client, alice.email)
    said = [second_step(client, "000000").content.decode() for _ in range(7)]
    assert [TOO_MANY in page for page in said] == [False] * 5 + [True] * 2
    second_step(client, digits(secret))
    assert not is_in(client)
    clock.forward(minutes=5, seconds=1)
    second_step(client, digits(secret))
    assert is_in(client)


def test_t24_a_wrong_password_at_re_authentication_counts_too(client, alice):
    client.force_login(alice, recently=False)
    for _ in range(5):
        client.post("/accounts/reauthenticate/", {"password": "wrong"})
    assert guess(address="203.0.113.7") == (200, True)


@pytest.fixture
def without_redis(settings):
    """The product's own cache, at an address where nothing answers."""
    settings.CACHES = {
        "default": {
            "BACKEND": "calqsync.tenancy.web.cache.SteadyRedisCache",
            "LOCATION": f"redis://127.0.0.1:{free_port()}/0",
            "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
        }
    }
    cache.clear()


def test_t24_sign_in_works_and_is_still_limited_while_redis_is_away(alice, without_redis):
    client = Client()
    sign_in(client, alice.email)
    assert is_in(client)
    answers = [guess(address=f"198.51.100.{n}") for n in range(8)]
    assert answers == [(200, False)] * 5 + [(200, True)] * 3


def test_the_stand_in_ends_when_redis_is_back(without_redis, monkeypatch):
    calls = []

    def back(self, key, *args, **kwargs):
        calls.append(key)
        if len(calls) == 1:
            raise RedisAway
        return "from redis"

    monkeypatch.setattr("django.core.cache.backends.redis.RedisCache.get", back)
    steady = SteadyRedisCache("redis://unused", {})
    assert steady.get("count") is None
    assert steady.get("count") is None
    assert calls == ["count"], "a server that is away is asked once, not each time"
    steady._away_until = 0.0
    assert steady.get("count") == "from redis"


@pytest.mark.parametrize("value", [3, -1, True, "y", [1763.25, 2.0], b"\x80sealed", None])
def test_redis_gives_back_what_was_kept(settings, value):
    kept = SteadyRedisCache(settings.REDIS_URL, {"KEY_PREFIX": f"test-{uuid4()}", "TIMEOUT": 30})
    kept.set("name", value)
    assert kept.get("name", "nothing") == value


def test_whoever_writes_to_redis_has_nothing_run_here(settings):
    kept = SteadyRedisCache(settings.REDIS_URL, {"KEY_PREFIX": f"test-{uuid4()}", "TIMEOUT": 30})
    stored = kept.make_and_validate_key("name")
    kept._cache.get_client(stored, write=True).set(stored, pickle.dumps(free_port), ex=30)
    with pytest.raises(ValueError, match="invalid literal"):
        kept.get("name")


def test_t27_a_forged_forwarding_header_is_not_believed(alice):
    refused = [
        guess(f"person{n}@example.com", **{"X-Forwarded-For": f"203.0.113.{n}"})[1]
        or guess(f"person{n}@example.com", **{"X-Real-IP": f"203.0.113.{n}"})[1]
        for n in range(12)
    ]
    assert any(refused)


def test_t27_behind_our_own_proxy_only_what_the_proxy_wrote_counts(db, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    forged = [
        guess(f"person{n}@example.com", **{"X-Forwarded-For": f"203.0.113.{n}, 198.51.100.9"})
        for n in range(12)
    ]
    assert forged[-1][1] or forged[-1][0] == 429
    honest = guess("other@example.com", **{"X-Forwarded-For": "198.51.100.10"})
    assert honest == (200, False)
