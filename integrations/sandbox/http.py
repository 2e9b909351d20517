"""A small HTTP/1.1 server on asyncio: keep-alive, any number of connections, faults on demand.

The handler is a plain function that answers from memory, one request at a time, in a thread of its
own: a request has the time at which it came, however long the one before it takes. What takes time
on purpose (a slow answer) waits on the loop and holds up nobody else.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

MAX_HEAD = 64 * 1024
MAX_BODY = 4 * 1024 * 1024
_REASONS = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Request:
    """One request and when it came, in monotonic seconds.

    Header names are lower case, the query is not decoded yet.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes = b""
    at: float = field(default_factory=time.monotonic)

    def params(self) -> list[tuple[str, str]]:
        return parse_qsl(self.query, keep_blank_values=True)

    def form(self) -> dict[str, str]:
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))


@dataclass(slots=True)
class Response:
    """An answer; `cut_at` closes the connection after that many bytes of the body."""

    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: list[tuple[str, str]] = field(default_factory=list)
    delay: float = 0.0
    cut_at: int | None = None

    def head(self) -> bytes:
        lines = [
            f"HTTP/1.1 {self.status} {_REASONS.get(self.status, 'Unknown')}",
            f"Content-Type: {self.content_type}",
            f"Content-Length: {len(self.body)}",
            *(f"{name}: {value}" for name, value in self.headers),
        ]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


Handler = Callable[[Request], Response]


class Connection(asyncio.Protocol):
    """Reads requests one after the other and writes their answers in order."""

    def __init__(self, handler: Handler, busy: "InFlight") -> None:
        self.handler = handler
        self.busy = busy
        self.buffer = bytearray()
        self.came = 0.0
        self.answering = False
        self.waiting: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            self._over()
        self.transport = None

    def data_received(self, data: bytes) -> None:
        self.came = time.monotonic()
        self.buffer += data
        self._advance()

    def _advance(self) -> None:
        while self.transport is not None and not self.answering:
            try:
                request = self._parse()
            except ValueError:
                self._finish(Response(400, b"bad request", "text/plain"), close=True)
                return
            if request is None:
                return
            self._answer(request)

    def _parse(self) -> Request | None:
        split = self.buffer.find(b"\r\n\r\n")
        if split < 0:
            if len(self.buffer) > MAX_HEAD:
                raise ValueError("head too long")
            return None
        lines = self.buffer[:split].decode("latin-1").split("\r\n")
        method, target, _ = lines[0].split(" ", 2)
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        if length > MAX_BODY or "transfer-encoding" in headers:
            raise ValueError("body too long or of unknown length")
        end = split + 4 + length
        if len(self.buffer) < end:
            return None
        body = bytes(self.buffer[split + 4 : end])
        del self.buffer[:end]
        path, _, query = target.partition("?")
        return Request(method, unquote(path), query, headers, body, self.came)

    def _answer(self, request: Request) -> None:
        self.busy.enter()
        self.answering = True
        close = request.headers.get("connection", "").lower() == "close"
        answer = asyncio.get_running_loop().run_in_executor(None, self.handler, request)
        answer.add_done_callback(lambda done: self._answered(done.result(), close))

    def _answered(self, response: Response, close: bool) -> None:
        if response.delay and self.transport is not None:
            loop = asyncio.get_running_loop()
            self.waiting = loop.call_later(response.delay, self._send, response, close)
            return
        self._send(response, close)

    def _send(self, response: Response, close: bool) -> None:
        self._over()
        self._finish(response, close=close)
        self._advance()

    def _over(self) -> None:
        self.waiting, self.answering = None, False
        self.busy.leave()

    def _finish(self, response: Response, *, close: bool) -> None:
        transport = self.transport
        if transport is None:
            return
        if response.cut_at is not None:
            transport.write(response.head() + response.body[: response.cut_at])
            transport.close()
            self.transport = None
            return
        transport.write(response.head())
        transport.write(response.body)
        if close:
            transport.close()
            self.transport = None


@dataclass(slots=True)
class InFlight:
    """How many requests are being answered, and the most there have been."""

    now: int = 0
    most: int = 0

    def enter(self) -> None:
        self.now += 1
        self.most = max(self.most, self.now)

    def leave(self) -> None:
        self.now -= 1


async def listen(handler: Handler, host: str, port: int, busy: InFlight) -> asyncio.Server:
    """Start to serve on that address; port 0 takes a free one."""
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(1, thread_name_prefix="sandbox"))
    return await loop.create_server(lambda: Connection(handler, busy), host, port, backlog=256)
