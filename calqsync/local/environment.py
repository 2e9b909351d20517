"""The environment of the stack's processes: what each is given, and what it is not."""

from __future__ import annotations

import re
from collections.abc import Mapping

from calqsync.local.home import Home

ROLE_VARIABLES = {
    "DATABASE_URL": "calqsync_app",
    "DATABASE_OWNER_URL": "calqsync_owner",
    "DATABASE_DISPATCHER_URL": "calqsync_dispatcher",
    "DATABASE_SUPPORT_URL": "calqsync_support",
}
_DATABASE_ADDRESS = re.compile(r"(TEST_SUPERUSER|DATABASE(_[A-Z]+)?)_URL(_FILE)?")
# What each process is given of the database's addresses, by the first word of its name; the
# owner's serves `migrate` alone.
_MAY_CONNECT = {
    "web": {"DATABASE_URL", "DATABASE_DISPATCHER_URL", "DATABASE_SUPPORT_URL"},
    "worker": {"DATABASE_URL"},
    "beat": {"DATABASE_URL", "DATABASE_DISPATCHER_URL"},
}


def environment_of(home: Home, outer: Mapping[str, str], *, throwaway: bool) -> dict[str, str]:
    """What every process of the stack needs, under the caller's own environment `outer`.

    Makes the folders for mails and static files in `home`.
    """
    secrets = home.secrets()
    mail, static = home.folder / "mail", home.folder / "static"
    mail.mkdir(mode=0o700, exist_ok=True)
    static.mkdir(exist_ok=True)
    defaults = {
        "CALQSYNC_ENV": "test" if throwaway else "demo",
        "SECRET_KEY": secrets["secret_key"],
        "ENCRYPTION_KEYS": secrets["encryption_keys"],
        "EMAIL_FILE_DIR": str(mail),
        "STATIC_ROOT": str(static),
        "PROCOUNTOR_CLIENT_ID": secrets["procountor_client_id"],
        "PROCOUNTOR_CLIENT_SECRET": secrets["procountor_client_secret"],
        "DJANGO_SETTINGS_MODULE": "calqsync.settings",
        # On one machine a worker is dead soon after it falls silent.
        "JOB_LEASE_SECONDS": "20",
        "JOB_HEARTBEAT_SECONDS": "4",
        "DISPATCH_SECONDS": "2",
    }
    direct = [outer.get("NO_PROXY", outer.get("no_proxy", "")), "localhost", "127.0.0.1"]
    hosts = ",".join(name for name in direct if name)
    return {**defaults, **outer, "NO_PROXY": hosts, "no_proxy": hosts}


def without_other_roles(process: str, env: Mapping[str, str]) -> dict[str, str]:
    """The environment without the database addresses that this process has no use for."""
    given = _MAY_CONNECT.get(process.split("-", 1)[0], set())
    return {
        name: value
        for name, value in env.items()
        if not _DATABASE_ADDRESS.fullmatch(name) or name.removesuffix("_FILE") in given
    }
