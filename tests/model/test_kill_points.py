"""A worker that dies at any moment leaves no difference behind."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest

from calqsync.jobs import services as jobs
from calqsync.tenancy import scope
from tests.integrations.sync.conftest import Books
from tests.model.bookkeeping import Bookkeeper, scribble
from tests.model.books import books as shown
from tests.model.books import differences
from tests.model.dying import expire_lease, slice_in_a_child, take_over
from tests.model.world import newcomer

# A second try would hide a moment at which a death leaves something behind.
pytestmark = [
    pytest.mark.stack,
    pytest.mark.flaky(reruns=0),
    pytest.mark.django_db(transaction=True),
]
FEW, MANY = 5, 100
_OWN = (
    *("id", "public_id", "tenant_id", "connection_id"),
    *("customer_id", "invoice_id", "product_id", "statement_id"),
)
_TABLES = (
    *("customer", "product", "invoice", "invoiceline", "payment"),
    *("bankaccount", "bankstatement", "bankevent"),
)


def rows(cursor: Any, books: Books) -> dict[str, list[str]]:
    """Everything that an import stored, but numbers and times that no two imports share."""
    found = {}
    for table in _TABLES:
        cursor.execute(
            "SELECT (to_jsonb(t) - %s || jsonb_build_object('removed_at',"
            f" to_jsonb(t) -> 'removed_at' <> 'null'))::text FROM integrations_{table} t"
            " WHERE connection_id = %s ORDER BY 1",
            [list(_OWN), books.connection.pk],
        )
        found[table] = [row for (row,) in cursor.fetchall()]
    cursor.execute(
        "SELECT stream || external_id || encode(sha256, 'hex') FROM integrations_rawdocument"
        " WHERE connection_id = %s ORDER BY 1",
        [books.connection.pk],
    )
    found["documents"] = [row for (row,) in cursor.fetchall()]
    cursor.execute("SELECT count(*) FROM integrations_stagedpage")
    found["held back"] = cursor.fetchone()
    return found


def counts(cursor: Any, books: Books) -> list[Any]:
    """What the newest run says it did."""
    cursor.execute(
        "SELECT stream, fetched, added, changed, unchanged, rejected, removed"
        " FROM integrations_syncstream WHERE run_id = (SELECT max(id) FROM integrations_syncrun"
        " WHERE connection_id = %s) ORDER BY stream",
        [books.connection.pk],
    )
    found: list[Any] = cursor.fetchall()
    return found


def ask(books: Books) -> None:
    with scope.tenant(books.connection.tenant_id):
        books.request()


def kill_first_imports(
    reachable: Bookkeeper, truth: Any, *, times: int, commits: bool = False, helped: bool = False
) -> None:
    """With `helped` a process beside the worker reads, which has not always got equally far."""
    orphans: list[int] | None = [] if helped else None
    calm = newcomer(reachable.company, reachable.sandbox)
    ask(calm)
    moments = slice_in_a_child(calm, die_at=None, commits=commits, orphans=orphans)
    assert moments is not None
    assert calm.run().state == "complete"
    wanted = rows(truth, calm), counts(truth, calm)
    assert differences(reachable.ledger(), shown(truth, calm.connection.pk)) == []
    dice = Random(times)
    for moment in dice.sample(range(1, moments + 1), min(times, moments)):
        killed = newcomer(reachable.company, reachable.sandbox)
        ask(killed)
        end = slice_in_a_child(killed, die_at=moment, commits=commits, orphans=orphans)
        assert take_over(killed, truth) == "complete"
        assert (rows(truth, killed), counts(truth, killed)) == wanted, f"killed at {moment}"
        assert helped or end is None, f"there was no moment {moment}"
    assert orphans is None or len(orphans) > times / 10


def kill_updates(reachable: Bookkeeper, truth: Any, *, times: int) -> None:
    """Two tenants follow the same company; one of them loses its worker in every update."""
    calm = newcomer(reachable.company, reachable.sandbox)
    killed = newcomer(reachable.company, reachable.sandbox)
    assert calm.sync().state == killed.sync().state == "complete"
    dice, deaths = Random(times), 0
    for round_ in range(times):
        for _ in range(4):
            scribble(reachable, dice)
        ask(calm)
        moments = slice_in_a_child(calm, die_at=None)
        assert moments is not None
        ask(killed)
        before = rows(truth, killed)
        moment = dice.randrange(1, moments + 1)
        if slice_in_a_child(killed, die_at=moment) is None:
            deaths += 1
            if killed.run().state != "complete":
                now = rows(truth, killed)
                del now["held back"], before["held back"]
                assert now == before, f"half an update shows, round {round_}, moment {moment}"
        assert take_over(killed, truth) == "complete"
        found = rows(truth, killed), counts(truth, killed)
        assert found == (rows(truth, calm), counts(truth, calm)), f"round {round_}, {moment}"
    assert deaths > times * 0.8


def test_q7_a_first_import_killed_anywhere_ends_as_an_undisturbed_one(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_first_imports(reachable, truth, times=FEW)


def test_q7e_a_first_import_killed_while_its_helper_reads_ends_so_too_and_the_helper_with_it(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_first_imports(reachable, truth, times=FEW, helped=True)


def test_s27c_sync_now_takes_up_an_import_whose_workers_died_too_often(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    books = newcomer(reachable.company, reachable.sandbox)
    ask(books)
    for _ in range(jobs.MAX_DELIVERIES):
        assert slice_in_a_child(books, die_at=100) is None
        expire_lease(books, truth)
    with scope.tenant(books.connection.tenant_id):
        assert jobs.claim(job_of(truth, books)) is None
    assert books.run().state == "running"
    truth.execute("SELECT run_after > now() + interval '10 minutes' FROM jobs_job WHERE id = %s",
                  [job_of(truth, books)])  # fmt: skip
    assert truth.fetchone() == (True,)
    ask(books)
    with scope.tenant(books.connection.tenant_id):
        assert jobs.claim(job_of(truth, books)) is not None
    assert take_over(books, truth) == "complete"
    assert differences(reachable.ledger(), shown(truth, books.connection.pk)) == []


def job_of(cursor: Any, books: Books) -> int:
    cursor.execute(
        "SELECT id FROM jobs_job WHERE kind = 'integrations.sync' AND key = %s",
        [str(books.connection.pk)],
    )
    return int(cursor.fetchone()[0])


@pytest.mark.nightly
def test_q7b_a_first_import_killed_at_a_hundred_moments(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_first_imports(reachable, truth, times=MANY)


@pytest.mark.nightly
@pytest.mark.parametrize("commits", [False, True])
def test_q7f_a_first_import_killed_at_many_moments_while_its_helper_reads(
    reachable: Bookkeeper, truth: Any, transactional_db: None, commits: bool
) -> None:
    kill_first_imports(reachable, truth, times=MANY // 2, commits=commits, helped=True)


def test_q7c_an_update_killed_anywhere_ends_as_an_undisturbed_one(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_updates(reachable, truth, times=FEW)


@pytest.mark.nightly
def test_q7d_updates_killed_at_a_hundred_moments(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_updates(reachable, truth, times=MANY)


def test_s25_killed_beside_a_commit_a_page_and_its_position_are_both_there_or_neither(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_first_imports(reachable, truth, times=FEW, commits=True)


@pytest.mark.nightly
def test_s25b_killed_beside_every_commit(
    reachable: Bookkeeper, truth: Any, transactional_db: None
) -> None:
    kill_first_imports(reachable, truth, times=MANY, commits=True)
