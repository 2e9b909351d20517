"""Whatever is sent to the database, and however, runs in the scope of the code that sends it."""

import io
import re
from pathlib import Path

import pytest
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from psycopg2 import ProgrammingError, extensions, sql
from psycopg2.extras import DictCursor

from calqsync.tenancy import scope
from calqsync.tenancy.backend import base
from calqsync.tenancy.backend.cursors import Cursor, NamedCursor
from integrations.models import Connection

pytestmark = pytest.mark.django_db(transaction=True)

NAMES = "SELECT name FROM integrations_connection ORDER BY 1"


def cursor(**options):
    """A cursor of the driver, past Django's own."""
    connection.ensure_connection()
    return connection.connection.cursor(**options)


def seen(query=NAMES):
    with cursor() as one:
        one.execute(query)
        return [row[0] for row in one.fetchall()]


def copied():
    out = io.StringIO()
    with cursor() as one:
        one.copy_expert(f"COPY ({NAMES}) TO STDOUT", out)
    return out.getvalue().split()


def changed():
    """What `executemany` changes is what it sees."""
    with cursor() as one:
        one.executemany("UPDATE integrations_connection SET company_name = %s", [("seen",)])
    return seen("SELECT name FROM integrations_connection WHERE company_name = 'seen'")


def fetched(how):
    def way():
        with cursor(name="rows") as one:
            one.execute(NAMES)
            return [row[0] for row in how(one)]

    return way


WAYS = {
    "text": seen,
    "bytes": lambda: seen(NAMES.encode()),
    "composed": lambda: seen(sql.SQL(NAMES)),
    "executemany": changed,
    "copy_expert": copied,
    "fetchall": fetched(lambda one: one.fetchall()),
    "fetchmany": fetched(lambda one: one.fetchmany(5)),
    "fetchone": fetched(lambda one: [one.fetchone()]),
    "iteration": fetched(list),
    "iterator": lambda: [row.name for row in Connection.unscoped.iterator()],
}
# What the driver's cursors have beside ways to send something.
SILENT = {"cast", "close", "mogrify", "nextset", "setinputsizes", "setoutputsize"}
# Of cursors of the server alone; other ones have read all rows before.
FETCHING = {"fetchone", "fetchmany", "fetchall", "__next__", "scroll"}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_send_a_statement_is_told_the_scope_that_just_began(both, way):
    for tenant, own in ((both.a, "A"), (both.b, "B")):
        with scope.tenant(tenant), transaction.atomic():
            assert WAYS[way]() == [own]
    with scope.tenant(both.a), transaction.atomic():
        assert seen() == ["A"]
        with scope.tenant(both.b):
            assert WAYS[way]() == ["B"]


def test_a_called_function_is_told_the_scope(both):
    for tenant in (both.a, both.b):
        with scope.tenant(tenant), transaction.atomic(), cursor() as one:
            one.callproc("current_setting", ["app.tenant", True])
            assert one.fetchone() == (str(tenant),)


def test_copying_a_table_is_told_the_scope(both):
    columns = "tenant text DEFAULT current_setting('app.tenant'), said text"
    with scope.tenant(both.a), transaction.atomic(), cursor() as one:
        one.execute(f"CREATE TEMPORARY TABLE told ({columns}) ON COMMIT DROP")
        with scope.tenant(both.b):
            one.copy_from(io.StringIO("x\n"), "told", columns=["said"])
        assert seen("SELECT tenant FROM told") == [str(both.b)]
        with scope.tenant(both.b):
            one.copy_to(io.StringIO(), "told")
            # Past the cursors that tell: what the transaction was told by then.
            with extensions.connection.cursor(
                connection.connection, cursor_factory=extensions.cursor
            ) as bare:
                bare.execute("SELECT current_setting('app.tenant')")
                assert bare.fetchone() == (str(both.b),)


def test_no_way_of_the_driver_to_send_a_statement_is_left_as_it_was():
    methods = {
        name
        for name, value in vars(extensions.cursor).items()
        if callable(value) and (not name.startswith("_") or name == "__next__")
    }
    assert len(methods) > 10
    assert methods - SILENT - FETCHING <= ours(Cursor)
    # Which the driver refuses to a cursor of the server.
    refused = {"callproc", "executemany"}
    assert methods - SILENT - refused <= ours(NamedCursor)


