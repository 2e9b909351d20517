"""What the ledger says was erased is erased again: for the first minute after a restore."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from calqsync.privacy.models import Erased
from calqsync.privacy.services.accounts import account_erase
from calqsync.privacy.services.erasing import tenant_erase
from calqsync.privacy.services.ledger import Line
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant, User
from integrations.models import Customer
from integrations.services import contacts
from reporting.services import rows_renamed


@dataclass(slots=True)
class Replayed:
    """How many of each kind had come back and are gone again."""

    tenants: int = 0
    people: int = 0
    contacts: int = 0


def replay(lines: Iterable[Line], *, now: datetime) -> Replayed:
    """Erase again whatever of the ledger is there; running it twice changes nothing more."""
    done = Replayed()
    marks: dict[tuple[int, UUID], set[str]] = defaultdict(set)
    for line in sorted(lines, key=lambda one: one.kind != Erased.TENANT):
        if line.kind == Erased.TENANT and line.tenant_number is not None:
            done.tenants += _tenant(line, line.tenant_number)
        elif line.kind == Erased.PERSON:
            done.people += _person(line.subject)
        elif line.tenant_number is not None:
            marks[line.tenant_number, line.subject].add(line.mark)
    for (number, public_id), wanted in marks.items():
        done.contacts += _contacts(number, public_id, wanted, now)
    return done


def _is_there(number: int, public_id: UUID) -> bool:
    # By number, because only its own rows are visible; by public id, because a number means
    # something within one database only.
    return bool(Tenant.objects.filter(pk=number, public_id=public_id).exists())


def _tenant(line: Line, number: int) -> bool:
    with scope.tenant(number), transaction.atomic():
        if not _is_there(number, line.subject):
            return False
    tenant_erase(tenant_id=number, asked_by=line.asked_by)
    return True


@transaction.atomic
def _person(public_id: UUID) -> bool:
    user = User.objects.filter(public_id=public_id).first()
    if user is None or (not user.is_active and not user.has_usable_password()):
        return False
    account_erase(user=user)
    return True


def _contacts(number: int, public_id: UUID, marks: set[str], now: datetime) -> int:
    with scope.tenant(number), transaction.atomic():
        if not _is_there(number, public_id):
            return 0
        erased = 0
        for mark in sorted(marks):
            contacts.contact_keep_erased(mark=mark, now=now)
        for customer in Customer.objects.order_by("pk"):
            if contacts.contact_mark(customer) not in marks:
                continue
            if not contacts.contact_is_erased(customer):
                with rows_renamed(customer=customer):
                    contacts.contact_erase(customer=customer, now=now)
                erased += 1
        return erased
