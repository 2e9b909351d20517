"""`manage.py test`: the whole suite against real servers that exist only for this run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

from calqsync.local.stack import Stack

SYSTEM_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAX_PROCESSES = 4
RUNS_ALONE = ("-n", "--numprocesses", "--pdb", "-s", "--capture=no", "--collect-only", "--co")
ALSO_ROOT = "apt-get install --yes --no-install-recommends chromium"


def main(root: Path, arguments: list[str]) -> int:
    """Run pytest with `arguments` (paths and options of pytest) and return its status.

    With `--nightly` the long repetitions run, of which the suite runs a sample, and nothing else.
    """
    arguments = asked_for(arguments)
    browser = find_browser(may_install=_may_need_browser(arguments))
    with Stack(root, throwaway=True) as stack:
        stack.start_services()
        env = dict(stack.env)
        env["TEST_SUPERUSER_URL"] = stack.superuser_dsn()
        env["CALQSYNC_ENV"] = "test"
        if browser:
            env["CALQSYNC_CHROMIUM"] = browser
        elif _may_need_browser(arguments):
            print("\nNO BROWSER FOUND: the journeys are skipped.\n", file=sys.stderr, flush=True)
        return _pytest(root, _with_processes(arguments), env)


def asked_for(arguments: list[str]) -> list[str]:
    """The arguments in pytest's words."""
    words = {"--nightly": ["-m", "nightly"]}
    return [word for part in arguments for word in words.get(part, [part])]


def find_browser(*, may_install: bool) -> str | None:
    """The path of a Chromium that starts: the system's, Playwright's, or one installed now."""
    named = os.environ.get("CALQSYNC_CHROMIUM")
    for name in (named, *SYSTEM_BROWSERS):
        path = shutil.which(name) if name else None
        if path and _starts(path):
            return path
    path = _playwright_path()
    if path and _starts(path):
        return path
    if not may_install:
        return None
    print("Getting a browser for the journeys", file=sys.stderr, flush=True)
    fetch = [sys.executable, "-m", "playwright", "install", "chromium"]
    if path and _quietly(fetch) and _starts(path):
        return path
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        if not _quietly(ALSO_ROOT.split(), env=env):
            _quietly(["apt-get", "update"], env=env)
            _quietly(ALSO_ROOT.split(), env=env)
        path = shutil.which("chromium")
        if path and _starts(path):
            return path
    return None


def _playwright_path() -> str | None:
    ask = (
        "from playwright.sync_api import sync_playwright\n"
        "with sync_playwright() as p: print(p.chromium.executable_path)"
    )
    done = subprocess.run(
        [sys.executable, "-c", ask], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout.strip() or None


def _starts(path: str) -> bool:
    return os.path.exists(path) and _quietly([path, "--version"])


def _quietly(command: list[str], env: dict[str, str] | None = None) -> bool:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        done = subprocess.run(command, env=env, capture_output=True, check=False, timeout=300)
        return done.returncode == 0
    return False


def _may_need_browser(arguments: list[str]) -> bool:
    chosen = [part for part in arguments if part.startswith("tests")]
    return not chosen or any("journeys" in part for part in chosen)


def _with_processes(arguments: list[str]) -> list[str]:
    if any(part.split("=")[0] in RUNS_ALONE or part[:2] == "-n" for part in arguments):
        return arguments
    # One more than cores: many tests wait for servers and browsers.
    count = max(2, min(MAX_PROCESSES, (os.cpu_count() or 1) + 1))
    # pytest-randomly shuffles by itself; tests that share servers go to one process.
    return ["-n", str(count), "-p", "tests.scheduling", *arguments]


def _pytest(root: Path, arguments: list[str], env: dict[str, str]) -> int:
    return watched([sys.executable, "-m", "pytest", *arguments], root, env)


def watched(command: list[str], root: Path, env: dict[str, str]) -> int:
    """Run a command that uses the servers, and return its status."""
    with subprocess.Popen(command, cwd=root, env=env) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                # Ctrl-C reached it too; let it report before the servers go away.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    return process.wait(15)
                process.kill()