def ours(kind):
    """The methods that a kind of cursor does not leave to the driver."""
    between = kind.__mro__[: kind.__mro__.index(extensions.cursor)]
    return {name for one in between for name in vars(one)}


def test_what_the_driver_refuses_to_a_cursor_of_the_server_is_still_refused(both):
    with scope.tenant(both.a), transaction.atomic(), cursor(name="rows") as one:
        with pytest.raises(ProgrammingError):
            one.callproc("now")
        with pytest.raises(ProgrammingError):
            one.executemany("SELECT %s", [(1,)])


@pytest.mark.parametrize(
    "options", [{"cursor_factory": DictCursor}, {"name": "rows", "withhold": True}]
)
def test_a_cursor_that_would_not_be_told_is_refused(both, options):
    with scope.tenant(both.a), transaction.atomic(), pytest.raises(TypeError):
        cursor(**options)


def test_no_module_but_the_backend_makes_cursors_of_the_driver():
    root = Path(__file__).parents[2]
    rooms = ("calqsync", "billing", "integrations", "reporting")
    files = [file for room in rooms for file in (root / room).rglob("*.py")]
    assert len(files) > 100
    made = re.compile(r"\bextensions\.cursor|cursor_factory|import cursor\b")
    found = {str(file.relative_to(root)) for file in files if made.search(file.read_text())}
    assert found == {f"calqsync/tenancy/backend/{name}.py" for name in ("base", "cursors")}


def test_a_cursor_of_the_server_reads_in_the_scope_of_who_fetches(both):
    """Policies read the settings when the first row is fetched, not when the query is sent."""
    with scope.tenant(both.a), transaction.atomic(), cursor(name="rows") as one:
        one.execute(NAMES)
        with scope.tenant(both.b):
            assert seen() == ["B"]
        assert one.fetchall() == [("A",)]


def test_what_a_savepoint_undoes_is_told_anew(both):
    with scope.tenant(both.a), transaction.atomic():
        savepoint = transaction.savepoint()
        with scope.tenant(both.b):
            assert seen() == ["B"]
            transaction.savepoint_rollback(savepoint)
            assert seen() == ["B"]
        assert seen() == ["A"]


@pytest.mark.parametrize(
    "said",
    ["rollback to s", " ROLLBACK TO s", "/* back */ ROLLBACK TO s", "SELECT 1; ROLLBACK TO s"],
)
def test_a_rollback_is_noticed_however_it_is_written(both, said):
    with scope.tenant(both.a), transaction.atomic(), cursor() as one:
        one.execute("SAVEPOINT s")
        with scope.tenant(both.b):
            assert seen() == ["B"]
            one.execute(said)
            assert seen() == ["B"]


class Interrupted(Exception):
    """What a signal raises while an answer is read."""


def test_what_ended_before_its_answer_was_read_is_told_anew(both):
    with scope.tenant(both.a), transaction.atomic():
        assert seen() == ["A"]
        with scope.tenant(both.b), cursor() as one:
            asking = OneThatIsInterrupted(one.connection)
            with pytest.raises(Interrupted):
                asking.execute(NAMES)
        assert seen() == ["A"]


class OneThatIsInterrupted(Cursor):
    @property
    def statusmessage(self):
        """What is looked at once the server has answered."""
        raise Interrupted


def test_what_a_value_asks_while_it_is_adapted_stays_in_its_own_scope(both):
    class Asks:
        def __conform__(self, _protocol):
            with scope.tenant(both.b):
                return extensions.QuotedString(seen()[0])

    with scope.tenant(both.a), transaction.atomic(), cursor() as one:
        assert seen() == ["A"]
        one.execute("SELECT name, %s FROM integrations_connection", [Asks()])
        assert one.fetchall() == [("A", "B")]
        one.executemany("UPDATE integrations_connection SET company_name = %s", [[Asks()]])
        assert seen("SELECT company_name FROM integrations_connection") == ["B"]
    with scope.tenant(both.b), transaction.atomic():
        assert seen("SELECT company_name FROM integrations_connection") == ["B"]


