"""Workers, dispatcher and Valkey as real processes, with jobs that cost nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import uuid
from typing import Any

import psycopg2
import redis

from calqsync.local.children import Child
from tests.journeys.running import LEASE_SECONDS, ROOT, JourneyStack

KEYS = iter(range(1_000_000))


class WorkStack(JourneyStack):
    """What a deployment runs without its web server; PostgreSQL is the test run's."""

    def __init__(self) -> None:
        super().__init__()
        self.database = f"calqsync_work_{os.getpid()}"

    def start(self) -> None:
        self.env |= {
            "DJANGO_SETTINGS_MODULE": "tests.jobs.worker_settings",
            "JOB_LEASE_SECONDS": str(LEASE_SECONDS),
            "JOB_HEARTBEAT_SECONDS": "0.5",
            "DISPATCH_SECONDS": "0.3",
            # A machine that stands still makes no worker deaf: only tests of deafness end one.
            "JOB_DEAF_SECONDS": "600",
            # Shorter than many a job takes, so that messages are delivered again while it runs.
            "TESTS_TRANSPORT": json.dumps(
                {"visibility_timeout": 3, "health_check_interval": 2, "socket_timeout": 2}
            ),
        }
        self.start_services()
        migrate = [sys.executable, "-m", "django", "migrate", "--database", "owner", "-v", "0"]
        subprocess.run(migrate, cwd=ROOT, env=self.env, check=True)
        self.rows(
            "CREATE TABLE tests_effect (id bigint GENERATED ALWAYS AS IDENTITY, job_id bigint,"
            " kind text, key text, part int, epoch bigint, node text, tenant_id bigint,"
            " at timestamptz DEFAULT clock_timestamp(), began timestamptz DEFAULT now())"
        )
        self.rows("GRANT SELECT, INSERT ON tests_effect TO calqsync_app")
        self.start_worker(wait=False)
        self.start_beat(wait=False)
        self.hands = self._hands()
        self.await_worker()

    # -- processes -------------------------------------------------------------------------------

    def _hands(self) -> subprocess.Popen[str]:
        hands = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.hands"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=(self.home.logs / "hands.log").open("w"),
            text=True,
            env=self.env,
            cwd=ROOT,
        )
        self._exit.callback(hands.kill)
        self._line_of(hands)
        return hands

    @staticmethod
    def _line_of(hands: subprocess.Popen[str]) -> dict[str, Any]:
        assert hands.stdout
        # Logs of the process go to the same place; answers are the lines that are ours.
        while line := hands.stdout.readline():
            if line.startswith(('{"answer"', '{"ready"')):
                return dict(json.loads(line))
        raise AssertionError("the hands have died")

    def told(self, **wish: Any) -> dict[str, Any]:
        """What the process that enqueues answers."""
        assert self.hands.stdin
        self.hands.stdin.write(json.dumps(wish) + "\n")
        self.hands.stdin.flush()
        return self._line_of(self.hands)

    def extra_worker(self, name: str, lanes: str, **env: str) -> Child:
        """One more worker, by its own name; stop it with `stop_child`."""
        command = ["-m", "celery", "-A", "calqsync", "worker", "-n", f"{name}@%h", "-c", "1"]
        before, self.env = self.env, self.env | env
        try:
            child = self._python(name, *command, "-Q", lanes, "-l", "INFO", "--without-mingle")
        finally:
            self.env = before
        child.wait_until(lambda: " ready." in child.fresh_log(), seconds=180)
        return child

    def extra_beat(self, name: str, **env: str) -> Child:
        scheduler = "calqsync.jobs.beat:DispatchScheduler"
        before, self.env = self.env, self.env | env
        try:
            return self._python(name, "-m", "celery", "-A", "calqsync", "beat", "-S", scheduler)
        finally:
            self.env = before

    def health(self, **env: str) -> subprocess.CompletedProcess[str]:
        """What an orchestrator learns about this machine's workers."""
        command = [sys.executable, "-m", "django", "health", "worker"]
        asked = self.env | env
        return subprocess.run(command, cwd=ROOT, env=asked, capture_output=True, text=True)

    def signal_group(self, name: str, sign: signal.Signals) -> None:
        """To a worker and its processes at once, as when their machine stops."""
        os.killpg(self.children[name].process.pid, sign)

    def stop_valkey(self) -> None:
        self.stop_child("valkey", sign=signal.SIGKILL)

    def start_valkey(self) -> None:
        self.children["valkey"] = self.valkey.start()
        self.children["valkey"].wait_until(self.valkey.answers, seconds=120)

    def _start_valkey(self) -> Any:
        self.valkey = super()._start_valkey()
        return self.valkey

    @property
    def broker(self) -> redis.Redis:
        return redis.Redis.from_url(self.env["REDIS_URL"])

    # -- work ------------------------------------------------------------------------------------

    def tenant(self) -> int:
        return int(self.told(do="tenant", name=f"t{uuid.uuid4().hex[:12]}")["answer"])

    def enqueue(
        self, tenant: int, kind: str, *, keys: int = 1, priority: int = 1, **payload: Any
    ) -> list[int]:
        """Ids of so many new jobs, enqueued by another process as a page does it."""
        names = [str(next(KEYS)) for _ in range(keys)]
        return list(
            self.told(
                do="enqueue",
                tenant=tenant,
                kind=kind,
                keys=names,
                payload=payload,
                priority=priority,
            )["answer"]
        )

    def insert(
        self, tenant: int, kind: str, lane: str, *, keys: int = 1, **payload: Any
    ) -> list[int]:
        """As `enqueue`, in any lane and without ringing: the dispatcher finds them."""
        first = next(KEYS)
        return [
            job
            for (job,) in self.rows(
                "INSERT INTO jobs_job (tenant_id, kind, key, queue, payload, state, lease_owner,"
                " epoch, attempts, deliveries, wanted_again, cancel_requested, error_class, error)"
                " SELECT %s, %s, %s || '-' || n, %s, %s, 'queued', '', 0, 0, 0, false, false, '',"
                " '' FROM generate_series(1, %s) n RETURNING id",
                *(tenant, kind, first, lane, json.dumps(payload), keys),
            )
        ]

    def holder(self, job: int) -> str:
        """The name of the worker that runs the job."""
        node = self.one("SELECT lease_owner FROM jobs_job WHERE id = %s", job)
        return str(node).split("@")[0]

    def states(self, jobs: list[int]) -> dict[str, int]:
        """How many of the jobs are in which state."""
        return dict(
            self.rows("SELECT state, count(*) FROM jobs_job WHERE id = ANY(%s) GROUP BY 1", jobs)
        )

    def await_done(self, jobs: list[int], *, seconds: float = 180) -> None:
        def all_done() -> bool:
            return self.states(jobs) == {"done": len(jobs)}

        self.until(all_done, seconds=seconds)

    def release(self, jobs: list[int]) -> None:
        """Let jobs of the kind `tests.held` come to their end."""
        self.rows("INSERT INTO tests_effect (job_id, kind) SELECT unnest(%s), 'release'", jobs)

    def effects(self, jobs: list[int]) -> dict[int, int]:
        """How many effects each of the jobs had."""
        found = dict(
            self.rows(
                "SELECT job_id, count(*) FROM tests_effect WHERE job_id = ANY(%s) GROUP BY 1", jobs
            )
        )
        return {job: found.get(job, 0) for job in jobs}

    def each_once(self, jobs: list[int]) -> bool:
        return set(self.effects(jobs).values()) == {1}

    def drop_database(self) -> None:
        self._truth.close()
        server = psycopg2.connect(self._superuser)
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute(f'DROP DATABASE IF EXISTS "{self.database}" WITH (FORCE)')
        server.close()
