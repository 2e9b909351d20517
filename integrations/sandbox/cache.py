"""Large companies on disk: rendered documents in segments that are mapped, not read.

A cached company starts in a moment and its documents cost no memory of their own. The file name
carries everything the bytes depend on, the generator's own source included.
"""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import tempfile
from array import array
from collections.abc import Iterator, Mapping, MutableMapping
from datetime import date
from pathlib import Path

import msgspec

from integrations.sandbox.company import Company
from integrations.sandbox.model import Profile, RowTruth
from integrations.sandbox.store import EventBytes, Head, Shelf

_SHELVES = ("invoices", "partners", "products", "accounts", "statements")


class Segment(MutableMapping[int, bytes]):
    """Rendered documents by id in one mapped file; changes live in memory on top."""

    def __init__(self, path: Path, ids: list[int], ends: array[int]) -> None:
        self.places = {document_id: place for place, document_id in enumerate(ids)}
        self.ends = ends
        self.changed: dict[int, bytes] = {}
        with path.open("rb") as file:
            self.blob = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if ids else b""

    def __getitem__(self, document_id: int) -> bytes:
        if document_id in self.changed:
            return self.changed[document_id]
        place = self.places[document_id]
        return self.blob[self.ends[place] : self.ends[place + 1]]

    def __setitem__(self, document_id: int, raw: bytes) -> None:
        self.changed[document_id] = raw
        self.places.pop(document_id, None)

    def __delitem__(self, document_id: int) -> None:
        if self.changed.pop(document_id, None) is None:
            del self.places[document_id]

    def __contains__(self, document_id: object) -> bool:
        return document_id in self.changed or document_id in self.places

    def __iter__(self) -> Iterator[int]:
        yield from self.places
        yield from self.changed

    def __len__(self) -> int:
        return len(self.places) + len(self.changed)


def folder_of(root: Path, profile: Profile, seed: int, anchor: date) -> Path:
    digest = hashlib.sha256(repr((profile, seed, anchor)).encode())
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return root / f"sandbox-{profile.slug}-{seed}-{anchor}-{digest.hexdigest()[:12]}"


def save(company: Company, folder: Path) -> None:
    """Write the company beside its place and move it there whole; older makings go away."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    making = Path(tempfile.mkdtemp(prefix=".sandbox-", dir=folder.parent))
    for name in _SHELVES:
        shelf: Shelf = getattr(company, name)
        heads = list(shelf.heads.values())
        (making / f"{name}.heads").write_bytes(msgspec.msgpack.encode(heads))
        _write_segment(making / f"{name}.items", shelf.items)
        _write_segment(making / f"{name}.details", shelf.details)
    (making / "events").write_bytes(msgspec.msgpack.encode(company.events))
    (making / "truths").write_bytes(msgspec.msgpack.encode(company.truths))
    (making / "opens").write_text(company.opens.isoformat())
    stale = f"sandbox-{company.slug}-"
    for old in folder.parent.glob(f"{stale}*"):
        shutil.rmtree(old, ignore_errors=True)
    os.replace(making, folder)


def load(folder: Path, profile: Profile, seed: int, anchor: date) -> Company | None:
    """The company from its folder, or None if it was never made."""
    if not folder.is_dir():
        return None
    opens = date.fromisoformat((folder / "opens").read_text())
    company = Company(profile, seed, anchor, opens)
    for name in _SHELVES:
        shelf: Shelf = getattr(company, name)
        raw = (folder / f"{name}.heads").read_bytes()
        shelf.heads = {head.id: head for head in msgspec.msgpack.decode(raw, type=list[Head])}
        shelf.items = _read_segment(folder / f"{name}.items")
        shelf.details = _read_segment(folder / f"{name}.details")
    events = (folder / "events").read_bytes()
    company.events = msgspec.msgpack.decode(events, type=dict[int, tuple[EventBytes, ...]])
    truths = folder / "truths"
    company.late_truths = lambda: msgspec.msgpack.decode(truths.read_bytes(), type=list[RowTruth])
    return company


def _write_segment(path: Path, documents: Mapping[int, bytes]) -> None:
    ends = array("Q", [0])
    with path.open("wb") as file:
        for raw in documents.values():
            file.write(raw)
            ends.append(ends[-1] + len(raw))
    index = (list(documents), ends.tobytes())
    path.with_suffix(f"{path.suffix}.index").write_bytes(msgspec.msgpack.encode(index))


def _read_segment(path: Path) -> Segment:
    raw = path.with_suffix(f"{path.suffix}.index").read_bytes()
    ids, packed = msgspec.msgpack.decode(raw, type=tuple[list[int], bytes])
    ends = array("Q")
    ends.frombytes(packed)
    return Segment(path, ids, ends)
