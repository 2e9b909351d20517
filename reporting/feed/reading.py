"""Rows of a query as chunks and integer columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from django.db import connection

from calqsync.tenancy import scope
from reporting.domain.arrays import Ints

CHUNK = 20_000


def plan_for_whole_tables() -> None:
    """Have the transaction's queries planned for reading everything.

    Right after a first import the database has no statistics yet, and for a cursor it prefers
    a quick first row to a quick last one: both lead to loops over loops.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('cursor_tuple_fraction', '1', true),"
            " set_config('enable_nestloop', 'off', true)"
        )


def chunks(sql: str, params: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query on the tenant's tables, a chunk at a time."""
    with connection.chunked_cursor() as cursor:
        cursor.execute(sql, {"tenant": scope.required(), **params})
        while rows := cursor.fetchmany(CHUNK):
            yield rows


def table(chunks: list[Ints], width: int) -> Ints:
    return np.concatenate(chunks) if chunks else np.zeros((0, width), dtype=np.int64)
