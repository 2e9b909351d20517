"""Access tokens, API keys, refresh tokens and codes, signed so that a restart keeps them valid."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

ACCESS_SECONDS = 3600
CODE_SECONDS = 300


class Refused(Exception):
    """The token, key or code is not (or no longer) good."""


@dataclass(frozen=True, slots=True)
class Grant:
    """Who is acting and in which company."""

    user_id: int
    company_id: int


@dataclass(slots=True)
class _Code:
    grant: Grant
    purpose: str
    redirect_uri: str
    expires: float


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _unb64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _claims(token: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_unb64(token.split(".")[1]))
    return found


@dataclass(slots=True)
class Mint:
    """Makes and checks every token of one API client."""

    secret: bytes
    issuer: str
    client_id: str
    codes: dict[str, _Code] = field(default_factory=dict)
    # How long access tokens live, and the clock they live by.
    access_seconds: int = ACCESS_SECONDS
    clock: Callable[[], float] = time.time
    revoked: set[str] = field(default_factory=set)
    revoked_companies: dict[int, int] = field(default_factory=dict)
    # Refresh tokens that rotate: each works once, and a second use ends all that came of it.
    spent: set[str] = field(default_factory=set)
    dead_families: set[str] = field(default_factory=set)

    def code(self, grant: Grant, *, purpose: str, redirect_uri: str) -> str:
        """A code for one use within five minutes; purpose is `login` or `keylogin`."""
        code = secrets.token_urlsafe(24)
        self.codes[code] = _Code(grant, purpose, redirect_uri, time.time() + CODE_SECONDS)
        return code

    def redeem(self, code: str, *, purpose: str, redirect_uri: str) -> Grant:
        found = self.codes.pop(code, None)
        if found is None or found.expires < time.time():
            raise Refused("Invalid or expired authorization code")
        if found.purpose != purpose or found.redirect_uri != redirect_uri:
            raise Refused("Authorization code was issued for another use")
        return found.grant

    def access(self, grant: Grant, *, machine: bool, family: str = "") -> str:
        now = int(self.clock())
        extra: dict[str, object] = {"auth_time": now, "exp": now + self.access_seconds}
        extra |= {"family": family} if family else {}
        return self._sign(grant, "access", **extra, scope="m2m" if machine else "user")

    def key(self, grant: Grant) -> str:
        """An API key: a token without an end."""
        return self._sign(grant, "key")

    def refresh(self, grant: Grant, *, family: str = "") -> str:
        return self._sign(grant, "refresh", family=family or secrets.token_hex(8))

    def rotate(self, token: str) -> tuple[Grant, str]:
        """The grant of a refresh token and its successor; its second use revokes the family."""
        grant, claims = self.check(token, "refresh"), _claims(token)
        family = str(claims["family"])
        if claims["jti"] in self.spent:
            self.dead_families.add(family)
            raise Refused("Refresh token has been used before")
        self.spent.add(claims["jti"])
        return grant, self.refresh(grant, family=family)

    def family(self, token: str) -> str:
        """Which refresh tokens belong together, the first and all that replaced it."""
        return str(_claims(token)["family"])

    def check(self, token: str, use: str) -> Grant:
        """The grant of a token of that use; raises `Refused` otherwise."""
        try:
            head, body, signature = token.split(".")
            good = hmac.compare_digest(_unb64(signature), self._mac(use, f"{head}.{body}"))
            claims: dict[str, Any] = json.loads(_unb64(body))
        except (ValueError, UnicodeDecodeError) as error:
            raise Refused("Malformed token") from error
        if not good or claims.get("aud") != self.client_id:
            raise Refused("Invalid token")
        if claims["jti"] in self.revoked:
            raise Refused("Token has been revoked")
        made = int(claims["jti"].partition("-")[0], 16)
        if made <= self.revoked_companies.get(claims["cid"], -1):
            raise Refused("Token has been revoked")
        if claims.get("family") in self.dead_families:
            raise Refused("Token has been revoked")
        if "exp" in claims and claims["exp"] < self.clock():
            raise Refused("Token has expired")
        return Grant(int(claims["sub"]), int(claims["cid"]))

    def revoke_company(self, company_id: int) -> None:
        """Every key and token of that company made so far stops working."""
        self.revoked_companies[company_id] = time.time_ns()

    def _sign(self, grant: Grant, use: str, **extra: object) -> str:
        claims = {
            "iss": self.issuer,
            "aud": self.client_id,
            "sub": str(grant.user_id),
            "cid": grant.company_id,
            "iat": int(time.time()),
            "jti": f"{time.time_ns():x}-{secrets.token_hex(8)}",
            **extra,
        }
        head = _b64(b'{"typ":"JWT","alg":"HS256"}')
        body = _b64(json.dumps(claims, separators=(",", ":")).encode())
        return f"{head}.{body}.{_b64(self._mac(use, f'{head}.{body}'))}"

    def _mac(self, use: str, text: str) -> bytes:
        return hmac.new(self.secret + use.encode(), text.encode(), hashlib.sha256).digest()
