"""Requests of the shapes that make two servers disagree about where one request ends."""

from __future__ import annotations

import re

import pytest

from tests.web.conftest import Server

NEXT = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
NOTHING = b"0\r\n\r\n"
# Header lines and body of a POST.
REFUSED = {
    "length and chunks": ([b"Content-Length: 6", CHUNKED], NOTHING + b"G"),
    "length over a hidden request": ([b"Content-Length: 60", CHUNKED], NOTHING + NEXT),
    "chunks before the length": ([CHUNKED, b"Content-Length: 4"], NOTHING),
    "unknown coding": ([b"Transfer-Encoding: xchunked"], NOTHING),
    "chunks are not last": ([b"Transfer-Encoding: chunked, identity"], NOTHING),
    "space before the colon": ([b"Transfer-Encoding : chunked"], NOTHING),
    "two lengths": ([b"Content-Length: 3", b"Content-Length: 4"], b"abcd"),
    "list of lengths": ([b"Content-Length: 3, 3"], b"abc"),
    "negative length": ([b"Content-Length: -1"], b""),
    "signed length": ([b"Content-Length: +3"], b"abc"),
    "length that is no number": ([b"Content-Length: 0x3"], b"abc"),
    "bad chunk size": ([CHUNKED], b"ZZ\r\nabc\r\n" + NOTHING),
    "negative chunk size": ([CHUNKED], b"-1\r\nabc\r\n" + NOTHING),
    "folded header": ([b"X-Folded: a\r\n b"], b""),
    "zero byte in a header": ([b"X-Zero: a\0b"], b""),
    "two hosts": ([b"Host: evil.example"], b""),
}


def raw(server: Server, lines: list[bytes], body: bytes = b"", start: bytes = b"") -> bytes:
    start = start or b"POST /accounts/login/ HTTP/1.1"
    usual = [b"Host: localhost:%d" % server.port, b"X-Forwarded-Proto: https"]
    return b"\r\n".join([start, *usual, *lines, b"", b""]) + body


def statuses(heard: bytes) -> list[int]:
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", heard)]


@pytest.mark.parametrize("shape", REFUSED)
def test_w13_a_request_of_two_readings_is_refused(server: Server, shape: str) -> None:
    lines, body = REFUSED[shape]
    heard = server.say(raw(server, lines, body))
    assert statuses(heard) == [400], "one answer, and none to what hides in the body"


def test_w13b_what_follows_a_refused_request_is_never_answered(server: Server) -> None:
    first = raw(server, [b"Content-Length: 3", CHUNKED], NOTHING)
    assert statuses(server.say(first + NEXT)) == [400]


def test_w13c_a_body_is_never_read_as_the_next_request(server: Server) -> None:
    whole = raw(server, [b"Content-Length: %d" % len(NEXT)], NEXT)
    last = raw(server, [b"Connection: close"], start=b"GET /terms/ HTTP/1.1")
    assert statuses(server.say(whole + last)) == [403, 200]


def test_w13d_lines_that_end_in_a_bare_line_feed_make_one_request(server: Server) -> None:
    text = raw(server, [b"Connection: close"], start=b"GET /terms/ HTTP/1.1")
    assert statuses(server.say(text.replace(b"\r\n", b"\n"))) in ([200], [400])
