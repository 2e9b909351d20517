"""One supervisor for every process that CalqSync needs, embedded or the user's own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from types import TracebackType

from calqsync.local.children import Child, stop_leftovers
from calqsync.local.environment import ROLE_VARIABLES, environment_of, without_other_roles
from calqsync.local.errors import StackError, os_sentence
from calqsync.local.home import Home, free_port, port_is_free, throwaway_home
from calqsync.local.servers import START_SECONDS, Postgres, Valkey

DATABASE = "calqsync"
STATE_FOLDER = ".calqsync"
# A company of 200 000 invoices takes its time to be made, once.
COMPANY_SECONDS = 300
LANES = "interactive,sync,report,mail,control"
# The second is kept free for what a person asked for.
WORKERS = {"worker": LANES, "worker-now": "interactive"}
# These are started anew when they end. One that ends so soon would only do it again.
_STARTED_ANEW = ("beat", *WORKERS)
_TOO_SOON = 10.0
# The last started is stopped first; nothing loses its database while it still works.
STOP_ORDER = ("beat", "worker", "worker-now", "web", "sandbox", "valkey", "postgres")


def granian_options(*, host: str, port: int, workers: int) -> list[str]:
    """The web server's command line: HTTP/1 alone, and no patience with half a header."""
    return [
        *("--interface", "wsgi", "--host", host, "--port", str(port)),
        *("--workers", str(workers), "--blocking-threads", "1"),
        *("--http", "1", "--no-ws", "--http1-header-read-timeout", "10000"),
    ]


