"""Errors tell the person what to do and name a reference; what broke stays in the log."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.web.conftest import Server, signed_in
from tests.web.world import World

INSIDE = (
    "SELECT sealed FROM integrations_credential /srv/app/secret.py token=eyJh.b.c <b>remote</b>"
)
REVEALING = re.compile(
    r"Traceback|SELECT|psycopg|/srv/|/site-packages|\.py\b|eyJ|remote</b>|Exception|Error at"
    r"|relation|does not exist",
)


def reference_in(answer: Any) -> str:
    """The reference that the page names, which the header has too."""
    reference = str(answer.headers["X-Request-ID"])
    assert reference in str(getattr(answer, "text", answer.content.decode()))
    return reference


@pytest.mark.parametrize("path", ["", "growth/", "customers/", "api/figures/", "settings/team/"])
def test_w26_a_fault_shows_words_and_a_reference(
    cast: Any, client: Any, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    def fail(*_args: Any, **_more: Any) -> Any:
        raise RuntimeError(INSIDE)

    client.force_login(cast.alice)
    monkeypatch.setattr("django.db.models.query.QuerySet.__iter__", fail)
    monkeypatch.setattr("django.db.models.query.QuerySet.first", fail)
    client.raise_request_exception = False
    answer = client.get(cast.url(path))
    text = answer.content.decode()
    assert answer.status_code == 500
    assert not REVEALING.search(text)
    assert reference_in(answer)
    kind = "application/problem+json" if "api/" in path else "text/html"
    assert answer["Content-Type"].startswith(kind)


def test_w26b_the_log_knows_the_reference_of_a_broken_page(
    server: Server, world: World, truth: Any
) -> None:
    session = signed_in(world.cast.alice)
    truth.execute("ALTER TABLE integrations_customer RENAME TO elsewhere")
    try:
        answers = [
            server.ask(f"/t/{world.cast.tenant.slug}/{path}", session=session)
            for path in ("customers/", "customers/?format=csv", "customers/?format=xlsx")
        ]
    finally:
        truth.execute("ALTER TABLE elsewhere RENAME TO integrations_customer")
    lines = [json.loads(line) for line in server.log.read_text().splitlines() if line[:1] == "{"]
    for answer in answers:
        assert answer.status_code == 500
        assert not REVEALING.search(answer.text)
        reference = reference_in(answer)
        told = [line for line in lines if line.get("reference") == reference]
        assert any("integrations_customer" in str(line.get("exception")) for line in told)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/t/nobody-000000/", 302),
        ("GET", "/nowhere/", 404),
        ("GET", "/t/nobody-000000/api/figures/", 302),
        ("GET", "/api/v1/report", 401),
        ("GET", "/api/v1/nothing", 404),
        ("POST", "/terms/", 403),
        ("TRACE", "/", 405),
        ("GET", "/%ff%fe", 404),
        ("GET", "/accounts/confirm-email/" + "a" * 300 + "/", 404),
        ("GET", "/integrations/procountor/callback/?code=x&state='&error=<script>", 400),
    ],
)
def test_w26c_refusals_say_nothing_of_the_inside(
    server: Server, db: None, method: str, path: str, status: int
) -> None:
    answer = server.ask(path, method)
    assert answer.status_code in {status, 403, 404} if status >= 400 else status
    assert not REVEALING.search(answer.text)
    assert "<script>" not in answer.text


def test_w26d_the_api_says_not_found_in_json(cast: Any, client: Any) -> None:
    client.force_login(cast.mallory)
    answer = client.get(cast.url("api/figures/"))
    assert answer.status_code == 404
    said = answer.json()
    assert (said["status"], said["detail"]) == (404, "Not found.")
    assert said["reference"] == answer["X-Request-ID"]
    assert answer["Content-Type"] == "application/problem+json"
