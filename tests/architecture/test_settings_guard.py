"""Every setting that comes from the environment is documented, and reaches a deployment."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Read by all processes; the addresses of single roles go to those that need them.
_READ = re.compile(r'env\.\w+\(\s*"([A-Z][A-Z_]+)"')
_ROLES = {"DATABASE_OWNER_URL", "DATABASE_DISPATCHER_URL", "DATABASE_SUPPORT_URL"}
NOT_IN_COMPOSE = {
    "EMAIL_FILE_DIR": "mails into a folder are for the demo",
    "STATIC_ROOT": "the image says where its files lie",
}


def read():
    found = set(_READ.findall((ROOT / "calqsync/settings.py").read_text())) | _ROLES
    assert len(found) > 25, "the scan found hardly any setting, so it guards nothing"
    return found


def test_the_readme_explains_every_setting():
    table = re.findall(r"^\| (`[^|]*) \|", (ROOT / "README.md").read_text(), re.MULTILINE)
    explained = {name for cell in table for name in re.findall(r"`([A-Z_]+)`", cell)}
    assert read() - explained == set()


def test_the_deployment_passes_every_setting_on():
    passed = re.findall(
        r"^\s+([A-Z][A-Z_]+):", (ROOT / "docker-compose.yml").read_text(), re.MULTILINE
    )
    assert read() - set(passed) - set(NOT_IN_COMPOSE) == set()
    assert set(passed) & set(NOT_IN_COMPOSE) == set()


def test_no_empty_key_signs_anything():
    script = (
        "import json; from django.conf import settings as s;"
        " print(json.dumps([s.SECRET_KEY, *s.SECRET_KEY_FALLBACKS]))"
    )
    keys = {"SECRET_KEY": "now\n", "SECRET_KEY_FALLBACKS": " older, ,,oldest\n"}
    run = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "calqsync.settings", **keys},
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    assert json.loads(run.stdout) == ["now", "older", "oldest"]
