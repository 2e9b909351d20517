"""Making and ending tokens; audited, and told to their owner by mail."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from allauth.account.signals import password_changed, password_reset, password_set
from django.core.exceptions import ValidationError
from django.db import transaction
from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calqsync.tenancy import formats, mails, scope
from calqsync.tenancy.logs import remember_secret
from calqsync.tenancy.models import ApiToken, Membership, User
from calqsync.tenancy.services import audit
from calqsync.tenancy.tokens.scopes import SCOPES, within
from calqsync.tenancy.tokens.text import hashes, new_token

LONGEST = timedelta(days=365)
# Enough for every program of one person, and few enough to be looked through.
TOKENS_A_MEMBER = 20
MADE = "api_token"


@transaction.atomic
def token_create(
    *, membership: Membership, name: str, scopes: Sequence[str], days: int, now: datetime
) -> tuple[ApiToken, str]:
    """A new token of this member, and its text, which is known at this moment alone.

    Raises ValidationError for scopes beyond the member's role, a life of more than a year, and
    when the member has as many as one may have.
    """
    allowed = within(scopes, membership)
    if not allowed or len(allowed) != len(set(scopes)):
        raise ValidationError({"scopes": _("Choose what your own role may see.")})
    if not timedelta(days=1) <= timedelta(days=days) <= LONGEST:
        raise ValidationError({"days": _("A token lasts a year at most.")})
    # The member's own row orders two clicks, so that they count as two.
    Membership.objects.select_for_update(no_key=True).only("pk").get(pk=membership.pk)
    if ApiToken.objects.filter(membership=membership).count() >= TOKENS_A_MEMBER:
        raise ValidationError(_("You have many tokens. Revoke one that nothing uses any more."))
    text = new_token()
    remember_secret(text)
    token = ApiToken.objects.create(
        membership=membership,
        name=name.strip(),
        token_hash=hashes(text)[0],
        ending=text[-4:],
        scopes=allowed,
        expires_at=now + timedelta(days=days),
    )
    token.refresh_from_db(fields=["public_id"])
    said = {"scopes": allowed, "ends": token.expires_at.isoformat()}
    audit(act="token.created", by=membership.user, target=token.name, after=said)
    mails.post(letter=MADE, about=str(token.public_id), member=membership)
    return token, text


@transaction.atomic
def token_revoke(*, token: ApiToken, by: User) -> None:
    """End a token at once: its next request is refused."""
    audit(act="token.revoked", by=by, target=f"{token.name} ({token.membership.user.email})")
    token.delete()


@transaction.atomic
def tokens_end(*, user: User) -> int:
    """End every token of a person, in all companies: whoever knew the old password has none left.

    Returns how many there were.
    """
    ended = 0
    with scope.user(user.pk):
        memberships = list(Membership.unscoped.filter(user=user).only("pk", "tenant_id"))
        for membership in memberships:
            with scope.tenant(membership.tenant_id):
                for token in ApiToken.objects.filter(membership=membership):
                    audit(act="token.ended", by=user, target=token.name)
                    token.delete()
                    ended += 1
    return ended


def _end_with_password(sender: Any, user: User, **_more: Any) -> None:
    tokens_end(user=user)


for _signal in (password_changed, password_reset, password_set):
    _signal.connect(_end_with_password, dispatch_uid="calqsync_tokens_end")


@mails.letter(MADE)
def _made_letter(about: str, reader: Membership | None) -> mails.Letter | None:
    found = ApiToken.objects.select_related("tenant").filter(public_id=about).first()
    if found is None or reader is None:
        return None
    company = mails.one_line(found.tenant.name)
    return mails.Letter(
        to=reader.user.email,
        subject=_("A new API token for %(company)s") % {"company": company},
        body=_(
            "An API token was made in your name. Whoever holds it can read, until %(day)s:\n\n"
            "%(scopes)s\n\n"
            "Company: %(company)s\nToken: %(name)s (ends in %(ending)s)\n\n"
            "If it was not you, revoke it and change your password, which ends all your tokens:\n"
            "%(address)s\n"
        )
        % {
            "day": formats.day(
                found.expires_at.astimezone(ZoneInfo(found.tenant.time_zone)).date(),
                language=get_language(),
            ),
            "scopes": "\n".join(f"- {SCOPES[name].words}" for name in found.scopes),
            "company": company,
            "name": mails.one_line(found.name),
            "ending": found.ending,
            "address": mails.link(reverse("settings_tokens", args=[found.tenant.slug])),
        },
    )