class Stack:
    """The processes of one folder; use as a context manager, so that none stays behind.

    `env` holds what every process needs in its environment. `DATABASE_URL`, `REDIS_URL` and
    `PROCOUNTOR_BASE_URL` in the caller's environment replace the embedded part of that name.
    With `throwaway` the data live in a temporary folder that is deleted at the end, and unless
    `durable` the database does not wait for the disk.
    """

    def __init__(self, root: Path, *, throwaway: bool, durable: bool | None = None) -> None:
        self.root = root
        self.throwaway = throwaway
        self.durable = not throwaway if durable is None else durable
        self.env: dict[str, str] = dict(os.environ)
        self.children: dict[str, Child] = {}
        self.home: Home
        self.postgres: Postgres | None = None
        self._exit = contextlib.ExitStack()

    def __enter__(self) -> Stack:
        try:
            if self.throwaway:
                logs = self.root / STATE_FOLDER / "logs"
                self.home = self._exit.enter_context(throwaway_home(logs))
            else:
                self.home = Home(self.root / STATE_FOLDER)
                self.home.open()
                self._exit.callback(self.home.close)
                stop_leftovers(self.home.folder)
            outer = environment_of(self.home, self.env, throwaway=self.throwaway)
            self.env = {**outer, "PYTHONPATH": str(self.root)}
            self.serve_at(8000)
        except OSError as problem:
            self._exit.close()
            raise StackError(os_sentence(problem)) from problem
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stop()
            if self.throwaway and kind is None:
                shutil.rmtree(self.home.logs, ignore_errors=True)
        finally:
            self._exit.close()

    # -- servers ---------------------------------------------------------------------------------

    def start_services(self) -> None:
        """Start PostgreSQL and Valkey side by side; make roles and database on first use."""
        try:
            valkey = self._start_valkey()
            if self._replaced("DATABASE_URL"):
                self._check_database_variables()
            else:
                self._start_postgres()
            if valkey:
                self._await_valkey(valkey)
        except OSError as problem:
            raise StackError(os_sentence(problem)) from problem

    def superuser_dsn(self, database: str = "postgres") -> str:
        """The address of a database for the embedded server's superuser."""
        if self.postgres is None:
            raise StackError("The superuser's address is known for the embedded database only.")
        return self.postgres.dsn(database)

    def use_database(self, name: str) -> None:
        """Make the database with its four roles if there is none, and point `env` at it."""
        from calqsync.tenancy.isolation.roles import create_roles

        assert self.postgres is not None
        secrets = self.home.secrets()
        passwords = {role: secrets[role] for role in ROLE_VARIABLES.values()}
        create_roles(self.postgres.dsn(), passwords, name)
        for variable, role in ROLE_VARIABLES.items():
            self.env[variable] = self.postgres.address(role, passwords[role], name)

    def migrate(self) -> None:
        """Bring the schema up to date in a process of its own."""
        command = [sys.executable, "-m", "django", "migrate", "--database", "owner", "-v", "0"]
        done = subprocess.run(
            command, cwd=self.root, env=self.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["It left no message."])[-1]
            raise StackError(f"The database could not be brought up to date. {last}")

    def start_all(
        self, *, companies: Sequence[str], port: int | None = None, sandbox: Sequence[str] = ()
    ) -> str:
        """Servers, schema, sandbox with these companies, worker, beat and web; its address.

        `sandbox` are further options of the sandbox's command line.
        """
        self.start_services()
        self.serve_at(port or free_port())
        options = [*self.sandbox_options(companies), *sandbox]
        procountor = self.start_sandbox(*options, wait=False)
        address = self.start_web(int(self.env["SITE_URL"].rsplit(":", 1)[1]), wait=False)
        self.start_worker(wait=False)
        self.migrate()
        self.start_beat()
        if procountor:
            self.await_http(self.children["sandbox"], f"{procountor}/", seconds=COMPANY_SECONDS)
        self.await_web()
        self.await_worker()
        return address

    def sandbox_options(self, companies: Sequence[str]) -> list[str]:
        """The sandbox's command line for these companies and our API client."""
        return [
            *("--companies", *companies),
            # A random secret may begin with a dash, which would be an option by itself.
            f"--client-id={self.env['PROCOUNTOR_CLIENT_ID']}",
            f"--client-secret={self.env['PROCOUNTOR_CLIENT_SECRET']}",
            *("--redirect-uri", self.env["PROCOUNTOR_REDIRECT_URI"]),
        ]

    # -- our own processes -----------------------------------------------------------------------

    def start_sandbox(self, *options: str, wait: bool = True) -> str | None:
        """Start the Procountor stand-in; returns its address (None if the user brings a server).

        `options` go to `python -m integrations.sandbox` as they are.
        """
        if self._replaced("PROCOUNTOR_BASE_URL"):
            return None
        port = self.home.port("sandbox")
        address = f"http://127.0.0.1:{port}"
        self.env["PROCOUNTOR_BASE_URL"] = address
        command = ["-m", "integrations.sandbox", "--port", str(port), *options]
        child = self._python("sandbox", *command)
        if wait:
            self.await_http(child, f"{address}/")
        return address

    def start_web(self, port: int, *, wait: bool = True) -> str:
        """Start the web server; returns its address."""
        if not port_is_free(port):
            raise StackError(
                f"Port {port} is in use by another program. Stop that program, or choose another "
                f"port: python3 manage.py demo --port {port + 1 if port < 65535 else 8001}"
            )
        self.serve_at(port)
        workers = min(2, os.cpu_count() or 1)
        options = granian_options(host="127.0.0.1", port=port, workers=workers)
        self._python("web", "-m", "granian", *options, "calqsync.wsgi:application")
        if wait:
            self.await_web()
        return self.env["SITE_URL"]

    def await_web(self) -> None:
        """Return once the web server reports that it and its database are well."""
        port = self.env["SITE_URL"].rsplit(":", 1)[1]
        address = f"http://127.0.0.1:{port}/healthz"
        self.await_http(self.children["web"], address, host=f"localhost:{port}")

    def start_worker(self, *, concurrency: int = 2, wait: bool = True) -> None:
        """Start the Celery workers: one for all lanes, one kept free for what people ask for.

        One that runs already is left alone.
        """
        for name, processes in (("worker", concurrency), ("worker-now", 1)):
            if name not in self.children:
                self._start_one(name, processes)
        if wait:
            self.await_worker()

    def _start_one(self, name: str, concurrency: int) -> Child:
        options = ["-c", str(concurrency), "-Q", WORKERS[name], "-l", "INFO", "--without-mingle"]
        return self._python(
            name,
            *("-m", "celery", "-A", "calqsync", "worker", "-n", f"{name}@%h", *options),
            orphan_signal=signal.SIGKILL,  # a graceful end would wait for a broker that is gone
        )

    def await_worker(self) -> None:
        """Return once the workers take messages."""
        for name in WORKERS:
            child = self.children[name]
            child.wait_until(partial(child.has_logged, " ready."), seconds=START_SECONDS)

    def stop_workers(self, *, sign: signal.Signals = signal.SIGTERM) -> None:
        """End the workers and wait for them; with SIGKILL as a crash of their machine would."""
        for name in WORKERS:
            self.children[name].process.send_signal(sign)
        for name in WORKERS:
            self.children.pop(name).finish(seconds=20)

    def start_beat(self, *, wait: bool = True) -> Child:
        """Start the dispatcher, which hands out due jobs."""
        scheduler = "calqsync.jobs.beat:DispatchScheduler"
        options = ["beat", "-S", scheduler, "-l", "INFO"]
        child = self._python("beat", "-m", "celery", "-A", "calqsync", *options)
        if wait:
            child.wait_until(partial(child.has_logged, "Starting"), seconds=START_SECONDS)
        return child

    # -- the whole -------------------------------------------------------------------------------

    def check(self) -> None:
        """Raise StackError if a process has ended; workers and dispatcher are started anew."""
        for name, child in list(self.children.items()):
            if name in _STARTED_ANEW and child.ended_after(_TOO_SOON):
                child.finish(seconds=0)
                self.children[name] = child.again()
            else:
                child.check()

    def stop_child(self, name: str, *, sign: signal.Signals = signal.SIGTERM) -> None:
        """End one process and wait for it; with SIGKILL as a crash would."""
        child = self.children.pop(name)
        child.process.send_signal(sign)
        child.finish(seconds=20)

    def stop(self) -> None:
        """End every process in order. A second Ctrl-C meanwhile is ignored: it takes seconds."""
        before = {}
        with contextlib.suppress(ValueError):  # not in the main thread: no handlers to hold back
            before = {
                number: signal.signal(number, signal.SIG_IGN)
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
            }
        try:
            ours = [n for n in STOP_ORDER if n in self.children and n not in STOP_ORDER[-2:]]
            for name in ours:
                self.children[name].stop()
            for name in ours:
                self.children.pop(name).finish(seconds=10)
            for name in STOP_ORDER[-2:]:
                if name in self.children:
                    self.children[name].stop()
            for name in STOP_ORDER[-2:]:
                if name in self.children:
                    self.children.pop(name).finish(seconds=20)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    # -- parts -----------------------------------------------------------------------------------

    def serve_at(self, port: int) -> None:
        """Set the address that pages and the OAuth callback are reached under."""
        site = f"http://localhost:{port}"
        self.env["SITE_URL"] = site
        if not self._replaced("PROCOUNTOR_REDIRECT_URI"):
            self.env["PROCOUNTOR_REDIRECT_URI"] = f"{site}/integrations/procountor/callback/"

    def _replaced(self, variable: str) -> bool:
        return not self.throwaway and bool(os.environ.get(variable))

    def _check_database_variables(self) -> None:
        absent = [name for name in ROLE_VARIABLES if not os.environ.get(name)]
        if absent:
            raise StackError(
                f"DATABASE_URL is set, so these are needed too: {', '.join(absent)}. "
                "Unset DATABASE_URL to use the embedded database."
            )

    def _start_postgres(self) -> None:
        self.postgres = Postgres(self.home, durable=self.durable)
        child = self.children["postgres"] = self.postgres.start()
        child.wait_until(self.postgres.answers, seconds=START_SECONDS)
        self.use_database(DATABASE)

    def _start_valkey(self) -> Valkey | None:
        if self._replaced("REDIS_URL"):
            return None
        valkey = Valkey(self.home)
        self.env["REDIS_URL"] = valkey.address()
        self.children["valkey"] = valkey.start()
        return valkey

    def _await_valkey(self, valkey: Valkey) -> None:
        try:
            self.children["valkey"].wait_until(valkey.answers, seconds=START_SECONDS)
        except StackError:
            child = self.children["valkey"]
            if child.process.poll() is None or "append" not in child.tail().lower():
                raise
            # A file cut short by a crash: nudges are lost, the job rows are not.
            valkey.set_aside()
            self.children["valkey"] = valkey.start()
            self.children["valkey"].wait_until(valkey.answers, seconds=START_SECONDS)

    def _python(
        self, name: str, *arguments: str, orphan_signal: signal.Signals | None = None
    ) -> Child:
        child = self.children[name] = Child(
            name,
            [sys.executable, *arguments],
            home=self.home.folder,
            logs=self.home.logs,
            env=without_other_roles(name, self.env) | {"PYTHONUNBUFFERED": "1"},
            cwd=self.root,
            orphan_signal=orphan_signal,
        )
        return child

    def await_http(
        self, child: Child, address: str, *, host: str = "", seconds: float = START_SECONDS
    ) -> None:
        """Return once the address answers 200; StackError when the process ends before."""
        probe = _Probe(address, host)
        child.wait_until(probe.answers, seconds=seconds, why_not=probe.why_not)


class _Probe:
    """Asks one address of this machine whether it answers 200."""

    def __init__(self, address: str, host: str) -> None:
        # The proxies of the environment are for the outside.
        self._opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        headers = {"Host": host} if host else {}
        self._request = urllib.request.Request(address, headers=headers)  # noqa: S310
        self._last = ""

    def answers(self) -> bool:
        try:
            with self._opener.open(self._request, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError as problem:  # URLError and HTTPError are of this kind
            self._last = str(problem)
            return False

    def why_not(self) -> str:
        return f" ({self._last})" if self._last else ""


def pick_port(wanted: int) -> int:
    """The wanted port if it is free, else any free one."""
    return wanted if port_is_free(wanted) else free_port()
