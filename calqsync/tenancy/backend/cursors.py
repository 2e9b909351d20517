"""Cursors that copy the scope into each transaction, in front of the statement that needs it.

Row-level security reads settings that are local to a transaction. Sent along with the next
statement they cost no round trip of their own, and there is no statement that could run before
the transaction has heard of a change of scope. A transaction that is told nothing sees no row.
A COMMIT is told nothing: what it runs (foreign keys) asks no policy, and triggers are forbidden.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Any

from psycopg2 import extensions

from calqsync.tenancy import scope

Settings = tuple[str, str, str]
_NOBODY: Settings = scope.NOBODY.settings("")
_LEVEL = b"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ;"
_SETTINGS = (
    b"SELECT set_config('app.tenant', %b, true), set_config('app.user', %b, true),"
    b" set_config('app.token', %b, true);\n"
)


class Connection(extensions.connection):
    """A connection that knows what its running transaction was told."""

    alias = ""
    one_state = False
    """Whether the next transaction shall see the rows of one moment."""
    answered = float("-inf")
    """When the server last answered, by `time.monotonic`."""
    told: Settings | None = _NOBODY
    """The settings of the running transaction; None where they have to be told anew."""

    def cursor(self, name: str | None = None, **options: Any) -> Any:  # type: ignore[override]
        """A cursor that tells; raises TypeError for what would read in a scope of another time."""
        if "cursor_factory" in options or (options.get("withhold") and not self.autocommit):
            raise TypeError("cursors of other kinds, and beyond a commit, would not be told")
        kind = Cursor if name is None else NamedCursor
        return super().cursor(name, cursor_factory=kind, **options)

    def untold(self) -> tuple[bytes, Settings]:
        """(SQL that tells the running transaction what it has not heard yet, what it says)."""
        wanted = scope.current_settings(self.alias)
        if self.autocommit:  # row-level security shows nothing outside of transactions
            return b"", wanted
        level = b""
        if self.status == extensions.STATUS_READY:  # the next statement begins a transaction
            self.told = _NOBODY
            level = _LEVEL if self.one_state else b""
        if wanted == self.told:
            return level, wanted
        return level + _SETTINGS % tuple(map(self._quoted, wanted)), wanted

    def tell(self) -> None:
        """Tell it now, for what cannot be sent along with the statement."""
        sql, wanted = self.untold()
        if sql:
            self.told = None
            with super().cursor(cursor_factory=extensions.cursor) as cursor:
                cursor.execute(sql)
            self.told = wanted

    def _quoted(self, value: str) -> bytes:
        quoted = extensions.QuotedString(value)
        quoted.prepare(self)
        return quoted.getquoted()


class _Telling(extensions.cursor):
    """What tells by a statement of its own, in both kinds of cursors."""

    connection: Connection

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
        self.connection.tell()


class Cursor(_Telling):
    """A cursor whose statements run in the scope of the code that sends them."""

    _before = 0

    def execute(self, query: Any, vars: Any = None) -> None:
        # First, because a value that is adapted could ask something in another scope.
        query = self.mogrify(query, vars)
        connection = self.connection
        if query.lstrip()[:8].upper() == b"ROLLBACK" or not query.strip():
            sql, wanted = b"", None  # a failed transaction takes nothing in front of it
        else:
            sql, wanted = connection.untold()
        self._before = len(sql)
        # Unknown until the answer is read: an exception of a signal may come between.
        connection.told = None
        super().execute(sql + query if sql else query)
        connection.answered = time.monotonic()
        # Back to a savepoint, perhaps, and with it to what was told before that.
        connection.told = None if self.statusmessage == "ROLLBACK" else wanted

    def executemany(self, query: Any, vars_list: Iterable[Any]) -> None:
        for values in vars_list:
            self.execute(query, values)

    def callproc(self, procname: str | bytes, *parameters: Any) -> Any:
        self._tell()
        return super().callproc(procname, *parameters)

    @property
    def query(self) -> bytes | None:
        """The last statement as it was asked, without what was sent along with it."""
        sent = super().query
        return sent[self._before :] if sent else sent

    def _tell(self) -> None:
        self._before = 0
        super()._tell()


class NamedCursor(_Telling):
    """A cursor of the server, which reads rows when they are fetched."""

    def execute(self, query: Any, vars: Any = None) -> None:
        query = self.mogrify(query, vars)
        self._tell()
        super().execute(query)

    def scroll(self, *args: Any, **options: Any) -> None:
        self._tell()
        super().scroll(*args, **options)

    def fetchone(self) -> Any:
        self._tell()
        return super().fetchone()

    def fetchmany(self, size: int | None = None) -> Any:
        self._tell()
        return super().fetchmany(self.arraysize if size is None else size)

    def fetchall(self) -> Any:
        self._tell()
        return super().fetchall()

    def __next__(self) -> Any:
        self._tell()
        return super().__next__()
