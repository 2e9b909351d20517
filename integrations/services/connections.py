"""What people do with a connection after it is made: rename, disconnect, delete its data."""

from __future__ import annotations

from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from calqsync.tenancy.models import User
from calqsync.tenancy.secrets import SecretUnreadable
from calqsync.tenancy.services import audit
from integrations.models import ConnectFlow, Connection
from integrations.procountor.errors import ProcountorError
from integrations.services import identity, runs
from integrations.services.connect import credential_destroy
from integrations.services.deleting import delete_later
from integrations.services.names import clean_name
from integrations.services.refusals import RemoteRefused
from integrations.sync import trouble


@transaction.atomic
def connection_rename(*, connection: Connection, name: str, by: User) -> Connection:
    """Give another name; raises ValidationError when it is empty, too long or taken."""
    before, name = connection.name, clean_name(name, but=connection)
    connection.name = name
    try:
        with transaction.atomic():
            connection.save(update_fields=["name"])
    except IntegrityError:
        raise ValidationError(_("This name is taken. Choose another one.")) from None
    audit(
        act="connection.renamed",
        by=by,
        target=name,
        before={"name": before},
        after={"name": name},
    )
    return connection


def rights_check(*, connection: Connection, now: datetime) -> None:
    """Read anew what the connection's user may not see; raises a ConnectRefused.

    Call with no transaction open: Procountor is asked meanwhile.
    """
    try:
        rights = identity.rights_now(connection)
    except (ProcountorError, SecretUnreadable) as failure:
        raise RemoteRefused(failure) from None
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(rights=rights, rights_read_at=now)


@transaction.atomic
def connection_disconnect(
    *, connection: Connection, delete_data: bool, by: User, now: datetime
) -> None:
    """Stop imports and destroy the key; with `delete_data` a job deletes the imported books.

    With its data kept, the connection stays visible and can be connected again. A deletion
    cannot be undone: the connection shows as being deleted until its last row is gone.
    """
    # A worker's next page waits for this lock, and then finds its run stopped or gone.
    # Not its key, because notes about a key's renewal refer to it meanwhile.
    connection = Connection.objects.select_for_update(no_key=True).get(pk=connection.pk)
    runs.sync_cancel(connection=connection, by=by)
    credential_destroy(connection)
    ConnectFlow.objects.filter(connection=connection).delete()
    audit(
        act="connection.deleted" if delete_data else "connection.disconnected",
        by=by,
        target=connection.name,
        before={
            "company": connection.company_name,
            "business_id": connection.business_id,
            "connection": str(connection.public_id),
        },
    )
    changes = {**trouble.CLEAR, **trouble.UNTOLD}
    changes["disconnected_at"] = connection.disconnected_at or now
    if delete_data:
        changes["deleting_at"] = connection.deleting_at or now
        delete_later(connection)
    Connection.objects.filter(pk=connection.pk).update(**changes)
