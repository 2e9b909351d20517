"""Contacts whose data were erased: recognised in new documents by hashes, and left nameless.

A document that names one is blanked before it is read or kept; its digest stays that of what
Procountor sent, so that the same document is no news the next time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from calqsync.tenancy.secrets import Sealer
from integrations.models import ErasedContact
from integrations.models.runs import Stream
from integrations.procountor.documents import Document
from integrations.procountor.records import Record
from integrations.sync.values import normalised

R = TypeVar("R", bound=Record)
# What a partner's document and an invoice's counterparty say about who somebody is.
_BLANKED_PARTNER = ("billingAddress", "address", "invoicingInfo", "contactPersons", "notes")
_BLANKED_TEXT = ("notes", "additionalInformation", "orderReference", "buyersReference")
# Keys whose texts name a person; cities and countries are shared by too many.
_NAMING = (
    *("name", "specifier", "street", "contactPersonName", "email", "phone", "mobile"),
    "identifier",
)
_SHORTEST = 3
_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


def identity_mark(seal: Sealer, connection_id: int, identity: str) -> str:
    """Names one customer of one connection."""
    return seal.mark(f"identity|{connection_id}|{identity}")


def word_mark(seal: Sealer, word: str) -> str:
    """Names a name or an email address, however it is written."""
    return seal.mark(f"word|{normalised(word)}")


def tag_of(mark: str) -> str:
    """A short name that tells erased contacts apart."""
    return mark[:6].upper()


def neutral_name(tag: str) -> str:
    return f"Erased contact {tag}"


class Erased:
    """The erased contacts of a tenant; empty for nearly all of them, and then free."""

    def __init__(self, seal: Sealer, connection_id: int, tags: dict[str, str]) -> None:
        self._seal, self._connection_id, self._tags = seal, connection_id, tags
        # What the documents called them, for texts elsewhere; never stored.
        self.words: set[str] = set()

    @classmethod
    def of(cls, seal: Sealer, connection_id: int) -> Erased:
        """Those of the tenant in scope; needs a running transaction."""
        tags = dict(ErasedContact.objects.values_list("mark", "tag"))
        return cls(seal, connection_id, tags)

    def by_identity(self, identity: str) -> str | None:
        return self._tags.get(identity_mark(self._seal, self._connection_id, identity))

    def by_word(self, word: str) -> str | None:
        """Whose name or email address this is."""
        return self._tags.get(word_mark(self._seal, word)) if _names_somebody(word) else None

    def cleaned(self, stream: Stream, documents: Iterable[Document[R]]) -> list[Document[R]]:
        """The documents, with those of erased contacts blanked."""
        if not self._tags:
            return list(documents)
        return [self._clean(stream, document) for document in documents]

    def _clean(self, stream: Stream, document: Document[R]) -> Document[R]:
        raw = self.blanked(stream, document.raw)
        if raw is None:
            return document
        record = msgspec.json.decode(raw, type=type(document.record))
        return Document(document.external_id, raw, record, document.digest)

    def left(self, stream: str, raw: bytes) -> bytes:
        """What is left of a document, of which it need not be known that it is one."""
        if not self._tags:
            return raw
        try:
            return self.blanked(stream, raw) or raw
        except (msgspec.DecodeError, UnicodeDecodeError):
            return raw

    def blanked(self, stream: str, raw: bytes) -> bytes | None:
        """The document without the erased contacts that it names; None where it names none."""
        found = _decoder.decode(raw)
        if not isinstance(found, dict):
            return None
        changed = self._whole(stream, found)
        if not self._named(found) and not changed:
            return None
        return _encoder.encode(found)

    def _whole(self, stream: str, found: dict[str, Any]) -> bool:
        """Blank a register entry or the counterparty of an invoice; whether it was erased."""
        if stream == Stream.PARTNERS:
            tag = self.by_identity(f"p:{found.get('id')}") or self.by_word(_text(found, "name"))
            if tag is None:
                return False
            words = _words(found)
            for key in _BLANKED_PARTNER:
                found.pop(key, None)
            found["name"] = neutral_name(tag)
            self._replace(found, words, tag)
            return True
        if stream == Stream.INVOICES:
            return self._invoice(found)
        return False

    def _invoice(self, found: dict[str, Any]) -> bool:
        party = found.get("counterParty")
        party = party if isinstance(party, dict) else {}
        place = party.get("counterPartyAddress")
        place = place if isinstance(place, dict) else {}
        tag = self._party_tag(found, party, place)
        if tag is None:
            return False
        words = _words(party)
        found["counterParty"] = {"counterPartyAddress": {"name": neutral_name(tag)}}
        for key in (*_BLANKED_TEXT, "billingAddress", "deliveryAddress", "bankAccount"):
            found.pop(key, None)
        self._replace(found, words, tag)
        return True

    def _party_tag(
        self, found: dict[str, Any], party: dict[str, Any], place: dict[str, Any]
    ) -> str | None:
        business_id = re.sub(r"\s", "", _text(party, "identifier")).upper()
        identities = [
            f"p:{found['partnerId']}" if found.get("partnerId") is not None else "",
            f"b:{business_id}" if business_id else "",
            f"n:{_text(party, 'customerNumber').strip()}" if party.get("customerNumber") else "",
        ]
        named = [_text(place, "name"), _text(party, "contactPersonName"), _text(party, "email")]
        tags = [self.by_identity(one) for one in identities if one]
        return next((tag for tag in [*tags, *map(self.by_word, named)] if tag), None)

    def _named(self, found: Any) -> bool:
        """Blank what an erased contact is called anywhere inside; whether there was any."""
        if isinstance(found, list):
            return max(map(self._named, found), default=False)
        if not isinstance(found, dict):
            return False
        inside = max(map(self._named, found.values()), default=False)
        tags = [self.by_word(_text(found, key)) for key in _NAMING]
        if found.get("invoiceId") is not None:
            tags.append(self.by_identity(f"i:{found['invoiceId']}"))
        tag = next((one for one in tags if one), None)
        if tag is None:
            return inside
        self._replace(found, _words(found), tag)
        found.pop("accountNumber", None)  # beside a name, the person's own
        return True

    def _replace(self, found: dict[str, Any], words: set[str], tag: str) -> None:
        neutral = neutral_name(tag)
        words = {word for word in words if word != neutral}
        self.words |= words
        _replace_words(found, sorted(words, key=len, reverse=True), tag)


def _text(found: dict[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""


def _words(value: Any) -> set[str]:
    """What inside names somebody; codes too short to name anybody are left out."""
    if isinstance(value, list):
        return set().union(*map(_words, value))
    if not isinstance(value, dict):
        return set()
    found = set().union(*map(_words, value.values()))
    texts = (_text(value, key) for key in _NAMING)
    return found | {text.strip() for text in texts if _names_somebody(text)}


def _names_somebody(text: str) -> bool:
    return len(text.strip()) > _SHORTEST


def without_words(text: str, words: Iterable[str], tag: str) -> str:
    """The text with each of the words replaced by the neutral name."""
    for word in words:
        text = re.sub(re.escape(word), neutral_name(tag), text, flags=re.IGNORECASE)
    return text


def _replace_words(found: Any, words: Iterable[str], tag: str) -> None:
    """Replace the words in every text inside, in place."""
    items = found.items() if isinstance(found, dict) else enumerate(found)
    for key, value in list(items):
        if isinstance(value, str):
            found[key] = without_words(value, words, tag)
        elif isinstance(value, (dict, list)):
            _replace_words(value, words, tag)
