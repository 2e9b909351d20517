"""A customer's contact asks to be forgotten: the books, the copies taken out, the ledger."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from calqsync.privacy.models import Erased, Export, ExportPart, ExportState
from calqsync.privacy.services.ledger import erasure_record
from calqsync.tenancy.audit.trail import naming
from calqsync.tenancy.models import Tenant, User
from calqsync.tenancy.services import audit
from integrations.models import Customer
from integrations.services import contacts
from reporting.services import rows_renamed


@transaction.atomic
def contact_erase(*, tenant: Tenant, customer: Customer, by: User, now: datetime) -> int:
    """Erase a contact's personal data; full copies of the data that still hold them go too.

    Returns how many rows of the audit log hold the name or address: what is written today names
    nobody, what was written earlier may, and nothing changes it before the company is erased.
    """
    left = naming([] if contacts.contact_is_erased(customer) else [customer.name, customer.email])
    with rows_renamed(customer=customer):
        mark = contacts.contact_erase(customer=customer, now=now)
    erasure_record(
        kind=Erased.CONTACT,
        subject=tenant.public_id,
        tenant_number=tenant.pk,
        mark=mark,
        asked_by=by.public_id,
    )
    ExportPart.objects.all()._raw_delete("default")
    Export.objects.filter(state=ExportState.READY).update(state=ExportState.EXPIRED)
    # Not the name: the audit log cannot be changed afterwards.
    audit(act="contact.erased", by=by, target=str(customer.public_id))
    return left
