import threading

import pytest
import responses

from integrations.procountor.errors import (
    KeyRevoked,
    Nonsense,
    NotFound,
    OurFault,
    RateLimited,
    RightMissing,
    TimedOut,
    TryLater,
)
from integrations.procountor.transport import (
    Retries,
    StaticToken,
    Timeouts,
    Transport,
    checked_host,
    wait_before_retry,
)

from .servers import cut_before_answer, cut_in_body, reply, serving

HOST = "https://api.example.test"


class Recorder:
    """A limiter and a sleep that only write down what they were asked."""

    def __init__(self) -> None:
        self.acquired = 0
        self.penalties: list[float] = []
        self.slept: list[float] = []

    def acquire(self, weight: int = 1) -> float:
        self.acquired += weight
        return 0.25

    def answered(self, kind: str) -> None:
        pass

    def penalise(self, seconds: float) -> None:
        self.penalties.append(seconds)


@pytest.fixture
def recorder():
    return Recorder()


@pytest.fixture
def transport_to(recorder):
    def make(url=HOST, tokens=None, **options):
        return Transport(
            url,
            tokens or StaticToken("tok-123456"),
            limiter=recorder,
            sleep=recorder.slept.append,
            luck=lambda: 0.5,
            **options,
        )

    return make


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (400, '{"errors":[{"status":400,"field":"a.b","message":"BAD"}]}', OurFault),
        (401, "{}", KeyRevoked),
        (403, "<html>gateway</html>", RightMissing),
        (404, "{}", NotFound),
        (406, "{}", OurFault),
        (408, "", TryLater),
        (429, "{}", RateLimited),
        (500, "<html>", TryLater),
        (503, "", TryLater),
        (302, "", Nonsense),
        (204, "", Nonsense),
        (200, "<html>welcome</html>", Nonsense),
        (200, "", Nonsense),
    ],
)
@responses.activate
def test_a_status_has_its_own_failure(transport_to, status, body, failure):
    responses.get(f"{HOST}/api/x", status=status, body=body)
    with pytest.raises(failure) as caught:
        transport_to().get("/api/x")
    assert type(caught.value) is failure
    assert caught.value.advice


@responses.activate
def test_procountors_words_reach_the_log_and_the_advice_stays_ours(transport_to):
    responses.get(
        f"{HOST}/api/x",
        status=400,
        json={"errors": [{"status": 400, "field": "size", "message": "TOO_LARGE"}]},
    )
    with pytest.raises(OurFault) as caught:
        transport_to().get("/api/x")
    assert str(caught.value) == "400 /api/x size: TOO_LARGE"


@responses.activate
def test_server_errors_are_tried_again_with_growing_waits(transport_to, recorder):
    responses.get(f"{HOST}/api/x", status=502)
    responses.get(f"{HOST}/api/x", status=500)
    responses.get(f"{HOST}/api/x", json={"ok": True})
    transport = transport_to()
    assert transport.get("/api/x") == b'{"ok": true}'
    assert recorder.slept == [0.3, 0.6]
    assert (transport.usage.requests, transport.usage.retries) == (3, 2)


@responses.activate
def test_retries_end(transport_to, recorder):
    responses.get(f"{HOST}/api/x", status=500)
    with pytest.raises(TryLater):
        transport_to(retries=Retries(most=2)).get("/api/x")
    assert len(responses.calls) == 3
    assert len(recorder.slept) == 2


@responses.activate
def test_a_rate_limit_is_raised_at_once_and_slows_everyone(transport_to, recorder):
    responses.get(f"{HOST}/api/x", status=429, headers={"Retry-After": "120"})
    with pytest.raises(RateLimited) as caught:
        transport_to().get("/api/x")
    assert caught.value.retry_after == 120
    assert recorder.penalties == [120]
    assert len(responses.calls) == 1


@responses.activate
def test_a_rate_limit_without_a_time_still_slows_everyone(transport_to, recorder):
    responses.get(f"{HOST}/api/x", status=429)
    with pytest.raises(RateLimited) as caught:
        transport_to(retries=Retries(pause_after_429=7)).get("/api/x")
    assert caught.value.retry_after is None
    assert recorder.penalties == [7]


@responses.activate
def test_a_long_retry_after_is_left_to_the_job(transport_to, recorder):
    responses.get(f"{HOST}/api/x", status=503, headers={"Retry-After": "60"})
    with pytest.raises(TryLater) as caught:
        transport_to().get("/api/x")
    assert caught.value.retry_after == 60
    assert recorder.penalties == [60]
    assert recorder.slept == []


