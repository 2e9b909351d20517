"""Encryption at rest: AES-256-GCM, one data key per tenant, bound to the row it protects.

A data key is wrapped by a key-encryption key that lives outside the database
(``ENCRYPTION_KEYS``: ``id:base64`` pairs, the first one current). Ciphertext is
``version | data key id | nonce | ciphertext and tag``. The associated data name tenant,
connection and field, so that a value copied to another row does not decrypt. Destroying a
tenant's wrapped key makes its secrets and raw documents unreadable, in backups too.
"""

from __future__ import annotations

import base64
import os
import uuid
from functools import lru_cache

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from calqsync.tenancy.logs import remember_secret

_VERSION = b"\x01"
_NONCE = 12


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


def check_configuration() -> None:
    """Raise ImproperlyConfigured unless every key-encryption key is usable."""
    _key_encryption_keys(settings.ENCRYPTION_KEYS)


def new_data_key() -> tuple[uuid.UUID, bytes, str]:
    """A fresh tenant key: its id, the key wrapped for storage, the wrapping key's id."""
    keys = _key_encryption_keys(settings.ENCRYPTION_KEYS)
    wrapping_id = next(iter(keys))
    key_id, nonce = uuid.uuid4(), os.urandom(_NONCE)
    sealed = AESGCM(keys[wrapping_id]).encrypt(nonce, os.urandom(32), key_id.bytes)
    return key_id, nonce + sealed, wrapping_id


class Sealer:
    """Seals and opens values of one tenant; holds the unwrapped key, so keep it short-lived."""

    def __init__(self, *, tenant_id: int, key_id: uuid.UUID, wrapped: bytes, wrapped_by: str):
        keys = _key_encryption_keys(settings.ENCRYPTION_KEYS)
        if wrapped_by not in keys:
            raise SecretUnreadable(f"key-encryption key {wrapped_by} is not configured")
        try:
            key = AESGCM(keys[wrapped_by]).decrypt(wrapped[:_NONCE], wrapped[_NONCE:], key_id.bytes)
        except InvalidTag:
            raise SecretUnreadable("the tenant's key does not unwrap") from None
        self._tenant_id, self._key_id, self._aes = tenant_id, key_id, AESGCM(key)

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

    def _bound_to(self, connection_id: int, field: str) -> bytes:
        return f"1|tenant={self._tenant_id}|connection={connection_id}|field={field}".encode()


def sealer() -> Sealer:
    """The sealer of the tenant in scope; raises NoTenant without one."""
    from calqsync.tenancy import scope
    from calqsync.tenancy.models import Tenant

    tenant = Tenant.objects.only("data_key_id", "data_key_wrapped", "key_encryption_key_id").get(
        pk=scope.required()
    )
    return Sealer(
        tenant_id=tenant.pk,
        key_id=tenant.data_key_id,
        wrapped=bytes(tenant.data_key_wrapped),
        wrapped_by=tenant.key_encryption_key_id,
    )
