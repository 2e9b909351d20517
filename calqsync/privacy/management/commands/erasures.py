"""`manage.py erasures`: carry the ledger of erasures out of reach of backups, and replay it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from calqsync.privacy.services import ledger
from calqsync.privacy.services.replay import replay


class Command(BaseCommand):
    help = (
        "The ledger of erasures: `export` writes it to a file that is kept apart from the backups,"
        " `import` adds such a file to a restored database, `replay` erases again what came back."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("action", choices=["export", "import", "replay"])
        parser.add_argument("file", nargs="?", help="a file; - or nothing is standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        action, file = options["action"], options["file"] or "-"
        try:
            getattr(self, f"_{action}")(file)
        except ledger.LedgerDamaged as error:
            raise CommandError(f"{error}. {error.advice}") from None

    def _export(self, file: str) -> None:
        text = ledger.ledger_text()
        if file == "-":
            self.stdout.write(text, ending="")
            return
        # Beside the file first, so that a full disk never leaves half a ledger.
        path = Path(file)
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)

    def _import(self, file: str) -> None:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
        self.stdout.write(f"{ledger.ledger_add(ledger.ledger_read(text))} lines added")

    def _replay(self, _file: str) -> None:
        done = replay(ledger.ledger_lines(), now=timezone.now())
        self.stdout.write(
            f"erased again: {done.tenants} companies, {done.people} people,"
            f" {done.contacts} contacts"
        )
