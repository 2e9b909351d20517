"""A company's deletion: asked for, taken back, carried out by a job."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from calqsync.jobs.services import ClaimedJob, Outcome, cancel, enqueue
from calqsync.privacy import letters
from calqsync.privacy.models import OPEN_EXPORTS, Export, ExportState
from calqsync.privacy.services.erasing import tenant_erase
from calqsync.tenancy import mails
from calqsync.tenancy.models import Role, Tenant, User
from calqsync.tenancy.services import audit
from integrations.services import runs

ERASE = "privacy.erase"
UNDO_DAYS = 30
REMINDER = timedelta(days=3)


@transaction.atomic
def exports_stop(*, by: User) -> None:
    """Stop the export that this person asked for, if one is being written."""
    Export.objects.filter(requested_by=by, state__in=OPEN_EXPORTS).update(
        state=ExportState.CANCELLED, finished_at=timezone.now()
    )


@transaction.atomic
def deletion_request(*, tenant: Tenant, typed_name: str, by: User, now: datetime) -> Tenant:
    """Have the company erased in 30 days; imports stop at once. Asked again, nothing changes.

    Raises ValidationError unless its name was typed. Credentials stay until then, so that the
    undo leaves everything as it was.
    """
    held: Tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
    if " ".join(typed_name.split()).casefold() != " ".join(held.name.split()).casefold():
        raise ValidationError(_("This is not the company's name. Type it as it is shown above."))
    if held.deletes_at is not None:
        return held
    held.deletes_at = now + timedelta(days=UNDO_DAYS)
    held.save(update_fields=["deletes_at"])
    runs.syncs_stop(by=by)
    audit(
        act="tenant.deletion_requested",
        by=by,
        target=held.name,
        after={"erased_at": held.deletes_at.isoformat()},
    )
    enqueue(
        kind=ERASE,
        run_after=held.deletes_at - REMINDER,
        payload={"by": str(by.public_id)},
    )
    mails.post_to_members(letter=letters.ASKED, about=str(held.public_id), min_role=Role.OWNER)
    return held


@transaction.atomic
def deletion_undo(*, tenant: Tenant, by: User) -> Tenant:
    """Keep the company; its imports go on as they were."""
    held: Tenant = Tenant.objects.select_for_update().get(pk=tenant.pk)
    if held.deletes_at is None:
        return held
    before, held.deletes_at = held.deletes_at, None
    held.save(update_fields=["deletes_at"])
    cancel(kind=ERASE)
    runs.syncs_wake()
    audit(
        act="tenant.deletion_undone",
        by=by,
        target=held.name,
        before={"erased_at": before.isoformat()},
    )
    mails.post_to_members(letter=letters.UNDONE, about=str(held.public_id), min_role=Role.OWNER)
    return held


def deletion_work(job: ClaimedJob, *, now: datetime) -> Outcome:
    """What is due of a deletion: nothing yet, the reminder, or the erasure itself."""
    with transaction.atomic():
        job.fence()
        tenant = Tenant.objects.get(pk=job.tenant_id)
        if tenant.deletes_at is None:
            return Outcome.done()
        if now < tenant.deletes_at - REMINDER:
            return Outcome.again(tenant.deletes_at - REMINDER - now)
        if now < tenant.deletes_at:
            mails.post_to_members(
                letter=letters.SOON,
                about=str(tenant.public_id),
                min_role=Role.OWNER,
                until=tenant.deletes_at,
            )
            return Outcome.again(tenant.deletes_at - now)
    asked = job.payload.get("by")
    tenant_erase(
        tenant_id=job.tenant_id,
        asked_by=UUID(asked) if asked else None,
        due=now,
        fence=job.fence,
        job_id=job.id,
    )
    with transaction.atomic():
        return Outcome.done() if Tenant.objects.exists() else Outcome.gone()
