import os
from pathlib import Path

import pytest


@pytest.fixture
def open_path(tmp_path):
    """A folder that the servers' account can pass through, as a checkout's folder mostly is."""
    top = Path(os.path.realpath(os.environ.get("TMPDIR", "/tmp")))
    for folder in [tmp_path, *tmp_path.parents]:
        if folder.is_relative_to(top) and folder != top:
            folder.chmod(folder.stat().st_mode | 0o111)
    return tmp_path