def test_retry_after_may_be_a_date():
    from integrations.procountor.answers import seconds_asked

    assert seconds_asked("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_asked("soon") is None
    assert seconds_asked("1.5") == 1.5


def test_a_timeout_is_tried_once_more_only():
    policy = Retries(most=3)
    waits = [
        wait_before_retry(TimedOut(), attempt=n, policy=policy, luck=lambda: 0.5) for n in (0, 1)
    ]
    assert waits == [0.3, None]


@pytest.mark.parametrize("fault", [cut_before_answer, cut_in_body])
def test_a_cut_connection_is_tried_again(transport_to, fault):
    with serving(fault, reply({"ok": 1})) as script:
        transport = transport_to(script.url)
        assert transport.get("/api/x") == b'{"ok": 1}'
        assert len(script.seen) == 2
        transport.close()


def test_a_body_that_stops_coming_times_out(transport_to):
    stuck = threading.Event()

    def stall(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "100")
        handler.end_headers()
        handler.wfile.write(b"{")
        handler.wfile.flush()
        stuck.wait(2)
        handler.close_connection = True

    with serving(stall) as script:
        transport = transport_to(script.url, timeouts=Timeouts(read=0.05), retries=Retries(most=0))
        with pytest.raises(TimedOut):
            transport.get("/api/x")
        stuck.set()


def test_a_whole_answer_has_a_time_limit_too(transport_to):
    ticks = iter(range(0, 10_000, 200))
    with serving(reply({"ok": 1})) as script:
        transport = transport_to(
            script.url, clock=lambda: float(next(ticks)), retries=Retries(most=0)
        )
        with pytest.raises(TimedOut):
            transport.get("/api/x")


def test_a_redirect_is_not_followed(transport_to):
    with serving(reply({"stolen": 1})) as other:
        away = reply(status=302, headers={"Location": f"{other.url}/api/x"})
        with serving(away) as script, pytest.raises(Nonsense):
            transport_to(script.url).get("/api/x")
        assert other.seen == []


def test_only_the_host_can_be_reached(transport_to):
    with serving(reply({"ok": 1})) as script:
        for path in ("//evil.example/x", "https://evil.example/x", "@evil.example/x"):
            with pytest.raises(OurFault):
                transport_to(script.url).get(path)
        assert script.seen == []


def test_a_read_sends_its_token_no_body_and_no_compression(transport_to):
    with serving(reply({"ok": 1})) as script:
        transport_to(script.url).get("/api/x", {"types": "A,B"})
        sent = script.seen[0]
    assert sent.headers["Authorization"] == "Bearer tok-123456"
    assert sent.headers["Accept-Encoding"] == "identity"
    assert "Content-Length" not in sent.headers
    assert (sent.body, sent.query) == ("", {"types": "A,B"})


def test_connections_are_kept_for_the_next_request(transport_to):
    ports = []

    def note(handler):
        ports.append(handler.client_address[1])
        reply({"ok": 1})(handler)

    with serving(note) as script:
        transport = transport_to(script.url)
        for _ in range(3):
            transport.get("/api/x")
        transport.close()
    assert len(set(ports)) == 1


class Renewing:
    def __init__(self) -> None:
        self.value = "old-token"
        self.renewals = 0

    def bearer(self) -> str:
        return self.value

    def renew(self, rejected: str) -> str:
        self.renewals += 1
        self.value = "new-token"
        return self.value


@responses.activate
def test_a_refused_token_is_renewed_once_and_the_read_repeated(transport_to):
    responses.get(f"{HOST}/api/x", status=401)
    responses.get(f"{HOST}/api/x", json={"ok": True})
    tokens = Renewing()
    transport_to(tokens=tokens).get("/api/x")
    assert tokens.renewals == 1
    assert responses.calls[1].request.headers["Authorization"] == "Bearer new-token"


@responses.activate
def test_a_second_refusal_means_the_key_is_gone(transport_to):
    responses.get(f"{HOST}/api/x", status=401)
    tokens = Renewing()
    with pytest.raises(KeyRevoked):
        transport_to(tokens=tokens).get("/api/x")
    assert tokens.renewals == 1


@responses.activate
def test_usage_counts_requests_bytes_and_waiting(transport_to, recorder):
    responses.get(f"{HOST}/api/x", body=b"{}      ")
    transport = transport_to()
    transport.get("/api/x")
    transport.get("/api/x")
    assert transport.usage.requests == recorder.acquired == 2
    assert transport.usage.bytes_received == 16
    assert transport.usage.seconds_waited == 0.5


@pytest.mark.parametrize(
    "address",
    [
        "http://api.example.test",
        "ftp://api.example.test",
        "https://api.example.test/api",
        "https://user:pw@api.example.test",
        "https://api.example.test?x=1",
        "api.example.test",
    ],
)
def test_an_address_that_is_not_a_safe_host_is_refused(address):
    with pytest.raises(ValueError, match=r"."):
        checked_host(address)


def test_plain_http_is_for_this_machine():
    assert checked_host("http://127.0.0.1:8100/") == "http://127.0.0.1:8100"
    assert checked_host("https://api.procountor.com/") == "https://api.procountor.com"
