"""Cursors that copy the scope into each transaction, in front of the statement that needs it.

Row-level security reads settings that are local to a transaction. Sent along with the next
statement they cost no round trip of their own, and there is no statement that could run before
the transaction has heard of a change of scope. A transaction that is told nothing sees no row.
"""

from __future__ import annotations

import time
from typing import Any

from psycopg2 import extensions
from psycopg2.sql import Composable

from calqsync.tenancy import scope

_NOBODY = scope.NOBODY.settings("")
_LEVEL = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
_SETTINGS = (
    "SELECT set_config('app.tenant', {}, true), set_config('app.user', {}, true),"
    " set_config('app.token', {}, true);\n"
)


class Connection(extensions.connection):
    """A connection that knows what its running transaction was told."""

    alias = ""
    one_state = False
    """Whether the next transaction shall see the rows of one moment."""
    answered = float("-inf")
    """When the server last answered, by `time.monotonic`."""
    told: tuple[str, str, str] | None = _NOBODY
    """The settings of the running transaction; None where they have to be told anew."""

    def cursor(self, name: str | None = None, **options: Any) -> Any:  # type: ignore[override]
        kind = Cursor if name is None else NamedCursor
        return super().cursor(name, **{"cursor_factory": kind, **options})

    def untold(self) -> tuple[str, tuple[str, str, str]]:
        """(SQL that tells the running transaction what it has not heard yet, what it says)."""
        wanted = scope.current_settings(self.alias)
        if self.autocommit:  # row-level security shows nothing outside of transactions
            return "", wanted
        level = ""
        if self.status == extensions.STATUS_READY:  # the next statement begins a transaction
            self.told = _NOBODY
            level = _LEVEL if self.one_state else ""
        if wanted == self.told:
            return level, wanted
        return level + _SETTINGS.format(*map(_quoted, wanted)), wanted

    def tell(self) -> None:
        """Tell it now, for what cannot be sent along with the statement."""
        sql, wanted = self.untold()
        if sql:
            with super().cursor(cursor_factory=extensions.cursor) as cursor:
                cursor.execute(sql)
            self.told = wanted


class Cursor(extensions.cursor):
    """A cursor whose statements run in the scope of the code that sends them."""

    connection: Connection
    _before = 0

    def execute(self, query: Any, vars: Any = None) -> None:
        if isinstance(query, Composable):
            query = query.as_string(self)
        connection = self.connection
        if query.lstrip()[:8].upper() in ("ROLLBACK", b"ROLLBACK"):
            # To a savepoint, perhaps, and with it to what was told before that.
            connection.told = None
            super().execute(query, vars)
            return
        sql, wanted = connection.untold()
        self._before = len(sql)
        if sql:
            query = (sql if isinstance(query, str) else sql.encode()) + query
        super().execute(query, vars)
        # Not reached where it failed: nothing but a rollback can follow then.
        connection.told, connection.answered = wanted, time.monotonic()

    @property
    def query(self) -> bytes | None:
        """The last statement as it was sent, without what was sent along with it."""
        sent = super().query
        return sent[self._before :] if sent else sent

    def executemany(self, query: Any, vars_list: Any) -> None:
        self._tell()
        super().executemany(query, vars_list)

    def callproc(self, procname: str | bytes, *parameters: Any) -> Any:
        self._tell()
        return super().callproc(procname, *parameters)

    def copy_expert(self, *args: Any, **options: Any) -> None:
        self._tell()
        super().copy_expert(*args, **options)

    def copy_from(self, *args: Any, **options: Any) -> None:
        self._tell()
        super().copy_from(*args, **options)

    def copy_to(self, *args: Any, **options: Any) -> None:
        self._tell()
        super().copy_to(*args, **options)

    def _tell(self) -> None:
        self._before = 0
        self.connection.tell()


class NamedCursor(extensions.cursor):
    """A cursor of the server, which reads rows when they are fetched."""

    connection: Connection

    def execute(self, query: Any, vars: Any = None) -> None:
        self.connection.tell()
        super().execute(query, vars)

    def scroll(self, *args: Any, **options: Any) -> None:
        self.connection.tell()
        super().scroll(*args, **options)

    def fetchone(self) -> Any:
        self.connection.tell()
        return super().fetchone()

    def fetchmany(self, size: int | None = None) -> Any:
        self.connection.tell()
        return super().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> Any:
        self.connection.tell()
        return super().fetchall()

    def __next__(self) -> Any:
        self.connection.tell()
        return super().__next__()


def _quoted(value: str) -> str:
    return str(extensions.QuotedString(value))
