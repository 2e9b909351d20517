"""A full copy of a company's data: asked for by an owner, written by a job, kept for a week.

The file lies in the database, in pieces sealed with the tenant's key: there is no shared disk,
every worker and web process sees it, and destroying the key erases it with everything else.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from io import RawIOBase
from typing import Any

import msgspec
import structlog
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.db.backends.postgresql.psycopg_any import IsolationLevel
from django.utils.translation import gettext as _
from psycopg2 import sql

from calqsync.jobs.services import ClaimedJob, Outcome, enqueue, live_job
from calqsync.privacy import archive
from calqsync.privacy.letters import READY
from calqsync.privacy.models import OPEN_EXPORTS, Export, ExportPart, ExportState
from calqsync.tenancy import mails, scope
from calqsync.tenancy.models import Membership, Role, Tenant, User
from calqsync.tenancy.secrets import Sealer, SecretUnreadable, sealer
from calqsync.tenancy.services import audit
from integrations.sync.evidence import opened as document_bytes

log = structlog.get_logger(__name__)
KIND = "privacy.export"
KEPT = timedelta(days=7)
PART = 1 << 20
STEP = 5_000
# Each one reads everything: enough for anybody who takes copies, and no load for the others.
COPIES_A_DAY = 10


class ExportStopped(Exception):
    """Nobody may have this export any more: whoever asked for it is no owner now."""


@transaction.atomic
def export_request(*, by: User, now: datetime) -> Export:
    """Have a full copy written; joins the one that is being written.

    Raises ValidationError after too many on one day.
    """
    Tenant.objects.select_for_update().get(pk=scope.required())  # two clicks make one copy
    export: Export | None = export_open()
    if export is None:
        lately = Export.objects.filter(requested_at__gt=now - timedelta(days=1))
        if lately.count() >= COPIES_A_DAY:
            raise ValidationError(_("Many copies were made today. Ask for another one tomorrow."))
        export = Export.objects.create(requested_by=by, requested_at=now)
        audit(act="export.requested", by=by, after={"export": str(export.public_id)})
        enqueue(kind=KIND, payload={"export": export.pk})
    return export


@transaction.atomic
def export_open() -> Export | None:
    """The copy that is being written; one whose job gave up is marked as failed first."""
    export: Export | None = Export.objects.filter(state__in=OPEN_EXPORTS).first()
    if export is not None and live_job(kind=KIND) is None:
        Export.objects.filter(pk=export.pk).update(state=ExportState.FAILED)
        return None
    return export


def may_have(export: Export, user_id: int | None) -> bool:
    """Whether this person is an owner now; needs a running transaction."""
    return (
        user_id is not None
        and Membership.objects.filter(
            user_id=user_id, user__is_active=True, role=Role.OWNER
        ).exists()
    )


def export_write(job: ClaimedJob, *, now: datetime) -> Outcome:
    """Write the copy that the job names, from one instant's state of all tables."""
    with transaction.atomic():
        job.fence()
        export = Export.objects.filter(pk=job.payload["export"], state__in=OPEN_EXPORTS).first()
        if export is None:
            return Outcome.done()
        export.state, export.rows = ExportState.RUNNING, 0
        export.save(update_fields=["state", "rows"])
        # What a worker wrote that died meanwhile.
        ExportPart.objects.filter(export=export)._raw_delete("default")
        seal = sealer()
    writer = _Parts(job, export, seal)
    try:
        with snapshot() as reader:
            _fill(writer, reader)
        writer.finish(now)
    except ExportStopped:
        log.info("export.stopped", export=str(export.public_id))
        with transaction.atomic():
            job.fence()
            ExportPart.objects.filter(export=export)._raw_delete("default")
            Export.objects.filter(pk=export.pk).update(state=ExportState.CANCELLED, finished_at=now)
    return Outcome.done()


@contextmanager
def snapshot() -> Iterator[Any]:
    """A connection of its own whose one transaction sees the tenant in scope as it is now."""
    reader = connections["default"].copy()
    reader.settings_dict["OPTIONS"] = {
        **reader.settings_dict.get("OPTIONS", {}),
        "isolation_level": IsolationLevel.REPEATABLE_READ,
    }
    try:
        # The backend tells it the tenant as the transaction's first statement.
        reader.set_autocommit(False)
        yield reader
    finally:
        reader.close()


