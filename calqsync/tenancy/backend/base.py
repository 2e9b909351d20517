"""Django's PostgreSQL backend, told the tenant as the first statement of every transaction."""

from django.db.backends.postgresql import base

from calqsync.tenancy import scope


class DatabaseWrapper(base.DatabaseWrapper):
    def _set_autocommit(self, autocommit: bool) -> None:
        super()._set_autocommit(autocommit)  # type: ignore[misc]
        if not autocommit:
            with self.wrap_database_errors:
                scope.tell_new_transaction(self)
