"""Whatever stopped an import, its stored kind leads to a sentence and to the button that helps."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from calqsync.tenancy.secrets import SecretUnreadable
from integrations.models import Connection, SyncRun
from integrations.procountor.errors import ProcountorError
from integrations.sync.advice import advice_for, mends_by_reconnecting


def every(of: type[ProcountorError] = ProcountorError) -> Iterator[type[ProcountorError]]:
    for each in of.__subclasses__():
        yield each
        yield from every(each)


@pytest.mark.parametrize("failure", list(every()), ids=lambda failure: failure.kind)
def test_a_stored_kind_leads_to_its_own_advice(failure: type[ProcountorError]) -> None:
    assert advice_for(failure.kind) == failure.advice


@pytest.mark.parametrize("failure", list(every()), ids=lambda failure: failure.kind)
def test_a_kind_is_stored_whole(failure: type[ProcountorError]) -> None:
    for column in (
        Connection._meta.get_field("trouble_kind"),
        SyncRun._meta.get_field("error_kind"),
    ):
        assert column.max_length is not None
        assert len(failure.kind) <= column.max_length


def test_a_secret_that_cannot_be_read_has_its_own_advice() -> None:
    assert advice_for(SecretUnreadable.__name__) == SecretUnreadable.advice


def test_a_kind_that_nobody_knows_promises_that_nothing_is_lost() -> None:
    assert "Nothing that is imported is lost" in advice_for("ZeroDivisionError")


@pytest.mark.parametrize(
    ("kind", "helps"),
    [
        ("key_revoked", True),
        ("clients_not_allowed", True),
        ("wrong_company", True),
        ("SecretUnreadable", True),
        # A right is given in Procountor; the same key then has it.
        ("right_missing", False),
        ("rate_limited", False),
        ("nonsense", False),
        ("ZeroDivisionError", False),
    ],
)
def test_a_new_login_is_offered_only_where_it_helps(kind: str, helps: bool) -> None:
    assert mends_by_reconnecting(kind) is helps
