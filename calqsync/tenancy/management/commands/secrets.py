"""`manage.py secrets rotate | check | retire`: the life of the key-encryption keys."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from calqsync.tenancy import rotation, secrets
from calqsync.tenancy.models import KeyEncryptionKey


class Command(BaseCommand):
    help = "Rotate the key-encryption key, prove that every secret opens, retire an old key."

    def add_arguments(self, parser: CommandParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        acts.add_parser("rotate", help="wrap everything with the first of ENCRYPTION_KEYS")
        check = acts.add_parser("check", help="open every sealed value, and count rows by key")
        check.add_argument("--all", action="store_true", help="all raw documents, not a sample")
        check.add_argument("--retire", metavar="KEY", help="fail if any row still needs this key")
        retire = acts.add_parser("retire", help="give a key up that no row needs any more")
        retire.add_argument("key")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        secrets.refuse_wrong_keys()
        if act == "rotate":
            self.rotate()
        elif act == "check":
            self.check_all(everything=options["all"], retiring=options["retire"] or "")
        else:
            self.retire(options["key"])

    def rotate(self) -> None:
        report = rotation.rotate()
        self.say(f"{report.rewrapped} wrapped with {secrets.current_key_id()}.")
        self.tell(report)
        left = sum(rows for key, rows in report.by_key.items() if key != secrets.current_key_id())
        if left:
            raise CommandError(f"Not done: {left} rows still need another key. Run it again.")
        self.say("Done. Older keys may be retired: manage.py secrets retire KEY.")

    def check_all(self, *, everything: bool, retiring: str) -> None:
        report = rotation.check(everything=everything)
        self.say(f"{report.opened} sealed values opened.")
        self.tell(report)
        if retiring and (rows := report.by_key[retiring]):
            raise CommandError(str(rotation.StillNeeded(retiring, rows)))

    def retire(self, key: str) -> None:
        if key == secrets.current_key_id():
            raise CommandError(f"{key} is the current key. Put another first in ENCRYPTION_KEYS.")
        try:
            rotation.retire(key)
        except KeyEncryptionKey.DoesNotExist:
            raise CommandError(f"No key {key} is known.") from None
        except rotation.StillNeeded as problem:
            raise CommandError(str(problem)) from None
        self.say(f"{key} is retired. Take it out of ENCRYPTION_KEYS of every process.")

    def tell(self, report: rotation.Report) -> None:
        for key, rows in sorted(report.by_key.items()):
            self.say(f"  key {key}: {rows} rows")
        for problem in report.unreadable:
            self.stderr.write(f"  unreadable: {problem}")
        if report.unreadable:
            raise CommandError("Some secrets cannot be read; see above.")

    def say(self, line: str) -> None:
        self.stdout.write(line)
