#!/usr/bin/env python3
"""The one entry. Prepares its own environment on first use, then runs the command in it.

Needs nothing but Python 3.11: this file and the bootstrap use the standard library only.
`demo`, `test`, `mutation` and `bench` run on the embedded stack; every other command is Django's.
"""

import importlib.util
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent
ON_THE_EMBEDDED_STACK = ("demo", "test", "mutation", "bench")


def prepare():
    """Return inside an environment that has every locked package, re-executing if needed."""
    if os.environ.get("CALQSYNC_BOOTSTRAP") == "off":  # an image brings its own environment
        return
    # Loaded by its path: importing the package would need the packages it is about to install.
    path = ROOT / "calqsync" / "local" / "bootstrap.py"
    spec = importlib.util.spec_from_file_location("calqsync_bootstrap", path)
    assert spec is not None
    assert spec.loader is not None
    bootstrap = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = bootstrap
    spec.loader.exec_module(bootstrap)
    bootstrap.prepare(ROOT, sys.argv)


def main():
    if sys.version_info < (3, 11):  # noqa: UP036 - whoever starts this may well have an older one
        sys.exit("CalqSync needs Python 3.11 or newer.")
    prepare()
    if len(sys.argv) > 1 and sys.argv[1] in ON_THE_EMBEDDED_STACK:
        from calqsync.local.cli import run

        sys.exit(run(ROOT, sys.argv[1], sys.argv[2:]))
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calqsync.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
