"""Runs a sandbox: in a thread of this process for tests, or as the process itself."""

import asyncio
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from integrations.sandbox.app import App, Logged, Settings, make_app
from integrations.sandbox.company import Company
from integrations.sandbox.control import Control
from integrations.sandbox.faults import Fault
from integrations.sandbox.http import listen
from integrations.sandbox.tokens import Grant
from integrations.sandbox.users import USERS


@dataclass(slots=True)
class Handle:
    """A running sandbox. Stop it, or use it as a context manager."""

    app: App
    base_url: str
    control: Control
    _loop: asyncio.AbstractEventLoop
    _thread: threading.Thread

    @property
    def requests(self) -> list[Logged]:
        """Every request so far: time, method, path, query, status, company id."""
        return list(self.app.log)

    @property
    def counts(self) -> dict[str, object]:
        return self.app.counts()

    def fault(self, kind: str, **options: Any) -> Fault:
        """Switch a fault on (see `faults.Fault` for kinds and options)."""
        return self.app.faults.add(kind, **options)

    def clear_faults(self) -> None:
        self.app.faults.clear()

    def api_key(self, company: Company, *, user: int = 0) -> str:
        """A key for that company, as key login would give it."""
        return self.app.mint.key(Grant(USERS[user].id, company.id))

    def refresh_token(self, company: Company, *, user: int = 0) -> str:
        """A refresh token for that company, as the authorization-code login would give it."""
        return self.app.mint.refresh(Grant(USERS[user].id, company.id))

    def access_token(self, company: Company, *, user: int = 0) -> str:
        return self.app.mint.access(Grant(USERS[user].id, company.id), machine=True)

    def revoke(self, company: Company) -> None:
        """Revoke every key and token of that company made so far."""
        self.app.mint.revoke_company(company.id)

    def suspend(self, what: str = "all") -> None:
        """Refuse our API client for every company: "token", "books" or "all"; "" ends it."""
        self.app.suspended = what

    def stop(self) -> None:
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=10)

    def __enter__(self) -> "Handle":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def start_server(
    companies: Sequence[Company], *, port: int = 0, host: str = "127.0.0.1", **switches: Any
) -> Handle:
    """Serve those companies from a background thread; switches are fields of `app.Settings`."""
    loop = asyncio.new_event_loop()
    app = make_app(list(companies), Settings(**switches), issuer=f"http://{host}")
    control = Control(app)
    app.control = control if app.settings.control else None
    server = loop.run_until_complete(listen(app, host, port, app.busy))
    bound = server.sockets[0].getsockname()[1]

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_forever()
        finally:
            server.close()
            loop.run_until_complete(loop.shutdown_default_executor())
            loop.close()

    thread = threading.Thread(target=run, name="procountor-sandbox", daemon=True)
    thread.start()
    return Handle(app, f"http://{host}:{bound}", control, loop, thread)


def serve(companies: Sequence[Company], settings: Settings, *, host: str, port: int) -> None:
    """Serve until the process is told to stop; port 0 takes a free one and prints it."""
    app = make_app(list(companies), settings, issuer=f"http://{host}:{port}")
    if settings.control:
        app.control = Control(app)

    # The thread that stamps requests must not wait long for the one that answers them.
    sys.setswitchinterval(0.001)

    async def main() -> None:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, told.set)
        server = await listen(app, host, port, app.busy)
        bound = server.sockets[0].getsockname()[1]
        print(f"sandbox ready on http://{host}:{bound}", flush=True)
        await told.wait()
        server.close()

    asyncio.run(main())
