"""JSON that the database only keeps."""

from __future__ import annotations

from typing import Any

import msgspec
from django.db import models


class JsonText(models.JSONField):
    """A document that no query looks into, stored as text.

    PostgreSQL takes apart what it stores as jsonb, sorts every object's keys and puts it together
    again for each reader, which costs several times what storing the text does.
    """

    def db_type(self, connection: Any) -> str:
        return "text"

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        return value if isinstance(value, str) else msgspec.json.encode(value).decode()
