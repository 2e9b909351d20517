"""PgBouncer in transaction mode in front of the test database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import DatabaseError, connections

from calqsync.local.home import free_port

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextmanager
def pooled(alias: str = "default", *, size: int = 1) -> Iterator[str]:
    """The alias goes through a pool of so many server connections; the pool's address for it."""
    assert PGBOUNCER
    settings = connections[alias].settings_dict
    port = free_port()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)  # its own user must read it
        (folder / "users").write_text(f'"{settings["USER"]}" "{settings["PASSWORD"]}"\n')
        (folder / "ini").write_text(
            f"[databases]\n* = host={settings['HOST']} port={settings['PORT']}\n[pgbouncer]\n"
            f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
            f"auth_file = {folder}/users\npool_mode = transaction\ndefault_pool_size = {size}\n"
            "max_client_conn = 50\nquery_wait_timeout = 20\n"
            "ignore_startup_parameters = options\n"
        )
        # It refuses to run as root.
        account = {"user": "nobody"} if os.geteuid() == 0 else {}
        process = subprocess.Popen([PGBOUNCER, str(folder / "ini")], **account)
        before = {"HOST": settings["HOST"], "PORT": settings["PORT"]}
        connections[alias].close()
        settings.update(HOST="127.0.0.1", PORT=port)
        try:
            _until_it_answers(alias, process)
            user = f"{settings['USER']}:{settings['PASSWORD']}"
            yield f"postgres://{user}@127.0.0.1:{port}/{settings['NAME']}"
        finally:
            connections[alias].close()
            settings.update(before)
            process.send_signal(signal.SIGINT)
            process.wait(10)


def _until_it_answers(alias: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            connections[alias].ensure_connection()
            return
        except DatabaseError:
            assert process.poll() is None, "PgBouncer ended"
            assert time.monotonic() < deadline
            time.sleep(0.05)
