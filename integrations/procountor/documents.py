"""From bytes to records: exact slices of what Procountor said, each with its typed record.

One document that does not parse is set aside as `Rejected`; the rest of its page stands.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Generic, TypeVar

import msgspec

from integrations.procountor.errors import Nonsense
from integrations.procountor.records import Record

T_co = TypeVar("T_co", bound=Record, covariant=True)
R = TypeVar("R", bound=Record)
T = TypeVar("T")


class Document(msgspec.Struct, Generic[T_co], frozen=True, gc=False):
    """One document: `raw` is the exact slice of the answer, `digest` its SHA-256."""

    external_id: str
    raw: bytes
    record: T_co
    digest: bytes


@dataclass(frozen=True, slots=True)
class Rejected:
    """A document that we could not read, with the reason in English for the run's report.

    `external_id` is empty where not even the id could be read.
    """

    external_id: str
    raw: bytes
    reason: str
    digest: bytes


@dataclass(frozen=True, slots=True)
class Page(Generic[T_co]):
    """A page of documents in the order of the answer.

    `total` is Procountor's own count of the whole list, if it told one. `missing` are the ids
    asked for by number that Procountor left out.
    """

    documents: tuple[Document[T_co], ...]
    rejected: tuple[Rejected, ...] = ()
    total: int | None = None
    missing: tuple[int, ...] = ()

    @property
    def ids(self) -> list[int]:
        """The ids that could be read, growing: of documents, and of those set aside."""
        names = [document.external_id for document in self.documents]
        names += [rejected.external_id for rejected in self.rejected if rejected.external_id]
        return sorted(map(int, names))


class Meta(msgspec.Struct, frozen=True, rename="camel"):
    page_number: int | None = None
    page_size: int | None = None
    result_count: int | None = None
    total_count: int | None = None


class Envelope(msgspec.Struct, frozen=True):
    """A list's answer before its elements are read."""

    results: list[msgspec.Raw] | None = None
    meta: Meta | None = None
    # Product lists before results/meta existed.
    products: list[msgspec.Raw] | None = None

    @property
    def elements(self) -> list[msgspec.Raw]:
        return self.results or self.products or []


class _Identified(msgspec.Struct, frozen=True):
    id: int


class _Named(msgspec.Struct, frozen=True):
    id: msgspec.Raw


_envelopes = msgspec.json.Decoder(Envelope)
_arrays = msgspec.json.Decoder(list[msgspec.Raw])
_ESCAPES = re.compile(
    rb"\\u[dD][89abAB]..\\u[dD][c-fC-F]..|(?P<half>\\u[dD][89a-fA-F]..)|\\.", re.DOTALL
)
_named = msgspec.json.Decoder(_Named)
_identities = msgspec.json.Decoder(_Identified)


def envelope(body: bytes, *, path: str = "") -> Envelope:
    """The parts of a list's answer; an answer of another shape is `Nonsense`.

    An empty list may lack its results, but not everything that makes an answer a list.
    """
    try:
        found = _decoded(_envelopes, body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Nonsense(f"not a list of results: {error}", path=path) from None
    if found.results is None and found.products is None and found.meta is None:
        raise Nonsense("not a list of results", path=path)
    return found


def elements_of_batch(body: bytes, *, path: str = "") -> list[msgspec.Raw]:
    """The documents of a batch read: an array, or the bare object when one id was asked."""
    try:
        if body.lstrip()[:1] == b"[":
            return _decoded(_arrays, body)
        # Decoded once for shape, so that a cut object is noticed here.
        bare = _decoded(_arrays, b"[" + body + b"]")
        _named.decode(bare[0])
        return bare
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Nonsense(f"not a batch of documents: {error}", path=path) from None


def _decoded(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        mended = _ESCAPES.sub(_whole_character, body)
        if mended == body:
            raise
        return decoder.decode(mended)


def _whole_character(escape: re.Match[bytes]) -> bytes:
    """The escape, unless it is half of a character, as a text cut at a length may end with: that
    would spoil every document of its page.
    """
    return b"\\ufffd" if escape["half"] else escape[0]


def one(decoder: msgspec.json.Decoder[R], body: bytes, *, path: str = "") -> R:
    """A single record that the run cannot go on without."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Nonsense(f"unexpected answer: {error}", path=path) from None


class Reader(Generic[R]):
    """Reads elements of one kind; keep one per record type, its decoder is compiled once."""

    def __init__(self, record_type: type[R]) -> None:
        self.decoder: msgspec.json.Decoder[R] = msgspec.json.Decoder(record_type)

    def read(
        self, elements: Sequence[msgspec.Raw]
    ) -> tuple[tuple[Document[R], ...], tuple[Rejected, ...], tuple[int | None, ...]]:
        """Documents, rejected ones, and the id of every element (None: unreadable)."""
        documents: list[Document[R]] = []
        rejected: list[Rejected] = []
        ids: list[int | None] = []
        decode = self.decoder.decode
        for element in elements:
            raw = bytes(element)
            digest = sha256(raw).digest()
            try:
                record = decode(raw)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                found = identity(raw)
                ids.append(found)
                name = "" if found is None else str(found)
                rejected.append(Rejected(name, raw, str(error), digest))
            else:
                number: int = record.id  # type: ignore[attr-defined]
                ids.append(number)
                documents.append(Document(str(number), raw, record, digest))
        return tuple(documents), tuple(rejected), tuple(ids)


def identity(raw: bytes) -> int | None:
    """The id of a document, even where the rest of it cannot be read."""
    try:
        return _identities.decode(raw).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
