"""Encryption at rest: AES-256-GCM, one data key per tenant, bound to the row it protects.

A data key is wrapped by a key-encryption key that lives outside the database
(``ENCRYPTION_KEYS``: ``id:base64`` pairs, the first one current). Ciphertext is
``version | data key id | nonce | ciphertext and tag``. The associated data name tenant,
connection and field, so that a value copied to another row does not decrypt. Destroying a
tenant's wrapped key makes its secrets and raw documents unreadable, in backups too.
"""

from __future__ import annotations

import base64
import hmac
import os
import re
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection, transaction

from calqsync.tenancy.logs import remember_secret

if TYPE_CHECKING:
    from calqsync.tenancy.models import Tenant

_VERSION = b"\x01"
_NONCE = 12
_NAME = re.compile(r"[\w-]{1,20}")
# How a person's secret is stored: version, wrapping key's id, nonce and ciphertext.
_PERSONAL = re.compile(r"v1:([\w-]{1,20}):([\w+/=]+)")
_PERSONAL_BOUND_TO = b"1|person"


class SecretUnreadable(Exception):
    """A stored secret does not decrypt: wrong key, moved row, or damage."""

    advice = "Reconnect the account: its stored key can no longer be read."


@lru_cache
def _key_encryption_keys(configured: str) -> dict[str, bytes]:
    keys: dict[str, bytes] = {}
    try:
        for pair in configured.split(","):
            name, encoded = pair.strip().split(":", 1)
            keys[name] = base64.b64decode(encoded, validate=True)
    except ValueError:
        raise ImproperlyConfigured("ENCRYPTION_KEYS is a list of id:base64 pairs") from None
    if not keys or any(len(key) != 32 for key in keys.values()):
        raise ImproperlyConfigured("ENCRYPTION_KEYS holds keys of 32 bytes, base64 encoded")
    return keys


def configured_keys() -> dict[str, bytes]:
    """The key-encryption keys by id, the current one first."""
    return _key_encryption_keys(settings.ENCRYPTION_KEYS)


def current_key_id() -> str:
    """The id of the key that wraps whatever is new."""
    return next(iter(configured_keys()))


def check_configuration() -> None:
    """Raise ImproperlyConfigured unless every key-encryption key is usable."""
    for name, key in configured_keys().items():
        remember_secret(base64.b64encode(key).decode(), for_good=True)
        if not _NAME.fullmatch(name):
            raise ImproperlyConfigured("A key's id in ENCRYPTION_KEYS is 1 to 20 letters or digits")


def refuse_wrong_keys() -> None:
    """Raise ImproperlyConfigured unless the keys are those that stored secrets were sealed with.

    Every process calls this as it starts: with another key under a known id, or without a key
    that was not retired, it would store what others cannot read.
    """
    keys = configured_keys()
    with transaction.atomic():
        if not _migrated():
            return
        for name, key in keys.items():
            _known(name, key)
        rows = _rows()
        known = dict(rows.values_list("name", "retired_at"))
    absent = sorted(name for name, retired in known.items() if not retired and name not in keys)
    if absent:
        raise ImproperlyConfigured(
            f"ENCRYPTION_KEYS lacks {', '.join(absent)}, which stored secrets may need: add it, or"
            " retire it where it is still configured (manage.py secrets retire)."
        )
    if known[current_key_id()]:
        raise ImproperlyConfigured(
            f"The key {current_key_id()} is retired: put another one first in ENCRYPTION_KEYS."
        )


def exit_on_wrong_keys() -> None:
    """As `refuse_wrong_keys`, but ends the process: Celery's signals swallow what is raised."""
    try:
        refuse_wrong_keys()
    except ImproperlyConfigured as problem:
        raise SystemExit(str(problem)) from None


def _rows() -> Any:
    from calqsync.tenancy.models import KeyEncryptionKey

    return KeyEncryptionKey.objects


def _migrated() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('tenancy_keyencryptionkey') IS NOT NULL")
        return bool(cursor.fetchone()[0])


