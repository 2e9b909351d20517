"""Mutants of the code: a guard's condition, a filter, a door, taken away one at a time."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROLES = "tests/tenancy/test_isolation_roles.py"
LAYERS = "tests/tenancy/test_isolation_layers.py"
SQL = "tests/tenancy/test_isolation.py"
CONNECTIONS = "tests/tenancy/test_isolation_connections.py"
STATEMENTS = "tests/tenancy/test_isolation_statements.py"
TASKS = "tests/tenancy/test_isolation_tasks.py"
PROCESSES = "tests/tenancy/test_isolation_processes.py"
_DOOR = re.compile(
    r"^@tenant_view\((?P<inside>[^\n]*)\)\n(?=(?:@[^\n]*\n)*def (?P<view>\w+))", re.MULTILINE
)
# Not every module of views has the name.
_LOWEST = '__import__("calqsync.tenancy.models").tenancy.models.Role.INVESTOR'


@dataclass(frozen=True, slots=True)
class Edit:
    """One place of one file that is changed, and the tests to ask."""

    kind: str
    name: str
    file: str
    before: str
    after: str
    tests: tuple[str, ...]
    at: int = -1  # where, if `before` stands in the file more than once


class NothingToChange(RuntimeError):
    """The code that a mutant changes is not there any more: the mutant must follow it."""


FIXED = [
    Edit(
        "manager's filter", "the manager asks for the tenant's rows", "calqsync/tenancy/owned.py",
        "get_queryset().filter(tenant_id=tenant_id)", "get_queryset()", (LAYERS, "-k", "manager"),
    ),
    Edit(
        "manager's refusal", "the manager refuses without a tenant", "calqsync/tenancy/owned.py",
        "if tenant_id is None:", "if False:", (SQL,),
    ),
    Edit(
        "manager's refusal", "the manager refuses outside a transaction",
        "calqsync/tenancy/owned.py",
        "if not connections[self.db].in_atomic_block:", "if False:", (SQL,),
    ),
    Edit(
        "membership check", "the door asks for the member", "calqsync/tenancy/access.py",
        "WHERE m.user_id = %(user)s ORDER", "WHERE (m.user_id = %(user)s OR TRUE) ORDER",
        (LAYERS, "-k", "door"),
    ),
    Edit(
        "role check", "the door asks for the role", "calqsync/tenancy/access.py",
        "if not request.membership.may(min_role):", "if False:", (ROLES,),
    ),
    Edit(
        "role check", "a role allows no more than itself", "calqsync/tenancy/models.py",
        "return self.rank >= needed.rank", "return True", (ROLES,),
    ),
    Edit(
        "scope", "the scope ends with its block", "calqsync/tenancy/scope.py",
        "        _scope.reset(before)\n", "        pass\n", (SQL, TASKS),
    ),
    Edit(
        "scope", "a running transaction hears of a new scope",
        "calqsync/tenancy/backend/cursors.py",
        "if wanted == self.told:", "if self.told not in (_NOBODY, None):", (CONNECTIONS,),
    ),
    Edit(
        "scope", "what a savepoint undoes is told anew", "calqsync/tenancy/backend/cursors.py",
        'None if self.statusmessage == "ROLLBACK" else wanted', "wanted or connection.told",
        (STATEMENTS,),
    ),
    Edit(
        "scope", "what ended before its answer was read is told anew",
        "calqsync/tenancy/backend/cursors.py",
        "        connection.told = None\n", "        pass\n", (STATEMENTS,),
    ),
    Edit(
        "scope", "a server's cursor is told before it reads", "calqsync/tenancy/backend/cursors.py",
        "    def fetchall(self) -> Any:\n        self._tell()\n",
        "    def fetchall(self) -> Any:\n", (STATEMENTS,),
    ),
    Edit(
        "scope", "the tenant is local to a transaction", "calqsync/tenancy/backend/cursors.py",
        "set_config('app.tenant', %b, true)", "set_config('app.tenant', %b, false)",
        (CONNECTIONS,),
    ),
    Edit(
        "scope", "each transaction is told its tenant", "calqsync/tenancy/backend/cursors.py",
        "return level + _SETTINGS % tuple(map(self._quoted, wanted)), wanted",
        "return level, wanted", (CONNECTIONS,),
    ),
    Edit(
        "task's scope", "a task opens its tenant", "calqsync/jobs/runner.py",
        "with scope.tenant(tenant_id), ", "with ", (TASKS,),
    ),
    Edit(
        "task's scope", "a task refuses another's tenant", "calqsync/jobs/runner.py",
        "if scope.current() is not None:", "if False:", (TASKS,),
    ),
    Edit(
        "start-up refusal", "worker and beat ask for their rights", "calqsync/celery.py",
        "    exit_on_dangerous_role()\n", "    pass\n", (PROCESSES, "-k", "starts"),
    ),
    Edit(
        "start-up refusal", "the web server asks for its rights", "calqsync/wsgi.py",
        "\nexit_on_dangerous_role()\n", "\n", (PROCESSES, "-k", "starts"),
    ),
]  # fmt: skip


def edits(root: Path) -> list[Edit]:
    """The fixed ones, and for each view of a company its door and its role."""
    found = [*FIXED]
    for room in ("calqsync", "billing", "integrations", "reporting"):
        for path in sorted((root / room).rglob("*.py")):
            found += _doors(str(path.relative_to(root)), path.read_text("utf-8"))
    for edit in found:
        if edit.before not in (root / edit.file).read_text("utf-8"):
            raise NothingToChange(f"{edit.file} has no {edit.before!r}: {edit.name}")
    return found


def _doors(file: str, text: str) -> list[Edit]:
    found = []
    for match in _DOOR.finditer(text):
        name = f"{file}:{match['view']}"
        guard = ("tests/architecture/test_url_guard.py", "-k", "door or signing_in")
        found.append(Edit("view's door", name, file, match[0], "", guard, match.start()))
        inside = match["inside"]
        if "Role.INVESTOR" not in inside:
            fresh = re.search(r"fresh=\w+", inside)
            lowered = ", ".join([_LOWEST, *([fresh[0]] if fresh else [])])
            found.append(
                Edit("view's role", name, file, match[0], f"@tenant_view({lowered})\n", (ROLES,),
                     match.start())
            )  # fmt: skip
    return found


def apply(edit: Edit, root: Path) -> str:
    """Change the file below this folder; returns the text as it was."""
    path = root / edit.file
    text = path.read_text("utf-8")
    at = edit.at if edit.at >= 0 else text.index(edit.before)
    path.write_text(text[:at] + edit.after + text[at + len(edit.before) :], "utf-8")
    return text