class _Parts(RawIOBase):
    """A file that a ZIP is written to: sealed and stored piece by piece as it grows."""

    def __init__(self, job: ClaimedJob, export: Export, seal: Sealer) -> None:
        super().__init__()
        self._job, self._export, self._seal = job, export, seal
        self._buffer, self._sha = bytearray(), hashlib.sha256()
        self._position = self._bytes = self._rows = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._buffer += data
        while len(self._buffer) >= PART:
            self._store(bytes(self._buffer[:PART]))
            del self._buffer[:PART]
        return len(data)

    def expect(self, rows: int, as_of: datetime) -> None:
        with self._step():
            Export.objects.filter(pk=self._export.pk).update(expected=rows, as_of=as_of)

    def count(self, rows: int) -> None:
        """Tell how far it is; raises ExportStopped when nobody may have the file any more."""
        self._rows += rows
        with self._step():
            Export.objects.filter(pk=self._export.pk).update(rows=self._rows)

    def finish(self, now: datetime) -> None:
        if self._buffer:
            self._store(bytes(self._buffer))
        by = self._export.requested_by
        with self._step():
            Export.objects.filter(pk=self._export.pk).update(
                state=ExportState.READY,
                rows=self._rows,
                bytes=self._bytes,
                sha256=self._sha.hexdigest(),
                finished_at=now,
                expires_at=now + KEPT,
            )
            audit(act="export.ready", by=by, after={"export": str(self._export.public_id)})
            member = Membership.objects.get(user=by)
            mails.post(letter=READY, about=str(self._export.public_id), member=member)

    @contextmanager
    def _step(self) -> Iterator[None]:
        with transaction.atomic():
            self._job.fence()
            wanted = Export.objects.filter(pk=self._export.pk, state=ExportState.RUNNING)
            if not wanted.exists() or not may_have(self._export, self._export.requested_by_id):
                raise ExportStopped
            yield

    def _store(self, piece: bytes) -> None:
        with self._step():
            ExportPart.objects.create(
                export=self._export,
                position=self._position,
                body=self._seal.seal(
                    piece, connection_id=0, field=sealed_as(self._export, self._position)
                ),
            )
        self._sha.update(piece)
        self._bytes += len(piece)
        self._position += 1


def sealed_as(export: Export, position: int) -> str:
    """The name that a piece's sealed bytes are bound to."""
    return f"export:{export.public_id}:{position}"


def _fill(writer: _Parts, reader: Any) -> None:
    tenant_id = scope.required()
    tables = archive.tables()
    with reader.connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        as_of = cursor.fetchone()[0]
        expected = 0
        for table in tables:
            cursor.execute(_count(table), [tenant_id])
            expected += cursor.fetchone()[0]
    writer.expect(expected, as_of)
    keys = archive.Keys(os.urandom(32))
    with zipfile.ZipFile(writer, "w", zipfile.ZIP_DEFLATED) as file:
        contents = _Contents(file, writer)
        contents.add("README.txt", archive.README.encode())
        contents.add("company.json", _company(reader, tenant_id))
        contents.add(archive.PEOPLE, _people(reader, tenant_id, keys))
        for table in tables:
            with closing(_rows(reader, table, tenant_id)) as rows:
                contents.add_table(table, rows, keys)
        told = {
            "format": archive.FORMAT,
            "version": archive.VERSION,
            "as_of": as_of.isoformat(),
            "files": contents.listed,
            "left_out": archive.LEFT_OUT | archive.COLUMNS_LEFT_OUT,
        }
        file.writestr("manifest.json", msgspec.json.format(msgspec.json.encode(told), indent=1))


class _Contents:
    """The files inside the ZIP, with what the manifest says of each."""

    def __init__(self, file: zipfile.ZipFile, writer: _Parts) -> None:
        self._file, self._writer = file, writer
        self._seal = writer._seal
        self.listed: list[dict[str, Any]] = []

    def add(self, path: str, content: bytes) -> None:
        self._file.writestr(path, content)
        self._list(path, content.count(b"\n"), hashlib.sha256(content).hexdigest(), {})

    def add_table(self, table: archive.Table, rows: Iterator[Any], keys: archive.Keys) -> None:
        sha, written, since = hashlib.sha256(), 0, 0
        encode = archive.encoder(table, keys, _opener(table, self._seal))
        with self._file.open(table.path, "w", force_zip64=True) as out:
            for row in rows:
                line = encode(row)
                sha.update(line)
                out.write(line)
                written, since = written + 1, since + 1
                if since == STEP:
                    self._writer.count(since)
                    since = 0
        self._writer.count(since)
        told = {
            "description": table.description,
            "columns": [column.described() for column in table.columns],
        }
        self._list(table.path, written, sha.hexdigest(), told)

    def _list(self, path: str, rows: int, sha256: str, told: dict[str, Any]) -> None:
        self.listed.append({"path": path, "rows": rows, "sha256": sha256, **told})


