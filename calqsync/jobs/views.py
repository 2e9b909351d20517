"""The web process's health, for load balancers and the local supervisor."""

from __future__ import annotations

from celery import current_app
from django.db import DatabaseError, connection, transaction
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe
from kombu.exceptions import OperationalError as BrokerDown

from calqsync.jobs import dispatch


@transaction.non_atomic_requests
@require_safe
def healthz(request: HttpRequest) -> JsonResponse:
    """200 while the database answers; the body tells of the broker and the oldest due job.

    A broker that is down answers 200 with `"broker": false`: pages still work, and restarting
    the web process would not bring it back.
    """
    body: dict[str, object] = {"web": True, "database": True, "broker": True}
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
        body["oldest_due_seconds"] = round(dispatch.oldest_due_seconds(), 1)
    except DatabaseError:
        body["database"] = False
    try:
        with current_app.connection_for_write() as broker:
            broker.ensure_connection(max_retries=1, timeout=1)
    except (BrokerDown, OSError):
        body["broker"] = False
    return JsonResponse(body, status=200 if body["database"] else 503)
