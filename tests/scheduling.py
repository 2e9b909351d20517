"""Which tests one process runs together: a file's share its fixtures, journeys their servers.

A plugin of its own because the scheduler is chosen before any folder's conftest is read.
"""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = ("tests/journeys/",)


class ByServers(LoadScopeScheduling):
    """Hands out whole files, and the folders of TOGETHER as one."""

    def _split_scope(self, nodeid: str) -> str:
        return next(
            (folder for folder in TOGETHER if nodeid.startswith(folder)), nodeid.split("::", 1)[0]
        )


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByServers:
    return ByServers(config, log)
