"""`manage.py check_isolation`: audits the catalog, and fails where tenants are not kept apart."""

from __future__ import annotations

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from calqsync.tenancy.isolation import catalog


class Command(BaseCommand):
    help = (
        "Audit tables, policies, keys, grants, roles, functions and views against what models and"
        " migrations say. Prints each finding and exits 1 when there is any; changes nothing."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--database", default="default", help="whose connection to use")
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *args: Any, database: str, json: bool, **options: Any) -> None:
        with connections[database].cursor() as cursor:
            try:
                findings = catalog.audit(cursor.cursor)
            except catalog.NothingToAudit as problem:
                raise CommandError(str(problem)) from problem
        self.stdout.write(_as_json(findings) if json else _as_text(findings))
        if findings:
            raise CommandError(f"{len(findings)} findings: tenants are not kept apart.")


def _as_text(findings: list[catalog.Finding]) -> str:
    return "\n".join(map(str, findings)) or "Every table, policy, key and grant is as it must be."


def _as_json(findings: list[catalog.Finding]) -> str:
    rows = [
        {"rule": f.rule, "subject": f.subject, "problem": f.problem, "advice": f.advice}
        for f in findings
    ]
    return json.dumps({"ok": not rows, "findings": rows})
