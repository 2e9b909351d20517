"""A web process's hands: enqueues what it is told, line by line, and says how long it took."""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def tenant(name: str) -> int:
    from calqsync.tenancy.models import User
    from calqsync.tenancy.services import tenant_create

    owner = User.objects.create_user(f"{name}@example.com", "correct horse battery", name=name)
    return int(tenant_create(name=name, owner=owner).pk)


def enqueue(
    tenant: int, kind: str, keys: list[str], payload: dict[str, Any], priority: int
) -> list[int]:
    from calqsync.jobs import services
    from calqsync.jobs.models import Priority
    from calqsync.tenancy import scope

    with scope.tenant(tenant):
        return [
            services.enqueue(kind=kind, key=key, payload=payload, priority=Priority(priority)).pk
            for key in keys
        ]


def main() -> None:
    import django
    from django.db import close_old_connections, transaction

    django.setup()
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        wish = json.loads(line)
        close_old_connections()  # as before each request
        began = time.monotonic()
        with transaction.atomic():
            answer = {"tenant": tenant, "enqueue": enqueue}[wish.pop("do")](**wish)
        seconds = time.monotonic() - began
        print(json.dumps({"answer": answer, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
