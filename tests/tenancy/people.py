"""People who can really sign in, their second steps, and a clock that can be moved."""

from __future__ import annotations

import re
import time
from datetime import timedelta
from typing import Any

from allauth.account.models import EmailAddress
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.mfa.totp.internal import auth as totp
from django.core import mail
from django.test import Client
from django.utils import timezone

PASSWORD = "correct horse battery"
LOGIN = "/accounts/login/"
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Clock:
    """Moves what the process takes for now, on the wall and in the database's rows."""

    def __init__(self, monkeypatch: Any) -> None:
        self.ahead = 0.0
        seconds, instant = time.time, timezone.now
        monkeypatch.setattr(time, "time", lambda: seconds() + self.ahead)
        monkeypatch.setattr(timezone, "now", lambda: instant() + timedelta(seconds=self.ahead))

    def forward(self, **by: float) -> None:
        self.ahead += timedelta(**by).total_seconds()


def confirmed(user: Any) -> Any:
    """The person, whose address is confirmed."""
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    return user


def sign_in(client: Client, email: str, password: str = PASSWORD, **extra: Any) -> Any:
    return client.post(LOGIN, {"login": email, "password": password}, **extra)


def is_in(client: Client) -> bool:
    """Whether the next request of this browser is somebody's."""
    return client.get("/account/").status_code == 200


def browser(user: Any, agent: str = FIREFOX, **extra: Any) -> Client:
    """A browser in which this person is signed in."""
    client = Client(headers={"User-Agent": agent}, **extra)
    sign_in(client, user.email)
    assert is_in(client)
    return client


def with_app(user: Any) -> str:
    """Turn on an authenticator app with recovery codes; its secret."""
    secret = totp.generate_totp_secret()
    totp.TOTP.activate(user, secret)
    RecoveryCodes.activate(user)
    return secret


def digits(secret: str) -> str:
    """What the app shows now."""
    counter = next(totp.yield_hotp_counters_from_time())
    return totp.format_hotp_value(totp.hotp_value(secret, counter))


def second_step(client: Client, code: str) -> Any:
    return client.post("/accounts/2fa/authenticate/", {"code": code})


def code_in_mail() -> str:
    found = re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", mail.outbox[-1].body, re.M)
    assert found, mail.outbox[-1].body
    return found[1]


def link_in_mail() -> str:
    found = re.search(r"https?://[^/\s]+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert found, mail.outbox[-1].body
    return found[1]
