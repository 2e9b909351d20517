"""One event is one line, and no secret stands in it, whoever logged it and however."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import sentry_sdk
import structlog
from django.core import mail
from django.db import connection
from django.test import Client
from sentry_sdk.integrations.logging import LoggingIntegration
from sentry_sdk.transport import Transport

from calqsync.tenancy import logs

CANARY = "canary-7f3a9c51-value"
FORGED = 'x\n{"event": "forged"}\r\x1b[31mred\x1b[0m\u2028\x85end'


@pytest.fixture
def printed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], str]]:
    """What our own handler has printed so far."""
    [handler] = [h for h in logging.getLogger().handlers if h.get_name() == "stderr"]
    paper = io.StringIO()
    before = handler.setStream(paper)
    yield paper.getvalue
    handler.setStream(before)


def events(text: str) -> list[dict[str, Any]]:
    """The printed lines, each of which must be one event."""
    assert "\x1b" not in text
    return [json.loads(line) for line in text.splitlines()]


def by_structlog(words: str) -> None:
    structlog.get_logger("ours").warning("name.changed", name=words, nested={"agent": [words]})


def by_argument(words: str) -> None:
    logging.getLogger("library").warning("agent %s", words)


def by_message(words: str) -> None:
    logging.getLogger("library").warning(words)


def by_error(words: str) -> None:
    try:
        raise ValueError(words)
    except ValueError:
        logging.getLogger("library").exception("it failed")


def by_error_as_message(words: str) -> None:
    logging.getLogger("library").error(ValueError(words))


def by_thread(words: str) -> None:
    def die() -> None:
        raise ValueError(words)

    before, threading.excepthook = threading.excepthook, logs._log_uncaught
    thread = threading.Thread(target=die)
    thread.start()
    thread.join()
    threading.excepthook = before


WAYS = [by_structlog, by_argument, by_message, by_error, by_error_as_message, by_thread]


@pytest.mark.parametrize("way", WAYS)
def test_w21_newlines_and_colours_stay_inside_one_event(printed, way):
    way(FORGED)
    [event] = events(printed())
    assert event["event"] != "forged"
    assert "red" in json.dumps(event)


@pytest.mark.parametrize("way", WAYS)
def test_t18_a_known_secret_is_hidden_however_it_is_logged(printed, way):
    logs.remember_secret(CANARY)
    way(f"got {CANARY} back")
    assert CANARY not in printed()
    assert "[hidden]" in printed()


def test_w21b_a_request_for_another_host_is_one_line_without_a_stack(printed, db):
    answer = Client().get("/", headers={"host": "evil.example", "user-agent": FORGED})
    assert answer.status_code == 400
    said = [e for e in events(printed()) if "evil.example" in json.dumps(e)]
    assert said
    assert all("Traceback" not in json.dumps(event) for event in said)


def test_a_library_s_broken_format_string_loses_no_event(printed):
    logging.getLogger("library").warning("one %s two %s", "only one")
    assert "one %s two %s" in printed()


@pytest.mark.parametrize(
    "line",
    [
        f"POST /token?api_key={CANARY}&x=1",
        f"GET /callback/?code={CANARY}&state=abc",
        f"GET /callback/?state={CANARY}",
        f'{{"refresh_token": "{CANARY}"}}',
        f"{{'client_secret': '{CANARY}'}}",
        f"Authorization: Bearer {CANARY}",
        f"authorization=Basic {CANARY}",
        f"Set-Cookie: __Host-session={CANARY}; Path=/",
        f"sessionid={CANARY}",
        f"password: {CANARY}",
        f"redis://:{CANARY}@valkey:6379/0",
        f"postgres://app:{CANARY}@db/calqsync",
        f"ENCRYPTION_KEYS=k1:{CANARY}",
    ],
)
def test_t18b_an_unknown_secret_is_hidden_by_the_name_beside_it(line):
    assert CANARY not in logs.redact(line)
    assert logs.redact(logs.redact(line)) == logs.redact(line)


@pytest.mark.parametrize(
    "line",
    ["status_code=200", "state: queued", "code 12", "exit code: 3", "keyboard=fi", "tokens: 12"],
)
def test_what_is_no_secret_stays_readable(line):
    assert logs.redact(line) == line


def test_a_secret_is_hidden_as_it_stands_in_an_address_too():
    logs.remember_secret("a+b/c=d&e f-secret")
    assert "secret" not in logs.redact("next a%2Bb%2Fc%3Dd%26e+f-secret end")


def test_what_belongs_to_the_process_is_never_forgotten(settings, monkeypatch):
    monkeypatch.setattr(logs, "_MOST", 3)
    for number in range(10):
        logs.remember_secret(f"passing-secret-{number}")
    assert "passing-secret-1" in logs.redact("passing-secret-1")
    assert settings.SECRET_KEY not in logs.redact(f"x {settings.SECRET_KEY}")


def test_t18c_the_database_s_query_log_hides_what_it_was_given(printed, db):
    logs.remember_secret(CANARY)
    logger = logging.getLogger("django.db.backends")
    before, forced = logger.level, connection.force_debug_cursor
    logger.setLevel(logging.DEBUG)
    connection.force_debug_cursor = True
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT %s", [CANARY])
    finally:
        logger.setLevel(before)
        connection.force_debug_cursor = forced
    assert "SELECT" in printed()
    assert CANARY not in printed()


class Kept(Transport):
    """What would have left for Sentry."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = ""

    def capture_envelope(self, envelope: Any) -> None:
        self.sent += envelope.serialize().decode(errors="replace")


