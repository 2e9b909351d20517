"""The ledger of erasures: added to with each one, carried outside of backups, replayed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from calqsync.privacy.models import Erased, Erasure

FORMAT = "calqsync-erasures-1"


class LedgerDamaged(Exception):
    """The file is not a whole ledger."""

    advice = "Take the newest file that `erasures export` wrote to its end."


@dataclass(frozen=True, slots=True)
class Line:
    """One erasure, as it stands in the file."""

    kind: str
    subject: UUID
    tenant_number: int | None
    mark: str
    asked_by: UUID | None
    at: datetime

    def as_json(self) -> str:
        values = {
            "kind": self.kind,
            "subject": str(self.subject),
            "tenant_number": self.tenant_number,
            "mark": self.mark,
            "asked_by": str(self.asked_by) if self.asked_by else None,
            "at": self.at.isoformat(),
        }
        return json.dumps(values, sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Line:
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(
                kind=Erased(found["kind"]).value,
                subject=UUID(found["subject"]),
                tenant_number=None
                if found["tenant_number"] is None
                else int(found["tenant_number"]),
                mark=str(found["mark"]),
                asked_by=UUID(found["asked_by"]) if found["asked_by"] else None,
                at=datetime.fromisoformat(found["at"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise LedgerDamaged(f"a line that cannot be read: {error}") from None


@transaction.atomic
def erasure_record(
    *,
    kind: Erased,
    subject: UUID,
    tenant_number: int | None = None,
    mark: str = "",
    asked_by: UUID | None = None,
) -> None:
    """Add one line; a second erasure of the same thing adds none."""
    Erasure.objects.bulk_create(
        [
            Erasure(
                kind=kind,
                subject=subject,
                tenant_number=tenant_number,
                mark=mark,
                asked_by=asked_by,
            )
        ],
        ignore_conflicts=True,
    )


def ledger_lines() -> list[Line]:
    """The whole ledger, oldest first."""
    return [
        Line(e.kind, e.subject, e.tenant_number, e.mark, e.asked_by, e.at)
        for e in Erasure.objects.order_by("at", "pk")
    ]


def ledger_text() -> str:
    """The ledger as a file: a head, the lines, and a last one that proves it whole."""
    lines = [FORMAT, *(line.as_json() for line in ledger_lines())]
    return "\n".join([*lines, _seal(lines), ""])


def ledger_read(text: str) -> list[Line]:
    """The lines of a file; raises LedgerDamaged for one that is cut or changed."""
    lines = text.splitlines()
    if len(lines) < 2 or lines[0] != FORMAT:
        raise LedgerDamaged("this is no ledger of erasures")
    if lines[-1] != _seal(lines[:-1]):
        raise LedgerDamaged("the file is cut or was changed")
    return [Line.read(line) for line in lines[1:-1]]


@transaction.atomic
def ledger_add(lines: Iterable[Line]) -> int:
    """Add the lines that are not there yet; how many that were."""
    before = Erasure.objects.count()
    Erasure.objects.bulk_create(
        [
            Erasure(
                kind=line.kind,
                subject=line.subject,
                tenant_number=line.tenant_number,
                mark=line.mark,
                asked_by=line.asked_by,
                at=line.at,
            )
            for line in lines
        ],
        ignore_conflicts=True,
    )
    return Erasure.objects.count() - before


def _seal(lines: Iterable[str]) -> str:
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()