def _known(name: str, key: bytes) -> None:
    """Raise ImproperlyConfigured if another key is known under this id; note a new one.

    The row stays shared until the transaction ends, so that the key cannot be retired between
    this and what is sealed with it.
    """
    found = _shared(name)
    if found is None:
        nonce = os.urandom(_NONCE)
        value = nonce + AESGCM(key).encrypt(nonce, b"", name.encode())
        _rows().bulk_create([_rows().model(name=name, check_value=value)], ignore_conflicts=True)
        found = _shared(name)
        assert found is not None
    try:
        AESGCM(key).decrypt(found[:_NONCE], found[_NONCE:], name.encode())
    except InvalidTag:
        raise ImproperlyConfigured(
            f"ENCRYPTION_KEYS holds another key under the id {name} than the one that stored"
            " secrets were sealed with: restore that key, or give the new one an id of its own."
        ) from None


def _shared(name: str) -> bytes | None:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT check_value FROM tenancy_keyencryptionkey WHERE name = %s FOR SHARE", [name]
        )
        row = cursor.fetchone()
    return bytes(row[0]) if row else None


@transaction.atomic
def _current() -> tuple[str, bytes]:
    """The key for whatever is new, which cannot be retired before the transaction ends."""
    name, key = next(iter(configured_keys().items()))
    _known(name, key)
    if _rows().filter(name=name).exclude(retired_at=None).exists():
        raise ImproperlyConfigured(f"The key {name} is retired and seals nothing new.")
    return name, key


def new_data_key() -> tuple[uuid.UUID, bytes, str]:
    """A fresh tenant key: its id, the key wrapped for storage, the wrapping key's id."""
    wrapping_id, wrapping_key = _current()
    key_id, nonce = uuid.uuid4(), os.urandom(_NONCE)
    sealed = AESGCM(wrapping_key).encrypt(nonce, os.urandom(32), key_id.bytes)
    return key_id, nonce + sealed, wrapping_id


def rewrap(*, key_id: uuid.UUID, wrapped: bytes, wrapped_by: str) -> tuple[bytes, str]:
    """The same data key wrapped by the current key, and that key's id."""
    data_key = _unwrapped(key_id=key_id, wrapped=wrapped, wrapped_by=wrapped_by)
    wrapping_id, wrapping_key = _current()
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(wrapping_key).encrypt(nonce, data_key, key_id.bytes), wrapping_id


def _unwrapped(*, key_id: uuid.UUID, wrapped: bytes, wrapped_by: str) -> bytes:
    keys = configured_keys()
    if not wrapped:
        raise SecretUnreadable("the tenant's key was destroyed")
    if wrapped_by not in keys:
        raise SecretUnreadable(f"key-encryption key {wrapped_by} is not configured")
    try:
        return AESGCM(keys[wrapped_by]).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], key_id.bytes)
    except (InvalidTag, ValueError):
        raise SecretUnreadable("the tenant's key does not unwrap") from None


class Sealer:
    """Seals and opens values of one tenant; holds the unwrapped key, so keep it short-lived."""

    def __init__(self, *, tenant_id: int, key_id: uuid.UUID, wrapped: bytes, wrapped_by: str):
        key = _unwrapped(key_id=key_id, wrapped=wrapped, wrapped_by=wrapped_by)
        self._tenant_id, self._key_id, self._aes = tenant_id, key_id, AESGCM(key)
        self._mark_key = hmac.digest(key, b"calqsync marks", "sha256")

    def seal(self, plaintext: bytes, *, connection_id: int, field: str) -> bytes:
        nonce = os.urandom(_NONCE)
        sealed = self._aes.encrypt(nonce, plaintext, self._bound_to(connection_id, field))
        return _VERSION + self._key_id.bytes + nonce + sealed

    def open(self, sealed: bytes, *, connection_id: int, field: str) -> bytes:
        """The plaintext; raises SecretUnreadable for any other row, field, key or damage."""
        sealed = bytes(sealed)
        if sealed[:1] != _VERSION or sealed[1:17] != self._key_id.bytes:
            raise SecretUnreadable("sealed under another key or format")
        try:
            return self._aes.decrypt(
                sealed[17 : 17 + _NONCE],
                sealed[17 + _NONCE :],
                self._bound_to(connection_id, field),
            )
        except (InvalidTag, ValueError):
            raise SecretUnreadable("the value does not belong to this row") from None

    def seal_text(self, secret: str, *, connection_id: int, field: str) -> bytes:
        remember_secret(secret)
        return self.seal(secret.encode(), connection_id=connection_id, field=field)

    def open_text(self, sealed: bytes, *, connection_id: int, field: str) -> str:
        """As `open`; the value is also remembered so that no log sink ever prints it."""
        secret = self.open(sealed, connection_id=connection_id, field=field).decode()
        remember_secret(secret)
        return secret

    def mark(self, text: str) -> str:
        """A hash that only this tenant's key can make: to know a thing again without keeping it."""
        return hmac.digest(self._mark_key, text.encode(), "sha256").hex()

    def _bound_to(self, connection_id: int, field: str) -> bytes:
        return f"1|tenant={self._tenant_id}|connection={connection_id}|field={field}".encode()


