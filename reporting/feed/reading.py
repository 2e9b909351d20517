"""Rows of a query as chunks and integer columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from django.db import connection

from calqsync.tenancy import scope
from reporting.domain.arrays import Ints

CHUNK = 20_000


def chunks(sql: str, params: dict[str, Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Rows of a query on the tenant's tables, a chunk at a time."""
    with connection.chunked_cursor() as cursor:
        # Right after a first import the tables have no statistics yet, and the planner would
        # choose nested loops over whole tables: minutes instead of a second.
        with connection.cursor() as planner:
            planner.execute("SELECT set_config('enable_nestloop', 'off', true)")
        cursor.execute(sql, {"tenant": scope.required(), **params})
        while rows := cursor.fetchmany(CHUNK):
            yield rows


def table(chunks: list[Ints], width: int) -> Ints:
    return np.concatenate(chunks) if chunks else np.zeros((0, width), dtype=np.int64)
