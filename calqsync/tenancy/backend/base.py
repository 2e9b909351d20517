"""Django's PostgreSQL backend, whose transactions are told the scope (`cursors`)."""

import select
import time
from typing import Any

from django.db.backends.postgresql import base
from psycopg2.extensions import TRANSACTION_STATUS_IDLE

from calqsync.tenancy import scope
from calqsync.tenancy.backend.cursors import Connection

# For so many seconds no network between the two forgets a connection that was in use.
ANSWERED = 10.0


class DatabaseWrapper(base.DatabaseWrapper):
    def get_connection_params(self) -> dict[str, Any]:
        params = {"connection_factory": Connection, **super().get_connection_params()}
        # A connection makes its own cursors.
        del params["cursor_factory"]
        return params

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        made = super().get_new_connection(conn_params)
        made.alias = self.alias
        return made

    def is_usable(self) -> bool:
        """Whether the server is still there; not asked where it answered a moment ago.

        A server that has ended since then closed the connection, which can be read by now.
        """
        raw, lately = self.connection, time.monotonic() - ANSWERED
        if raw is not None and not raw.closed and raw.answered > lately:
            poll = select.poll()
            poll.register(raw.fileno(), select.POLLIN)
            # One in a transaction of somebody's own is asked: it may have failed.
            if raw.info.transaction_status == TRANSACTION_STATUS_IDLE and not poll.poll(0):
                return True
        return bool(super().is_usable())

    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if not autocommit:
            self.connection.one_state = scope.is_one_state()
