"""Writes to tenants, memberships and invitations; keywords only, audited."""

from __future__ import annotations

import hashlib
import secrets as tokens
from datetime import datetime, timedelta
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone
from django.utils.text import slugify
from django.utils.translation import gettext as _

from calqsync.tenancy import mails, scope, secrets
from calqsync.tenancy.audit import acting
from calqsync.tenancy.logs import remember_secret
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, Role, Tenant, User

INVITATION_LIFE = timedelta(days=7)
# Each one is a mail to an address of the sender's choice, with words of the sender's choice.
INVITATIONS_A_DAY = 50
INVITATIONS_A_DAY_TO_ONE = 5
# Each one starts a trial.
COMPANIES_A_DAY = 5
INVITATION = "invitation"
TERMS_VERSION = "2026-11"


def audit(
    *,
    act: str,
    by: User | None,
    target: str = "",
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Record an act in the audit log of the tenant in scope, with what `acting` knows."""
    known = acting.current()
    AuditEvent.objects.create(
        act=act,
        actor=by,
        actor_name=str(by) if by else "",
        on_behalf_of=known.on_behalf_of,
        on_behalf_of_name=str(known.on_behalf_of) if known.on_behalf_of else "",
        target=target[:200],
        before=before or {},
        after=after or {},
        address=known.address,
    )


@transaction.atomic
def tenant_create(*, name: str, owner: User, currency: str = "EUR") -> Tenant:
    """Create a company with its own data key and make `owner` its owner."""
    with connection.cursor() as cursor:
        # The id is known before the row exists, so that the row is visible to its own policy.
        cursor.execute("SELECT nextval(pg_get_serial_sequence('tenancy_tenant', 'id'))")
        (tenant_id,) = cursor.fetchone()
    with scope.tenant(tenant_id):
        key_id, wrapped, wrapped_by = secrets.new_data_key()
        tenant = Tenant.objects.create(
            id=tenant_id,
            slug=_free_slug(name),
            name=name.strip(),
            currency=currency,
            data_key_id=key_id,
            data_key_wrapped=wrapped,
            key_encryption_key_id=wrapped_by,
        )
        Membership.objects.create(user=owner, role=Role.OWNER)
        audit(act="tenant.created", by=owner, target=tenant.name)
    return tenant


@transaction.atomic
def company_found(*, name: str, by: User, now: datetime) -> Tenant:
    """Found one more company; raises ValidationError after several in one day."""
    with scope.user(by.pk):
        # The person's own row orders two clicks, so that they count as two.
        User.objects.select_for_update(no_key=True).only("pk").get(pk=by.pk)
        young = Membership.unscoped.filter(
            user=by, role=Role.OWNER, tenant__created_at__gt=now - timedelta(days=1)
        )
        if young.count() >= COMPANIES_A_DAY:
            raise ValidationError(_("You founded several companies today. Add more tomorrow."))
        return tenant_create(name=name, owner=by)


def _free_slug(name: str) -> str:
    # Rows of other tenants are invisible, so uniqueness cannot be looked up: a short random
    # part makes a clash as good as impossible and gives away nothing about other companies.
    base = slugify(name)[:40] or "company"
    return f"{base}-{tokens.token_hex(3)}"


@transaction.atomic
def tenant_update(*, tenant: Tenant, by: User, **values: Any) -> Tenant:
    """Change company settings: those given that differ from what they were."""
    after = {field: value for field, value in values.items() if getattr(tenant, field) != value}
    if not after:
        return tenant
    before = {field: getattr(tenant, field) for field in after}
    for field, value in after.items():
        setattr(tenant, field, value)
    tenant.full_clean(exclude=["data_key_wrapped"])
    tenant.save(update_fields=list(after))
    audit(act="tenant.updated", by=by, target=tenant.name, before=before, after=after)
    return tenant


def token_hash(token: str) -> str:
    """What is stored in place of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


@transaction.atomic
def invitation_create(
    *, tenant: Tenant, email: str, role: Role, by: User, now: datetime
) -> Invitation:
    """Invite one address; a pending invitation to it is replaced, so the old link dies."""
    email = email.strip().lower()
    if Membership.objects.filter(user__email=email).exists():
        raise ValidationError(_("This person is already on the team."))
    _keep_mailboxes_from_floods(email, now)
    Invitation.objects.filter(email=email).delete()
    invitation = Invitation.objects.create(
        email=email,
        role=role,
        token_hash=_closed(),
        invited_by=by,
        expires_at=now + INVITATION_LIFE,
    )
    audit(act="invitation.sent", by=by, target=email, after={"role": role})
    mails.post(letter=INVITATION, about=str(invitation.public_id), until=invitation.expires_at)
    return invitation


@transaction.atomic
def invitation_resend(*, invitation: Invitation, by: User, now: datetime) -> None:
    """Send it again with a new link and a new week; the old link dies at once."""
    _keep_mailboxes_from_floods(invitation.email, now)
    waiting = Invitation.objects.filter(pk=invitation.pk, accepted_at=None)
    again = {"delivery": Invitation.Delivery.WAITING, "expires_at": now + INVITATION_LIFE}
    if not waiting.update(token_hash=_closed(), **again):
        raise ValidationError(_("This invitation was accepted or withdrawn."))
    audit(act="invitation.resent", by=by, target=invitation.email)
    about = str(invitation.public_id)
    mails.post(letter=INVITATION, about=about, until=now + INVITATION_LIFE)


def _keep_mailboxes_from_floods(email: str, now: datetime) -> None:
    """Raise when this company has mailed enough for a day, in all or to this address."""
    # Counted in the log, which keeps what was withdrawn; the lock lets two clicks count as two.
    Tenant.objects.select_for_update(no_key=True).only("pk").get(pk=scope.required())
    acts = ["invitation.sent", "invitation.resent"]
    sent = AuditEvent.objects.filter(act__in=acts, at__gt=now - timedelta(days=1))
    if sent.count() >= INVITATIONS_A_DAY:
        raise ValidationError(_("Many invitations were sent today. Send more tomorrow."))
    if sent.filter(target=email).count() >= INVITATIONS_A_DAY_TO_ONE:
        raise ValidationError(
            _("This address was sent several invitations today. Send another one tomorrow.")
        )


def _closed() -> str:
    """A hash that no token opens, until the mail goes out and makes one."""
    return token_hash(tokens.token_urlsafe(32))


def _invitation_ended(about: str, delivery: mails.Delivery) -> None:
    sent = {"sent_at": timezone.now()} if delivery is mails.Delivery.SENT else {}
    Invitation.objects.filter(public_id=about).update(delivery=str(delivery), **sent)


@mails.letter(INVITATION, ended=_invitation_ended)
def _invitation_letter(about: str, _reader: Membership | None) -> mails.Letter | None:
    """The invitation with a token of its own; each try to send it makes another."""
    now = timezone.now()
    found = (
        Invitation.objects.select_for_update(of=("self",))
        .select_related("tenant", "invited_by")
        .filter(public_id=about, accepted_at=None, expires_at__gt=now)
        .first()
    )
    if found is None:
        return None
    token = tokens.token_urlsafe(32)
    remember_secret(token)
    found.token_hash = token_hash(token)
    found.expires_at = now + INVITATION_LIFE
    found.save(update_fields=["token_hash", "expires_at"])
    company = mails.one_line(found.tenant.name)
    return mails.Letter(
        to=found.email,
        subject=_("Join %(company)s on CalqSync") % {"company": company},
        body=_(
            "%(inviter)s invites you to see the figures of %(company)s.\n\n"
            "Open this link within 7 days and sign in with this address:\n%(address)s\n\n"
            "If you do not know them, do nothing: without you the link opens nothing.\n"
        )
        % {
            "inviter": mails.one_line(str(found.invited_by or company)),
            "company": company,
            "address": mails.link(reverse("invitation", args=[token])),
        },
    )


@transaction.atomic
def invitation_revoke(*, invitation: Invitation, by: User) -> None:
    audit(act="invitation.revoked", by=by, target=invitation.email)
    invitation.delete()


def invitation_open(*, held: str, now: datetime) -> Invitation | None:
    """The pending invitation of this token's hash, or None when spent, expired or unknown."""
    with scope.token(held):
        found: Invitation | None = Invitation.unscoped.filter(
            token_hash=held, accepted_at=None, expires_at__gt=now
        ).first()
    return found


@transaction.atomic
def invitation_accept(*, held: str, user: User, now: datetime) -> Tenant:
    """Make `user` a member; raises ValidationError unless the invited address is theirs."""
    found = invitation_open(held=held, now=now)
    spent = ValidationError(_("This invitation has expired or was used. Ask for a new one."))
    if found is None:
        raise spent
    if found.email != user.email.lower():
        raise ValidationError(
            _("This invitation is for another address. Sign in with that address to accept it.")
        )
    with scope.tenant(found.tenant_id):
        # Withdrawn, sent again or accepted in this very moment, it opens nothing any more.
        waiting = Invitation.objects.filter(pk=found.pk, accepted_at=None, token_hash=held)
        if not waiting.update(accepted_at=now):
            raise spent
        Membership.objects.get_or_create(
            user=user, defaults={"role": found.role, "tenant_id": found.tenant_id}
        )
        audit(act="invitation.accepted", by=user, target=found.email, after={"role": found.role})
        return Tenant.objects.get(pk=found.tenant_id)


@transaction.atomic
def member_change_role(*, membership: Membership, role: Role, by: User) -> None:
    """Give another role; the last owner keeps theirs."""
    _keep_an_owner(membership, leaving=role != Role.OWNER)
    before = membership.role
    membership.role = role
    membership.save(update_fields=["role"])
    audit(
        act="member.role_changed",
        by=by,
        target=membership.user.email,
        before={"role": before},
        after={"role": role},
    )


@transaction.atomic
def member_remove(*, membership: Membership, by: User) -> None:
    """Take a person off the team; the last owner cannot be removed."""
    _keep_an_owner(membership, leaving=True)
    audit(
        act="member.left" if by.pk == membership.user_id else "member.removed",
        by=by,
        target=membership.user.email,
        before={"role": membership.role},
    )
    membership.delete()


def is_last_owner(membership: Membership) -> bool:
    """Whether the company would be left without an owner; with its tenant in scope."""
    owners = Membership.objects.filter(role=Role.OWNER, user__is_active=True)
    return membership.role == Role.OWNER and not owners.exclude(pk=membership.pk).exists()


def _keep_an_owner(membership: Membership, *, leaving: bool) -> None:
    if membership.role != Role.OWNER or not leaving:
        return
    # Held first, so that two who leave at once do not each count on the other.
    list(Membership.objects.select_for_update().filter(role=Role.OWNER))
    if is_last_owner(membership):
        raise ValidationError(_("A company needs an owner. Make someone else owner first."))