def test_what_a_row_asks_before_it_is_written_stays_in_its_own_scope(both):
    def rows():
        with scope.tenant(both.b):
            asked = seen()[0]
        yield [f"from {asked}"]

    with scope.tenant(both.a), transaction.atomic(), cursor() as one:
        one.executemany("UPDATE integrations_connection SET company_name = %s", rows())
        assert seen("SELECT company_name FROM integrations_connection") == ["from B"]
    with scope.tenant(both.b), transaction.atomic():
        assert seen("SELECT company_name FROM integrations_connection") == ["B"]


def test_an_empty_statement_is_refused_in_every_scope(both):
    with scope.tenant(both.a), transaction.atomic(), cursor() as one:
        with pytest.raises(ProgrammingError):
            one.execute("  ")
        transaction.set_rollback(True)


def test_what_a_failed_statement_undoes_is_told_anew(both):
    with scope.tenant(both.a), transaction.atomic():
        fails = pytest.raises(Exception, match="division by zero")
        with fails, transaction.atomic(), scope.tenant(both.b):
            seen("SELECT 1 / 0")
        with scope.tenant(both.b):
            assert seen() == ["B"]


def test_one_state_holds_from_the_first_statement_of_its_transaction_alone(both):
    def level():
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_setting('transaction_isolation')")
            return cursor.fetchone()[0]

    with scope.one_state(), transaction.atomic():
        pass
    with transaction.atomic():
        assert level() == "read committed"
    with scope.one_state(), transaction.atomic():
        assert level() == "repeatable read"
        assert level() == "repeatable read"
    with transaction.atomic(), scope.one_state():
        assert level() == "read committed"


def test_a_query_that_is_looked_at_is_the_one_that_was_sent(both):
    captured = CaptureQueriesContext(connection)
    with scope.tenant(both.a), transaction.atomic(), captured, connection.cursor() as one:
        one.execute("SELECT %s", ["sent"])
    assert [query["sql"] for query in captured.captured_queries] == ["SELECT 'sent'"]


class TestAServerThatIsGone:
    @pytest.fixture
    def ended(self, both, truth):
        """The connection answered a moment ago, and its server has ended it since."""
        with scope.tenant(both.a), transaction.atomic():
            assert Connection.objects.count() == 1
        pid = connection.connection.info.backend_pid
        truth.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])

    def test_is_seen_before_the_next_request_asks_it(self, both, ended):
        assert not connection.is_usable()

    def test_is_followed_by_a_new_connection(self, both, ended):
        connection.close_if_unusable_or_obsolete()
        with scope.tenant(both.b), transaction.atomic():
            assert [row.name for row in Connection.objects.all()] == ["B"]

    def test_is_asked_where_a_transaction_of_somebody_s_own_has_failed(self, both):
        with connection.cursor() as one:
            one.execute("BEGIN")
            with pytest.raises(Exception, match="division by zero"):
                one.execute("SELECT 1 / 0")
        assert not connection.is_usable()

    def test_is_asked_where_it_has_not_answered_for_a_while(self, both, monkeypatch):
        with scope.tenant(both.a), transaction.atomic():
            assert Connection.objects.count() == 1
        asked = []
        monkeypatch.setattr(base.base.DatabaseWrapper, "is_usable", lambda _self: asked.append(1))
        connection.is_usable()
        assert asked == []
        connection.connection.answered -= base.ANSWERED
        connection.is_usable()
        assert asked == [1]


def test_a_transaction_that_has_failed_takes_no_statement_in_another_scope(both):
    with scope.tenant(both.a), transaction.atomic():
        with pytest.raises(Exception, match="division by zero"):
            seen("SELECT 1 / 0")
        with scope.tenant(both.b), pytest.raises(Exception, match="aborted"):
            seen()
        transaction.set_rollback(True)
    with scope.tenant(both.b), transaction.atomic():
        assert seen() == ["B"]


def test_a_lost_connection_raises_and_tells_nobody(both, truth):
    def work():
        with scope.tenant(both.a), transaction.atomic():
            assert Connection.objects.count() == 1
            pid = connection.connection.info.backend_pid
            truth.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            Connection.objects.count()

    with pytest.raises(OperationalError):
        work()
    connection.close()
    with transaction.atomic():
        assert list(Connection.unscoped.all()) == []
