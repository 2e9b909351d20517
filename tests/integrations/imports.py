"""Connections with imports, rejected and vanished documents, and a look at their pages."""

import re
from datetime import timedelta

from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from calqsync.tenancy.secrets import sealer
from integrations.models import (
    Connection,
    Credential,
    Rejection,
    RemovalHold,
    SyncRun,
    SyncStream,
)
from integrations.sync.evidence import sealed_for
from tests.integrations.conftest import walker

NOW = timezone.now()
STREAMS = ["partners", "products", "invoices", "payments", "bank"]


def connection(name, **facts):
    one = Connection.objects.create(
        **{
            "name": name,
            "company_id": name,
            "company_name": f"{name} Oy",
            "data_as_of": NOW - timedelta(hours=2),
            "first_import_at": NOW - timedelta(days=30),
        }
        | facts
    )
    Credential.objects.create(connection=one, kind="api_key", secret=b"sealed")
    return one


def run_of(one, state="complete", *, ago=3600, took=100, mode="incremental", **facts):
    """A run of five streams, each a fifth of its time."""
    start = NOW - timedelta(seconds=ago)
    run = SyncRun.objects.create(
        connection=one,
        mode=mode,
        trigger="schedule",
        state=state,
        started_at=start,
        finished_at=None if took is None else start + timedelta(seconds=took),
        window_to=start,
        requests=31,
        **facts,
    )
    for number, stream in enumerate(STREAMS):
        SyncStream.objects.create(
            run=run,
            stream=stream,
            started_at=start + timedelta(seconds=number * 18),
            finished_at=start + timedelta(seconds=(number + 1) * 18),
            complete=True,
            fetched=1000 + number,
            added=5,
            changed=4,
            unchanged=3,
            rejected=2 if stream == "invoices" else 0,
            removed=1,
        )
    return run


def reject(one, number, reason="no exchange rate from SEK to EUR", **facts):
    raw = sealed_for(sealer(), one.pk, "invoices", str(number), b'{"id": 1}')
    return Rejection.objects.create(
        connection=one,
        stream="invoices",
        external_id=str(number),
        reason=reason,
        raw=raw,
        **{"first_seen_at": NOW - timedelta(days=20), "last_seen_at": NOW} | facts,
    )


def get(cast, name, *ids, user=None, query=""):
    client = walker(user or cast.ann, cast.tenant).client
    answer = client.get(reverse(name, args=[cast.tenant.slug, *ids]) + query)
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", answer.content.decode())


def hold(one, **facts):
    return RemovalHold.objects.create(
        connection=one, stream="invoices", found_at=NOW, missing=2300, stored=2500, **facts
    )


def queries_of(client, url):
    """How many queries the page takes."""
    with CaptureQueriesContext(database) as found:
        assert client.get(url).status_code == 200
    return len(found)
