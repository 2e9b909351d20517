"""The file of a full export: which tables and columns it holds, in which form, with which words.

Everything is derived from the models, so that a new table is exported from its first day; what
is left out stands here with its reason. `docs/privacy.md` describes the format for its readers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from django.apps import apps
from django.contrib.postgres.fields import ArrayField
from django.db import models

from calqsync.tenancy.models import Tenant, User
from calqsync.tenancy.owned import TenantOwned

FORMAT, VERSION = "calqsync-export", 1
PEOPLE = "people.jsonl"
LEFT_OUT = {
    "integrations.Credential": "the key to the accounting system",
    "integrations.TokenRenewal": "a key to the accounting system on its way",
    "integrations.ConnectFlow": "a login at the accounting system on its way",
    "integrations.ErasedContact": "hashes that keep erased contacts from coming back",
    "integrations.StagedPage": "what a running import has read and not yet applied",
    "reporting.KeptSums": "sums from which the figures are brought up to date",
    "reporting.BooksChange": "what the next figures have to look at anew",
    "jobs.Job": "how our workers go about their work",
    "privacy.Export": "the list of these copies",
    "privacy.ExportPart": "these copies themselves",
}
COLUMNS_LEFT_OUT = {
    "tenancy.Tenant.data_key_id": "how the data are encrypted here",
    "tenancy.Tenant.data_key_wrapped": "the key that the data are encrypted with here",
    "tenancy.Tenant.key_encryption_key_id": "how the data are encrypted here",
    "tenancy.Invitation.token_hash": "what opens the invitation",
    "tenancy.ApiToken.token_hash": "what opens the company to a program",
}
# Sealed columns that go out as what they say; the others would be of no use to anybody.
DOCUMENTS = {"integrations.RawDocument": "body", "integrations.Rejection": "raw"}
_MONTHS = {"month", "first_month", "from_month", "to_month"}
_TYPES = {
    "BooleanField": "boolean",
    "DateField": "date",
    "DateTimeField": "timestamp",
    "DecimalField": "decimal",
    "JSONField": "json",
    "UUIDField": "uuid",
    "BinaryField": "hex",
}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name in the file, where it is read from, and what a reader must know."""

    name: str
    source: str
    type: str
    nullable: bool
    unit: str = ""
    references: str = ""

    def described(self) -> dict[str, Any]:
        told = {"name": self.name, "type": self.type, "nullable": self.nullable}
        told |= {"unit": self.unit} if self.unit else {}
        return told | ({"references": self.references} if self.references else {})


@dataclass(frozen=True, slots=True)
class Table:
    """One file of rows."""

    model: type[models.Model]
    path: str
    description: str
    columns: tuple[Column, ...]
    document: str = ""


class Keys:
    """Names for rows that mean something within one export only.

    Row numbers are shared by all companies and would tell how much the others do.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, path: str, row: int) -> str:
        said = f"{path}:{row}".encode()
        return hashlib.blake2b(said, digest_size=10, key=self._secret).hexdigest()


def tables() -> list[Table]:
    """Every exported table, in the order of the file."""
    owned = [m for m in apps.get_models() if issubclass(m, TenantOwned)]
    return [_table(model) for model in owned if model._meta.label not in LEFT_OUT]


def _table(model: type[models.Model]) -> Table:
    label = model._meta.label
    fields = [f for f in model._meta.concrete_fields if f.name != "tenant"]
    kept = [f for f in fields if f"{label}.{f.name}" not in COLUMNS_LEFT_OUT]
    return Table(
        model=model,
        path=_path(model),
        description=(model.__doc__ or "").strip().split("\n")[0],
        columns=tuple(_column(model, field) for field in kept),
        document=DOCUMENTS.get(label, ""),
    )


def _path(model: type[models.Model]) -> str:
    return f"{model._meta.app_label}/{model._meta.model_name}.jsonl"


def _column(model: type[models.Model], field: Any) -> Column:
    if field.primary_key:
        return Column("key", field.column, "key", nullable=False)
    if isinstance(field, models.ForeignKey):
        target: Any = field.related_model
        path = PEOPLE if target is User else _path(target)
        return Column(field.name, field.column, "key", field.null, references=path)
    if DOCUMENTS.get(model._meta.label) == field.name:
        return Column("document", field.column, "document", nullable=True)
    return Column(
        field.name, field.column, _type(field), field.null, unit=unit_of(model, field.name)
    )


def _type(field: Any) -> str:
    if isinstance(field, ArrayField):
        return "list of integers"
    kind = field.get_internal_type()
    return _TYPES.get(kind, "integer" if "Integer" in kind else "text")


def unit_of(model: type[models.Model], name: str) -> str:
    """What a number in this column counts."""
    if name.endswith("_acc_minor"):
        return "minor units of the accounting currency: currency of integrations/connection.jsonl"
    if name.endswith("_minor"):
        if model._meta.app_label == "reporting":
            return "minor units of the company's currency: currency of company.json"
        return "minor units of the currency that the row names"
    if name.endswith("_e4"):
        return "1/10 000 of a minor unit of the company's currency: currency of company.json"
    if name.endswith("_ms"):
        return "milliseconds"
    if name.endswith("_percent"):
        return "percent"
    if name in _MONTHS:
        return "months: year × 12 + month − 1"
    return ""


def encoder(table: Table, keys: Keys, opened: Callable[[Any], Any]) -> Callable[[Any], bytes]:
    """What turns a row, its values in the order of the columns, into one line of the file."""
    makers = [_maker(table, column, keys) for column in table.columns]
    names = [column.name for column in table.columns]
    encode = msgspec.json.Encoder(decimal_format="string").encode

    def line(row: Sequence[Any]) -> bytes:
        if table.document:
            row = opened(row)
        told = {
            name: None if value is None else make(value)
            for name, make, value in zip(names, makers, row, strict=True)
        }
        return encode(told) + b"\n"

    return line


def _maker(table: Table, column: Column, keys: Keys) -> Callable[[Any], Any]:
    if column.type == "key":
        path = column.references or table.path
        return lambda value: keys.of(path, value)
    if column.type == "json":
        return lambda value: msgspec.Raw(value.encode() if isinstance(value, str) else value)
    if column.type == "hex":
        return lambda value: bytes(value).hex()
    if column.type == "timestamp":
        return datetime.isoformat
    return lambda value: value


def company(tenant: Tenant) -> dict[str, Any]:
    """The company's own settings."""
    told = {}
    for field in Tenant._meta.concrete_fields:
        if field.primary_key or f"tenancy.Tenant.{field.name}" in COLUMNS_LEFT_OUT:
            continue
        told[field.name] = getattr(tenant, field.attname)
    return told


README = """\
A full copy of what CalqSync holds for one company.

company.json    the company's settings
people.jsonl    the people on its team
*/*.jsonl       one table each, one JSON object a line, in UTF-8
manifest.json   for each file: what it is, its columns with types, units and references, the
                number of rows, and the SHA-256 of its content

All files show the same instant: `as_of` in manifest.json.

key             names a row within this copy; another file refers to it by the same key
decimal         a number as text, so that no digit is lost
timestamp       ISO 8601 in UTC; a date is a day in the company's time zone
..._minor       whole minor units, such as cents; the manifest says of which currency
document        the document as the accounting system sent it, as text
start, end      half-open: `end` is the day after the last one (bank statements: both inclusive)

Keys and passwords are not in it. What is left out, and why, stands in manifest.json.
"""