def sealer() -> Sealer:
    """The sealer of the tenant in scope; raises NoTenant without one."""
    from calqsync.tenancy import scope
    from calqsync.tenancy.models import Tenant

    only = Tenant.objects.only("data_key_id", "data_key_wrapped", "key_encryption_key_id")
    return sealer_of(only.get(pk=scope.required()))


def sealer_of(tenant: Tenant) -> Sealer:
    """The sealer of a tenant whose row is at hand; raises SecretUnreadable once it is erased."""
    return Sealer(
        tenant_id=tenant.pk,
        key_id=tenant.data_key_id,
        wrapped=bytes(tenant.data_key_wrapped),
        wrapped_by=tenant.key_encryption_key_id,
    )


def seal_for_person(secret: str) -> str:
    """A secret of a person's sign-in as text, sealed by the current key-encryption key.

    A person belongs to no one tenant, so no tenant's key fits.
    """
    remember_secret(secret)
    name, key = _current()
    nonce = os.urandom(_NONCE)
    sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), _PERSONAL_BOUND_TO)
    return f"v1:{name}:{base64.b64encode(sealed).decode()}"


def open_for_person(sealed: str) -> str:
    """The secret again; raises SecretUnreadable."""
    name = wrapped_for_person_by(sealed)
    keys = configured_keys()
    if name not in keys:
        raise SecretUnreadable(f"key-encryption key {name or '(none)'} is not configured")
    try:
        raw = base64.b64decode(sealed.rsplit(":", 1)[1], validate=True)
        plain = AESGCM(keys[name]).decrypt(raw[:_NONCE], raw[_NONCE:], _PERSONAL_BOUND_TO)
    except (InvalidTag, ValueError):
        raise SecretUnreadable("a person's secret is damaged") from None
    secret = plain.decode()
    remember_secret(secret)
    return secret


def wrapped_for_person_by(sealed: str) -> str:
    """The id of the key that a person's secret needs; "" for what is no such secret."""
    found = _PERSONAL.fullmatch(sealed)
    return found[1] if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedColumn:
    """A column of sealed values, and what each of them is bound to.

    `needs` are the columns that `connection_id` and `field` read. Of `bulky` columns a check
    opens a sample unless it is asked for all.
    """

    model: Any
    column: str
    connection_id: Callable[[Any], int]
    field: Callable[[Any], str]
    needs: tuple[str, ...] = ()
    bulky: bool = False


_columns: list[SealedColumn] = []


def sealed_column(
    model: Any,
    column: str,
    *,
    connection_id: Callable[[Any], int] = lambda row: row.connection_id,
    field: Callable[[Any], str] | str,
    needs: tuple[str, ...] = ("connection_id",),
    bulky: bool = False,
) -> None:
    """Make a column known to `manage.py secrets check`; called by the room that seals it."""
    named = field if callable(field) else (lambda row, name=field: name)
    _columns.append(
        SealedColumn(
            model=model,
            column=column,
            connection_id=connection_id,
            field=named,
            needs=needs,
            bulky=bulky,
        )
    )


def sealed_columns() -> list[SealedColumn]:
    """Every column that holds sealed values of tenants."""
    return list(_columns)
