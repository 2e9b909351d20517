"""Real processes that need an access token: `python -m tests.integrations.refreshing …`.

Arguments: tenant id, connection id, how many processes, and how they behave: `well`, or
`dying` between Procountor's answer and the commit of the credential. One line a process: the
token's last characters, or the name of the failure.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from django.conf import settings

ROOT = Path(__file__).resolve().parents[2]


def start(
    connection: object, *, database: str, sandbox: str, count: int = 1, how: str = "well"
) -> subprocess.Popen[str]:
    """Start the processes; they use the test's database, sandbox and API client."""
    env = dict(os.environ)
    for name in ("PROCOUNTOR_CLIENT_ID", "PROCOUNTOR_CLIENT_SECRET"):
        env[name] = getattr(settings, name)
    for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_DISPATCHER_URL"):
        env[name] = env[name].rsplit("/", 1)[0] + f"/{database}"
    env["PROCOUNTOR_BASE_URL"] = sandbox
    arguments = [connection.tenant_id, connection.pk, count, how]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integrations.refreshing", *map(str, arguments)],
        cwd=ROOT,
        env=env,
        stdout=subprocess.PIPE,
        text=True,
    )


def outcomes(process: subprocess.Popen[str]) -> list[str]:
    """What each process said, when all have ended."""
    said, _ = process.communicate(timeout=120)
    return said.split()


def main(tenant_id: int, connection_id: int, count: int, how: str) -> None:
    import django

    django.setup()
    gate, opened = os.pipe()
    children = []
    for _ in range(count):
        child = os.fork()
        if child == 0:
            os.close(opened)
            os.read(gate, 1)  # all start at once, when the last one exists
            _one(tenant_id, connection_id, how)
            os._exit(0)
        children.append(child)
    os.close(opened)
    for child in children:
        os.waitpid(child, 0)


def _one(tenant_id: int, connection_id: int, how: str) -> None:
    from calqsync.tenancy import scope
    from integrations.models import Connection, Credential
    from integrations.procountor.limits import NoLimit
    from integrations.sync import access

    access.limiter = NoLimit
    if how == "dying":
        Credential.save = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)
    try:
        with scope.tenant(tenant_id):
            held = Connection(pk=connection_id, tenant_id=tenant_id)
            said = access.token_fresh(held).value[-12:]
    except Exception as error:
        said = type(error).__name__
    os.write(1, f"{said}\n".encode())


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
