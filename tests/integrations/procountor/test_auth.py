import logging
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
import responses

from integrations.procountor.auth import (
    ApiKey,
    ProcountorAuth,
)
from integrations.procountor.errors import (
    ClientsNotAllowed,
    ClientSuspended,
    CodeRefused,
    KeyRevoked,
    Nonsense,
    OurFault,
    RateLimited,
    TryLater,
)

from .servers import cut_before_answer, reply, serving

HOST = "https://api.example.test"
TOKEN = f"{HOST}/api/oauth/token"
KEY = f"{HOST}/api/oauth/key"
CALLBACK = "https://calq.example.test/callback/"
NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def auth_at(url: str = HOST) -> ProcountorAuth:
    return ProcountorAuth(
        url,
        client_id="calq",
        client_secret="client-s3cret",
        redirect_uri=CALLBACK,
        now=lambda: NOON,
    )


def sent(call=0) -> dict[str, str]:
    return dict(parse_qsl(responses.calls[call].request.body))


@pytest.mark.parametrize(("method", "path"), [("key", "/keylogin"), ("code", "/login")])
@pytest.mark.parametrize("host", [HOST, "http://127.0.0.1:8100"])
def test_the_browser_goes_to_procountors_own_login(host, method, path):
    url = auth_at(host).authorize_url(method, state="st-1")
    assert url.startswith(f"{host}{path}?")
    assert parse_qs(urlsplit(url).query) == {
        "response_type": ["code"],
        "client_id": ["calq"],
        "redirect_uri": [CALLBACK],
        "state": ["st-1"],
    }


@responses.activate
def test_a_code_from_key_login_becomes_a_key():
    responses.post(KEY, json={"api_key": "the-api-key"})
    assert auth_at().exchange_key("code-1").value == "the-api-key"
    assert sent() == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": CALLBACK,
        "client_id": "calq",
        "client_secret": "client-s3cret",
    }


@responses.activate
def test_a_key_becomes_a_token():
    responses.post(TOKEN, json={"access_token": "the-token", "expires_in": 3600})
    token = auth_at().token_from_key(ApiKey("the-api-key"))
    assert (token.value, token.good_until) == ("the-token", NOON + timedelta(minutes=59))
    assert sent() == {
        "grant_type": "client_credentials",
        "client_id": "calq",
        "client_secret": "client-s3cret",
        "redirect_uri": CALLBACK,
        "api_key": "the-api-key",
    }


@responses.activate
def test_a_code_from_the_login_becomes_two_tokens():
    responses.post(
        TOKEN, json={"access_token": "a-token", "refresh_token": "r-token", "expires_in": 60}
    )
    pair = auth_at().exchange_code("code-1")
    assert (pair.access.value, pair.refresh_token) == ("a-token", "r-token")
    assert sent() == {
        "grant_type": "authorization_code",
        "code": "code-1",
        "redirect_uri": CALLBACK,
        "client_id": "calq",
        "client_secret": "client-s3cret",
    }


@responses.activate
def test_the_old_refresh_token_is_kept_unless_a_new_one_comes():
    responses.post(TOKEN, json={"access_token": "a-2", "expires_in": 60})
    responses.post(TOKEN, json={"access_token": "a-3", "expires_in": 60, "refresh_token": "r-2"})
    auth = auth_at()
    assert auth.refresh("refresh-1").refresh_token == "refresh-1"
    assert auth.refresh("refresh-1").refresh_token == "r-2"
    assert sent() == {
        "grant_type": "refresh_token",
        "refresh_token": "refresh-1",
        "client_id": "calq",
        "client_secret": "client-s3cret",
    }


CALLS = {
    "key": lambda auth: auth.exchange_key("code-1"),
    "code": lambda auth: auth.exchange_code("code-1"),
    "token": lambda auth: auth.token_from_key("the-api-key"),
    "refresh": lambda auth: auth.refresh("refresh-1"),
}
SPENT = {"key": CodeRefused, "code": CodeRefused, "token": KeyRevoked, "refresh": KeyRevoked}


@pytest.mark.parametrize("name", CALLS)
def test_the_form_has_no_charset_and_no_credential_leaves_the_body(name):
    answer = {"access_token": "a", "refresh_token": "r", "api_key": "k", "expires_in": 60}
    with serving(reply(answer)) as script:
        CALLS[name](auth_at(script.url))
        request = script.seen[0]
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert "Authorization" not in request.headers
    assert request.query == {}
    assert "client_secret=client-s3cret" in request.body


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (401, {"errors": [{"status": 401, "message": "UNAUTHORIZED"}]}),
        (401, {"error": "invalid_grant", "error_description": "gone"}),
        (400, {"error": "invalid_grant"}),
    ],
)
@responses.activate
def test_a_spent_code_or_key_needs_the_owner(name, status, body):
    responses.post(TOKEN, status=status, json=body)
    responses.post(KEY, status=status, json=body)
    with pytest.raises(SPENT[name]):
        CALLS[name](auth_at())


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (401, '{"error": "invalid_client"}', ClientSuspended),
        (403, '{"error": "unauthorized_client"}', ClientSuspended),
        (400, '{"error": "invalid_request"}', OurFault),
        (400, '{"errors": [{"status": 400, "message": "REDIRECT_URI"}]}', OurFault),
        (403, '{"errors": [{"status": 403, "message": "NOT_ALLOWED"}]}', ClientsNotAllowed),
        (429, "{}", RateLimited),
        (500, "<html>", TryLater),
        (503, "", TryLater),
        (302, "", Nonsense),
        (200, "<html>login</html>", Nonsense),
        (200, "{}", Nonsense),
        (200, "[]", Nonsense),
        (200, '{"access_token": null, "api_key": null}', Nonsense),
        (200, '{"access_token": "a", "expires_in": "soon"}', Nonsense),
    ],
)
@responses.activate
def test_every_other_answer_has_its_failure(name, status, body, failure):
    if name == "refresh" and "soon" in body:
        body = '{"access_token": "", "expires_in": 5}'
    responses.post(TOKEN, status=status, body=body)
    responses.post(KEY, status=status, body=body)
    with pytest.raises(failure):
        CALLS[name](auth_at())


@pytest.mark.parametrize("name", CALLS)
def test_a_cut_connection_is_for_later(name):
    with serving(cut_before_answer) as script, pytest.raises(TryLater):
        CALLS[name](auth_at(script.url))


@pytest.mark.parametrize("name", CALLS)
@responses.activate
def test_no_secret_reaches_a_log_or_an_error(name, caplog):
    sent_secret = {"token": "the-api-key", "refresh": "refresh-1"}.get(name, "code-1")
    echo = {"errors": [{"message": f"client-s3cret {sent_secret}"}]}
    good = {"access_token": "a-secret", "refresh_token": "r-secret", "api_key": "k-secret"}
    for address in (TOKEN, KEY):
        responses.post(address, json=good)
        responses.post(address, status=401, json=echo)
    caplog.set_level(logging.DEBUG)
    auth = auth_at()
    got = CALLS[name](auth)
    with pytest.raises(SPENT[name]) as caught:
        CALLS[name](auth)
    said = caplog.text + repr(got) + str(caught.value) + repr(caught.value)
    for secret in ("client-s3cret", sent_secret, "a-secret", "r-secret", "k-secret"):
        assert secret not in said
