import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from calqsync.local.children import Child, stop_leftovers
from calqsync.local.errors import StackError

SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(60)"]


def child_of(tmp_path, command, name="sleeper"):
    return Child(name, command, home=tmp_path, logs=tmp_path / "logs", env=os.environ, cwd=tmp_path)


def gone(pid, seconds=10):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
    return False


def test_waiting_ends_when_the_process_is_ready(tmp_path):
    child = child_of(tmp_path, SLEEPER)
    child.wait_until(lambda: "up" in child.fresh_log(), seconds=20)
    child.stop()
    child.finish(seconds=10)
    assert gone(child.process.pid)


def test_a_process_that_dies_at_once_is_told_with_its_last_words(tmp_path):
    child = child_of(tmp_path, [sys.executable, "-c", "import sys; sys.exit('no such luck')"])
    with pytest.raises(StackError, match="no such luck"):
        child.wait_until(lambda: False, seconds=20)


def test_a_full_disk_in_a_servers_log_is_told_as_such(tmp_path):
    words = "FATAL: could not write: No space left on device"
    child = child_of(tmp_path, [sys.executable, "-c", f"import sys; sys.exit('{words}')"])
    with pytest.raises(StackError, match="The disk is full"):
        child.wait_until(lambda: False, seconds=20)


def test_a_process_that_never_gets_ready_is_given_up(tmp_path):
    child = child_of(tmp_path, SLEEPER)
    with pytest.raises(StackError, match="was not ready within"):
        child.wait_until(lambda: False, seconds=0.1)
    child.finish(seconds=0)


def test_a_log_of_an_earlier_start_is_not_taken_for_this_one(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "sleeper.log").write_text("up\n")
    child = child_of(tmp_path, [sys.executable, "-c", "import time; time.sleep(60)"])
    assert "up" not in child.fresh_log()
    child.finish(seconds=0)


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
def test_no_child_outlives_a_killed_supervisor(tmp_path):
    program = (
        "import os, sys, time; from pathlib import Path\n"
        "from calqsync.local.children import Child\n"
        "home = Path(sys.argv[1])\n"
        "child = Child('sleeper', [sys.executable, '-c', 'import time; time.sleep(60)'],"
        " home=home, logs=home / 'logs', env=os.environ, cwd=home)\n"
        "print(child.process.pid, flush=True); time.sleep(60)"
    )
    supervisor = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    pid = int(supervisor.stdout.readline())
    supervisor.send_signal(signal.SIGKILL)
    supervisor.wait()
    assert gone(pid)


def test_what_a_killed_supervisor_left_is_stopped_at_the_next_start(tmp_path):
    child = child_of(tmp_path, SLEEPER)
    stop_leftovers(tmp_path)
    assert child.process.wait(10) is not None
    assert not list((tmp_path / "run").iterdir())


def test_a_recycled_process_number_is_left_alone(tmp_path):
    child = child_of(tmp_path, SLEEPER)
    note = tmp_path / "run" / "sleeper.json"
    note.write_text(f'{{"pid": {child.process.pid}, "started": 1.0}}')
    stop_leftovers(tmp_path)
    assert child.process.poll() is None
    child.finish(seconds=0)
