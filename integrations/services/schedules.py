"""How often a connection imports by itself, as its people choose."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _

from billing.services import entitlement_now
from calqsync.jobs.services import enqueue
from calqsync.tenancy.models import User
from calqsync.tenancy.services import audit
from integrations.models import Connection, SyncRun
from integrations.models.runs import OPEN_STATES
from integrations.sync.engine import KIND
from integrations.sync.schedule import CHOICES


@transaction.atomic
def schedule_choose(
    *, connection: Connection, hours: int | None, by: User, now: datetime
) -> Connection:
    """Import every so many hours from now on; None leaves it to the product.

    Raises ValidationError for hours that cannot be chosen, or that the plan does not allow now.
    What was chosen before may stay, whatever became of the plan.
    """
    # A run that ends at this moment reads the schedule after its last page; it waits for this lock.
    held: Connection = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    before = held.sync_every_hours
    if hours == before:
        return held
    if hours is not None and hours not in CHOICES:
        raise ValidationError(_("Choose one of the times in the list."))
    allowed = entitlement_now(now=now).every_hours
    if hours is not None and hours < allowed:
        raise ValidationError(
            _("Your plan imports every %(hours)s hours at most.") % {"hours": allowed}
        )
    held.sync_every_hours = hours
    held.save(update_fields=["sync_every_hours"])
    audit(
        act="connection.scheduled",
        by=by,
        target=held.name,
        before={"hours": before},
        after={"hours": hours, "connection": str(held.public_id)},
    )
    _move(held)
    return held


def _move(connection: Connection) -> None:
    """Have the connection's one job look at its schedule anew: it imports, or waits as long.

    A run that is open comes to the new schedule by itself, at its end.
    """
    gone = connection.disconnected_at is not None
    if (
        not gone
        and not SyncRun.objects.filter(connection=connection, state__in=OPEN_STATES).exists()
    ):
        enqueue(kind=KIND, key=str(connection.pk))
