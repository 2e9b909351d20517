"""What `calqsync.tenancy` must know of this room's secrets: where they lie, and what they are."""

from __future__ import annotations

from typing import Any

from calqsync.tenancy.logs import remember_secret
from calqsync.tenancy.secrets import sealed_column
from integrations.models import (
    ConnectFlow,
    Credential,
    RawDocument,
    Rejection,
    StagedPage,
    TokenRenewal,
)
from integrations.procountor import redaction
from integrations.services.connect import FLOW_SECRET
from integrations.sync import prepared, renewals, staging


def register() -> None:
    """Make the sealed columns and the client's secrets known; once a process."""
    # What the client hides in its own messages is hidden in every log line.
    redaction.listeners.append(remember_secret)
    sealed_column(Credential, "secret", field="secret")
    sealed_column(Credential, "access_token", field="access_token")
    sealed_column(TokenRenewal, "secret", field=renewals.FIELD)
    sealed_column(
        ConnectFlow, "secret", connection_id=lambda row: row.pk, field=FLOW_SECRET, needs=()
    )
    named = ("connection_id", "stream", "external_id")
    sealed_column(RawDocument, "body", field=_document, needs=named, bulky=True)
    sealed_column(Rejection, "raw", field=_document, needs=named, bulky=True)
    sealed_column(
        StagedPage,
        "body",
        connection_id=lambda row: row.run.connection_id,
        field=lambda row: staging.sealed_as(row.kind),
        needs=("run_id", "kind"),
        bulky=True,
    )


def _document(row: Any) -> str:
    return prepared.sealed_as(row.stream, row.external_id)