@pytest.fixture
def sentry() -> Iterator[Kept]:
    kept = Kept()
    logs.report_errors(
        "https://key@sentry.example/1",
        transport=kept,
        default_integrations=False,
        integrations=[LoggingIntegration()],
    )
    yield kept
    sentry_sdk.init()


def test_t18d_an_error_report_holds_neither_values_nor_locals_nor_steps(sentry):
    logs.remember_secret(CANARY)
    # Put together here, because a report quotes the lines of source around an error.
    unknown = "-".join(["unknown", "but", "named"])
    in_a_local = "-".join(["value", "of", "a", "local"])
    sentry_sdk.add_breadcrumb(message=f"token {CANARY}", data={"api_key": unknown})
    logging.getLogger("library").info("step with %s", CANARY)
    try:
        raise ValueError(f"refused {CANARY} refresh_token={unknown}")
    except ValueError:
        logging.getLogger("library").exception("failed with %s", CANARY)
        sentry_sdk.capture_exception()
    sentry_sdk.flush()
    assert "ValueError" in sentry.sent
    assert CANARY not in sentry.sent
    assert unknown not in sentry.sent
    assert in_a_local not in sentry.sent


def test_t18j_an_error_report_collects_nothing_of_what_it_could(sentry):
    collected = sentry_sdk.get_client().options["data_collection"]
    assert collected.pop("provided_by_user") is True, "Sentry's own choice is not ours"
    assert collected.pop("frame_context_lines") >= 0  # our own source
    off = ({"mode": "off"}, {"request": {"mode": "off"}}, [], False)
    nested = {"graphql", "gen_ai"}
    assert nested < set(collected)
    for name, choice in collected.items():
        assert (not any(choice.values())) if name in nested else (choice in off), name


@pytest.mark.filterwarnings("error::DeprecationWarning")
def test_error_reports_are_asked_for_as_sentry_wants_it():
    logs.report_errors("https://key@sentry.example/1", transport=Kept(), integrations=[])
    sentry_sdk.init()


def test_t18e_an_error_s_page_and_mail_show_nothing(printed, db, settings, monkeypatch, client):
    logs.remember_secret(CANARY)
    settings.ADMINS = [("Ops", "ops@example.com")]

    def fail(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError(f"with {CANARY}")

    monkeypatch.setattr("django.middleware.common.CommonMiddleware.process_request", fail)
    client.raise_request_exception = False
    answer = client.get("/", headers={"authorization": f"Bearer {CANARY}"})
    assert answer.status_code == 500
    assert CANARY not in answer.content.decode()
    assert "RuntimeError" in printed()
    assert CANARY not in printed()
    assert mail.outbox == []
