"""Real processes on this test run's database: a broker of their own, a worker and a dispatcher."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import redis
from celery import Celery
from django.db import connections

from calqsync.local.stack import WORKERS, Stack

ROOT = Path(__file__).parents[2]
_VARIABLES = {
    "DATABASE_URL": "default",
    "DATABASE_OWNER_URL": "owner",
    "DATABASE_DISPATCHER_URL": "dispatcher",
    "DATABASE_SUPPORT_URL": "support",
}
# A worker that died is noticed in seconds, and an import is many slices.
QUICK = {
    "JOB_LEASE_SECONDS": "2",
    "JOB_HEARTBEAT_SECONDS": "0.4",
    "DISPATCH_SECONDS": "0.4",
    "JOB_SLICE_SECONDS": "0.25",
    "PROCOUNTOR_MAX_RPS": "200",
}


class Machines(Stack):
    """A worker as the product starts it, which may be killed, frozen and replaced."""

    def __init__(self, *, procountor: str, client: dict[str, str]) -> None:
        super().__init__(ROOT, throwaway=True)
        self._given = {
            "PROCOUNTOR_BASE_URL": procountor,
            "PROCOUNTOR_CLIENT_ID": client["client_id"],
            "PROCOUNTOR_CLIENT_SECRET": client["client_secret"],
        }
        self.frozen: list[psutil.Process] = []

    def start(self) -> None:
        self.env |= QUICK | self._given
        self.start_services()
        self.start_worker(wait=False)
        self.start_beat(wait=False)
        self.await_worker()

    def nudge(self, tenant_id: int, job_id: int, kind: str, queue: str) -> bool:
        """Ring these processes' own broker, as a web process of theirs would."""
        broker = Celery(broker=self.env["REDIS_URL"])
        broker.send_task(kind, args=[tenant_id, job_id], queue=queue, retry=False)
        broker.close()
        return True

    def forget(self) -> None:
        """The broker loses its memory."""
        with redis.Redis.from_url(self.env["REDIS_URL"]) as valkey:
            valkey.flushall()

    def kill_worker(self) -> None:
        """SIGKILL to the worker of all lanes and its children; another one starts at once."""
        self.thaw()
        child = self.children.pop("worker")
        os.killpg(child.process.pid, signal.SIGKILL)
        child.finish(seconds=10)
        self.start_worker(wait=False)

    def kill_holder(self, owner: str) -> None:
        """SIGKILL to the one process that holds a job, named as its lease names it."""
        if process := self._holder(owner):
            process.kill()
            self.frozen = [one for one in self.frozen if one.pid != process.pid]

    def freeze(self, owner: str) -> None:
        """SIGSTOP to the process that holds a job."""
        if not self.frozen and (process := self._holder(owner)):
            process.suspend()
            self.frozen.append(process)

    def thaw(self) -> None:
        while self.frozen:
            process = self.frozen.pop()
            if process.is_running():
                process.resume()

    def _holder(self, owner: str) -> psutil.Process | None:
        """A pool process; the job is claimed by its main thread, whose number is the process's."""
        pid = int(owner.rsplit(":", 1)[1])
        workers = [self.children[name].process.pid for name in WORKERS if name in self.children]
        pool = [one for number in workers for one in psutil.Process(number).children()]
        return next((one for one in pool if one.pid == pid), None)

    def until(self, holds: Callable[[], Any], *, seconds: float = 240) -> Any:
        """Wait until `holds()` is true; fails when a process ends or time runs out."""
        deadline = time.monotonic() + seconds
        while not (found := holds()):
            self.check()
            assert time.monotonic() < deadline, f"{holds.__name__} did not come true"
            time.sleep(0.05)
        return found

    def _start_postgres(self) -> None:
        for variable, alias in _VARIABLES.items():
            name = str(connections[alias].settings_dict["NAME"])
            self.env[variable] = urlsplit(os.environ[variable])._replace(path=f"/{name}").geturl()
