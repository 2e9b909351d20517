"""The pages of Settings > Integrations by name, a run to show on them, and a look at one."""

from datetime import timedelta

from django.urls import reverse

from calqsync.tenancy import scope
from integrations.models import SyncRun, SyncStream
from tests.integrations.conftest import NOW, walker

# Those that may be looked at, and whether their address names a connection.
GET = {
    "integrations": False,
    "connect_key": False,
    "connection": True,
    "connection_progress": True,
    "connection_disconnect": True,
    "connection_cancel": True,
    "connection_rejected": True,
}


def address(tenant, name, connection, has_id):
    args = [tenant.slug, connection.public_id] if has_id else [tenant.slug]
    return reverse(name, args=args)


def run_of(tenant, connection, state, **facts):
    with scope.tenant(tenant.pk):
        run = SyncRun.objects.create(
            connection=connection,
            mode="first",
            trigger="person",
            state=state,
            started_at=NOW - timedelta(seconds=60),
            window_to=NOW,
            requests=1234,
            **facts,
        )
        values = {"run": run, "started_at": NOW}
        SyncStream.objects.create(
            **values, stream="partners", fetched=68, added=68, complete=True, finished_at=NOW
        )
        SyncStream.objects.create(**values, stream="invoices", expected=2000, fetched=1500)
    return run


def page_of(cast, eu, name="connection", user=None):
    client = walker(user or cast.ann, cast.tenant).client
    return client.get(address(cast.tenant, name, eu, GET[name])).content.decode()