def _count(table: archive.Table) -> Any:
    return sql.SQL("SELECT count(*) FROM {} WHERE tenant_id = %s").format(
        sql.Identifier(table.model._meta.db_table)
    )


def _rows(reader: Any, table: archive.Table, tenant_id: int) -> Generator[Any, None, None]:
    """The rows of a table in the order of its columns, a few at a time."""
    wanted = sql.SQL(", ").join(sql.Identifier(column.source) for column in table.columns)
    with reader.connection.cursor(name="export") as cursor:
        cursor.itersize = 200 if table.document else 2_000
        cursor.execute(
            sql.SQL("SELECT {} FROM {} WHERE tenant_id = %s ORDER BY id").format(
                wanted, sql.Identifier(table.model._meta.db_table)
            ),
            [tenant_id],
        )
        yield from cursor


def _company(reader: Any, tenant_id: int) -> bytes:
    fields = Tenant._meta.concrete_fields
    with reader.connection.cursor() as cursor:
        cursor.execute(
            sql.SQL("SELECT {} FROM tenancy_tenant WHERE id = %s").format(
                sql.SQL(", ").join(sql.Identifier(str(f.column)) for f in fields)
            ),
            [tenant_id],
        )
        values = dict(zip([f.attname for f in fields], cursor.fetchone(), strict=True))
    told = archive.company(Tenant(**values))
    return msgspec.json.format(msgspec.json.encode(told), indent=1) + b"\n"


def _people(reader: Any, tenant_id: int, keys: archive.Keys) -> bytes:
    with reader.connection.cursor() as cursor:
        cursor.execute(
            "SELECT u.id, u.public_id, u.name, u.email FROM tenancy_user u JOIN"
            " tenancy_membership m ON m.user_id = u.id WHERE m.tenant_id = %s ORDER BY u.id",
            [tenant_id],
        )
        people = [
            {"key": keys.of(archive.PEOPLE, pk), "public_id": id_, "name": name, "email": email}
            for pk, id_, name, email in cursor.fetchall()
        ]
    return b"".join(msgspec.json.encode(person) + b"\n" for person in people)


def _opener(table: archive.Table, seal: Sealer) -> Callable[[Any], Any]:
    """What replaces the sealed document in a row by its text; by nothing where it is damaged."""
    names = [column.source for column in table.columns]
    place = names.index(table.document) if table.document else 0

    def opened(row: Any) -> list[Any]:
        values = list(row)
        document = table.model(**dict(zip(names, values, strict=True)))
        try:
            raw = document_bytes(document, seal)  # type: ignore[arg-type]
            values[place] = raw.decode(errors="replace")
        except SecretUnreadable:
            values[place] = None
        return values

    return opened


def export_stream(*, export: Export, user: User) -> Iterator[bytes]:
    """The file, piece by piece; it breaks off when the reader is no owner any more."""
    tenant_id, position = export.tenant_id, 0
    while True:
        with scope.tenant(tenant_id), transaction.atomic():
            ready = Export.objects.filter(pk=export.pk, state=ExportState.READY).exists()
            part = ExportPart.objects.filter(export=export, position=position).first()
            if part is None or not ready or not may_have(export, user.pk):
                return
            piece = sealer().open(part.body, connection_id=0, field=sealed_as(export, position))
        yield piece
        position += 1


@transaction.atomic
def export_downloaded(*, export: Export, by: User) -> None:
    """Note who took the file, before the first byte leaves."""
    audit(act="export.downloaded", by=by, after={"export": str(export.public_id)})


@transaction.atomic
def export_delete(*, export: Export, by: User) -> None:
    """Stop a copy that is being written, or delete one that is ready."""
    running = export.state in OPEN_EXPORTS
    ExportPart.objects.filter(export=export)._raw_delete("default")
    Export.objects.filter(pk=export.pk).update(
        state=ExportState.CANCELLED if running else ExportState.EXPIRED
    )
    audit(act="export.deleted", by=by, after={"export": str(export.public_id)})
