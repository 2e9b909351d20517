"""`manage.py mutation`: take each protection away in turn, and see that a test notices.

The servers exist for this run only. Code is changed in a copy of the tree in a temporary folder,
the database in copies of its own; the work tree is never touched.
"""

from __future__ import annotations

import sys
from pathlib import Path

from calqsync.local.stack import Stack
from calqsync.local.testing import watched


def main(root: Path, arguments: list[str]) -> int:
    """Run `tests.mutation` with these arguments; 1 when a mutant survives."""
    with Stack(root, throwaway=True) as stack:
        stack.start_services()
        env = {**stack.env, "TEST_SUPERUSER_URL": stack.superuser_dsn(), "CALQSYNC_ENV": "test"}
        return watched([sys.executable, "-m", "tests.mutation", *arguments], root, env)
