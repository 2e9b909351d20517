"""The running processes hold the database roles that they need, and no others."""

import psutil
import pytest

from calqsync.tenancy.isolation import roles
from tests.journeys.running import TOGETHER

pytestmark = TOGETHER


@pytest.mark.parametrize("process", ["web", "worker", "worker-now", "beat", "sandbox"])
def test_no_running_process_has_the_owners_address(stack, process):
    parent = psutil.Process(stack.children[process].process.pid)
    for child in (parent, *parent.children(recursive=True)):
        names = set(child.environ())
        assert not names & {"DATABASE_OWNER_URL", "TEST_SUPERUSER_URL", "DATABASE_SUPERUSER_URL"}
        assert ("DATABASE_DISPATCHER_URL" in names) == (process in {"web", "beat"})
        assert ("DATABASE_SUPPORT_URL" in names) == (process == "web")


def test_the_running_processes_use_the_serving_roles_alone(stack):
    used = stack.rows(
        "SELECT DISTINCT usename::text FROM pg_stat_activity WHERE datname = current_database()"
        " AND pid <> pg_backend_pid() AND usename IS NOT NULL"
    )
    found = {name for (name,) in used}
    assert roles.APP in found
    assert found <= set(roles.SERVING)
