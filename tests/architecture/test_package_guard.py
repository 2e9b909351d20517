"""The packages that the project is fixed to are required, and really used."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = ("calqsync", "integrations", "reporting", "billing")
# The module that each brings, and whether the product uses it or its tests alone.
PACKAGES = {
    "django": ("django", PRODUCT),
    "djangorestframework": ("rest_framework", PRODUCT),
    "celery": ("celery", PRODUCT),
    "redis": ("redis", PRODUCT),
    "requests-oauthlib": ("requests_oauthlib", PRODUCT),
    "psycopg2-binary": ("psycopg2", PRODUCT),
    "pandas": ("pandas", PRODUCT),
    "pytest-django": ("pytest_django", ("tests",)),
    "responses": ("responses", ("tests",)),
}


def imported(room: str) -> set[str]:
    """The packages that code of this room imports when it runs, wherever in it."""
    found: set[str] = set()
    for path in (ROOT / room).rglob("*.py"):
        waiting: list[ast.AST] = [ast.parse(path.read_text())]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Import):
                found |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                waiting += node.orelse
            else:
                waiting += ast.iter_child_nodes(node)
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_that_stays_is_required_and_imported(package: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lists = [project["dependencies"], *project["optional-dependencies"].values()]
    required = {re.split(r"[\[<>=~!; ]", one)[0].lower() for asked in lists for one in asked}
    module, rooms = PACKAGES[package]
    assert package in required
    assert any(module in imported(room) for room in rooms)
