"""A key that everything has gone wrong with stands in no log, row or report in plain text."""

from __future__ import annotations

import io
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import DatabaseError, transaction
from django.db import connection as database

from calqsync.jobs import runner, services
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import Credential
from integrations.procountor import redaction
from integrations.procountor.transport import Timeouts
from integrations.sync import access, engine
from tests.integrations.procountor import servers
from tests.integrations.sync.conftest import Books

pytestmark = pytest.mark.django_db(transaction=True)
CANARIES = {
    "key": "canary-api-key-52b1c7d0",
    "token": "canary-access-token-9e04aa31",
    "refresh": "canary-refresh-token-77c2f6de",
}
ECHO = " ".join(CANARIES.values())


@pytest.fixture
def printed() -> Iterator[Callable[[], str]]:
    """Everything that our handler prints, with the chattiest libraries turned up."""
    [handler] = [h for h in logging.getLogger().handlers if h.get_name() == "stderr"]
    paper = io.StringIO()
    before = handler.setStream(paper)
    levels = {name: logging.getLogger(name).level for name in ("urllib3", "requests_oauthlib")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.DEBUG)
    root = logging.getLogger().level
    logging.getLogger().setLevel(logging.DEBUG)
    yield paper.getvalue
    logging.getLogger().setLevel(root)
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
    handler.setStream(before)


@pytest.fixture
def everything(truth: Any) -> Callable[[], str]:
    """Every row of every table, read past row-level security."""

    def rows() -> str:
        truth.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        text = ""
        for (table,) in truth.fetchall():
            truth.execute(f'SELECT t::text FROM "{table}" t')
            text += "\n".join(row[0] for row in truth.fetchall())
        return text

    return rows


@pytest.fixture(params=["api_key", "refresh_token"])
def held(request: Any, books: Books) -> Books:
    """A connection with the canaries for its key or token."""
    with scope.tenant(books.connection.tenant_id), transaction.atomic():
        name = "key" if request.param == "api_key" else "refresh"
        sealed = sealer().seal_text(
            CANARIES[name], connection_id=books.connection.pk, field="secret"
        )
        Credential.objects.update(kind=request.param, secret=sealed)
    # A worker that has held all of them, as long-lived ones have.
    redaction.remember(*CANARIES.values())
    return books


TOKEN = servers.reply({"access_token": CANARIES["token"], "expires_in": 3600})
FAILURES = {
    "401": [servers.reply({"error": "invalid_grant", "error_description": ECHO}, 401)],
    "400 that echoes": [servers.reply({"errors": [{"message": f"bad: {ECHO}"}]}, 400)],
    "500 page": [servers.reply(f"<html>{ECHO}</html>".encode(), 500)],
    "no JSON": [servers.reply(f"api_key={ECHO}".encode())],
    "no token in JSON": [servers.reply({"message": ECHO, "refresh_token": ECHO})],
    "cut": [servers.cut_before_answer],
    "redirect": [servers.reply(b"", 302, {"Location": f"https://evil.example/?{ECHO}"})],
    "token refused": [TOKEN, servers.reply({"errors": [{"message": ECHO}]}, 401)],
    "answer echoes": [TOKEN, servers.reply({"errors": [{"message": ECHO}]}, 400)],
    "answer is nonsense": [TOKEN, servers.reply({"companyId": ECHO})],
}


@pytest.mark.parametrize("failure", FAILURES)
def test_t18f_whatever_procountor_answers_no_secret_reaches_a_log_or_a_row(
    held, printed, everything, settings, failure
):
    with servers.serving(*FAILURES[failure]) as script:
        settings.PROCOUNTOR_BASE_URL = script.url
        run = held.sync()
    assert run.error_kind
    assert script.seen
    for canary in CANARIES.values():
        assert canary not in printed()
        assert canary not in everything()


def _silence(handler: Any) -> None:
    time.sleep(0.5)  # longer than the client waits
    handler.close_connection = True


def test_t18g_a_time_out_names_no_secret(held, printed, everything, settings, monkeypatch):
    monkeypatch.setattr(access, "_TOKEN_TIMEOUTS", Timeouts(connect=0.2, read=0.2, whole=0.5))
    with servers.serving(_silence) as script:
        settings.PROCOUNTOR_BASE_URL = script.url
        assert held.sync().error_kind == "timed_out"
    for canary in CANARIES.values():
        assert canary not in printed() + everything()


@pytest.mark.parametrize("how", ["python", "database"])
def test_t18h_a_job_that_fails_with_a_secret_in_its_hands_keeps_it(
    held, printed, everything, how, monkeypatch
):
    redaction.remember(CANARIES["key"])

    def handler(job: Any) -> Any:
        if how == "python":
            raise RuntimeError(f"with {CANARIES['key']}")
        with database.cursor() as cursor:
            cursor.execute("SELECT %s::int", [CANARIES["key"]])

    tenant_id = held.connection.tenant_id
    with scope.tenant(tenant_id), transaction.atomic():
        held.request()
        job = Job.objects.get(kind=engine.KIND)
    runner.run(handler, tenant_id=tenant_id, job_id=job.pk)
    with scope.tenant(tenant_id), transaction.atomic():
        stored = Job.objects.get(pk=job.pk)
    assert stored.error_class in {"RuntimeError", DatabaseError.__name__, "DataError"}
    assert "[hidden]" in stored.error
    assert "job.failed" in printed()
    assert CANARIES["key"] not in printed() + everything()


def test_t18i_a_task_s_message_holds_two_numbers_and_nothing_else(held, monkeypatch):
    sent: list[tuple[str, Any]] = []
    monkeypatch.undo()  # the nudge that these tests leave out
    monkeypatch.setattr(
        services.current_app, "send_task", lambda kind, **message: sent.append((kind, message))
    )
    with scope.tenant(held.connection.tenant_id), transaction.atomic():
        held.request()
    [(kind, message)] = sent
    assert kind == engine.KIND
    assert all(isinstance(each, int) for each in message["args"])
    assert "kwargs" not in message


def test_a_canary_in_the_clear_would_be_found(held, everything, printed):
    """The search itself: without this, a search that finds nothing proves nothing."""
    logging.getLogger("library").warning("nobody knows this word: %s", "plain-canary-value")
    with scope.tenant(held.connection.tenant_id), transaction.atomic():
        type(held.connection).objects.update(trouble_detail="plain-canary-value")
    assert "plain-canary-value" in printed()
    assert "plain-canary-value" in everything()
