"""The one way into a company for a program: its token, judged anew with every request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext as _

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.audit import acting
from calqsync.tenancy.logs import remember_secret
from calqsync.tenancy.models import ApiToken, Membership, Role, Tenant, User
from calqsync.tenancy.tokens.scopes import within
from calqsync.tenancy.tokens.text import hashes, well_formed
from calqsync.tenancy.web import limits


class Refused(Exception):
    """No company is opened: why, and what the token's owner can do."""

    def __init__(self, status: int, code: str, detail: str, advice: str) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.advice = status, code, detail, advice


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who asks: a program of this member, for what its token and the member's role both allow."""

    token: ApiToken
    membership: Membership
    scopes: tuple[str, ...]

    @property
    def user(self) -> User:
        return self.membership.user

    @property
    def tenant(self) -> Tenant:
        return self.membership.tenant

    def may(self, wanted: str) -> bool:
        return wanted in self.scopes

    def reaches(self, role: Role) -> bool:
        return self.membership.may(role)


@contextmanager
def entered(request: HttpRequest, *, now: datetime) -> Iterator[Bearer]:
    """Read the company of the request's token; all of it as of one moment.

    Raises Refused (401, 403) or LimitReached. The inside is one transaction with the company in
    scope; it sees one state of the database and should change nothing.
    """
    bearer = _identified(request, now)
    with (
        scope.user(bearer.user.pk),
        scope.tenant(bearer.tenant.pk),
        scope.one_state(),
        transaction.atomic(),
    ):
        yield bearer


def _identified(request: HttpRequest, now: datetime) -> Bearer:
    text = _sent(request)
    with transaction.atomic():
        bearer = _held(text, now) if well_formed(text) else None
    if bearer is None:
        # After the look: programs of many companies may share an address, such as a spreadsheet
        # service's, and no stranger's guesses there may stop a right token.
        limits.guess(acting.client_address(request))
        raise Refused(
            401,
            "token_unknown",
            _("This token opens nothing."),
            _("It was revoked, ended with a changed password, or was not copied whole."),
        )
    # Ours alone: a stranger's words must not be hidden in our logs, nor push secrets out of there.
    remember_secret(text)
    limits.consume_by_token(token_id=bearer.token.pk, tenant_id=bearer.tenant.pk)
    if bearer.token.expires_at <= now:
        raise Refused(
            401,
            "token_expired",
            _("This token has expired."),
            _("Make a new one under Settings, API tokens, and revoke this one."),
        )
    _judge(bearer)
    return bearer


def _sent(request: HttpRequest) -> str:
    kind, _space, text = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not text.strip():
        raise Refused(
            401,
            "token_missing",
            _("No token was sent."),
            _("Send the header “Authorization: Bearer calqsync_…”, as docs/api.md shows."),
        )
    return text.strip()


def _held(text: str, now: datetime) -> Bearer | None:
    """The token that this text is, with its member; its use is noted once a day."""
    current, *_older = known = hashes(text)
    for hashed in known:
        with scope.token(hashed):
            token = ApiToken.unscoped.filter(token_hash=hashed).first()
        if token is not None:
            break
    else:
        return None
    with scope.tenant(token.tenant_id):
        members = Membership.objects.select_related("user", "tenant")
        membership = members.get(pk=token.membership_id)
        # Kept under the current signing key, so that it outlives the one being replaced.
        noted = {"last_used_on": now.date(), "token_hash": current}
        if any(getattr(token, name) != value for name, value in noted.items()):
            ApiToken.objects.filter(pk=token.pk).update(**noted)
    return Bearer(token, membership, tuple(within(token.scopes, membership)))


def _judge(bearer: Bearer) -> None:
    """Refuse what the member could not open either."""
    if not bearer.user.is_active:
        raise Refused(401, "person_disabled", _("The token's owner has no account any more."), "")
    if bearer.tenant.deletes_at is not None:
        raise Refused(
            403,
            "company_leaving",
            _("The company is being deleted."),
            _("An owner can keep it under Settings, Your data."),
        )
    if bearer.tenant.mfa_required and not sign_in.has_second_step(bearer.user):
        raise Refused(
            403,
            "second_step_missing",
            _("The company asks its members for two-step sign-in."),
            _("The token's owner turns it on in their account; then the token works again."),
        )
