"""Which tests one process runs together: a file's share its fixtures, journeys their servers.

A plugin of its own because the scheduler is chosen before any folder's conftest is read.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/journeys/",)
# What takes minutes by itself, so that no process is left alone with it at the end.
FIRST = ("tests/journeys/", "tests/model/test_machine.py", "tests/jobs/test_workers.py")


class ByServers(LoadScopeScheduling):
    """Hands out whole files, and the folders of TOGETHER as one."""

    def _split_scope(self, nodeid: str) -> str:
        return next(
            (folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::", 1)[0]
        )

    def _assign_work_unit(self, node: Any) -> None:
        long = next((scope for scope in FIRST if scope in self.workqueue), None)
        if long is not None:
            self.workqueue.move_to_end(long, last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers:
    return ByServers(config, log)
