"""`manage.py create_roles`: the four database roles and the database, before the first migrate."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.management.base import BaseCommand, CommandError

from calqsync.tenancy.isolation import roles

VARIABLES = {
    roles.OWNER: "DATABASE_OWNER_URL",
    roles.APP: "DATABASE_URL",
    roles.DISPATCHER: "DATABASE_DISPATCHER_URL",
    roles.SUPPORT: "DATABASE_SUPPORT_URL",
}


class Command(BaseCommand):
    help = (
        "Create the database roles with the passwords of the DATABASE_*_URL variables, and the "
        "database. Needs DATABASE_SUPERUSER_URL; safe to repeat."
    )
    requires_system_checks = []

    def handle(self, *args: Any, **options: Any) -> None:
        superuser = os.environ.get("DATABASE_SUPERUSER_URL")
        if not superuser:
            raise CommandError("DATABASE_SUPERUSER_URL is not set.")
        passwords, databases = {}, set()
        for role, variable in VARIABLES.items():
            address = urlsplit(os.environ.get(variable, ""))
            if address.username != role or not address.password:
                raise CommandError(f"{variable} must name the role {role} and its password.")
            passwords[role] = unquote(address.password)
            databases.add(address.path.lstrip("/"))
        if len(databases) != 1:
            raise CommandError("The DATABASE_*_URL variables name different databases.")
        roles.create_roles(superuser, passwords, databases.pop())
