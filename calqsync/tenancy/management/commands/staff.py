"""Make a person support staff, or end that. No page of the product can."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from allauth.account.models import EmailAddress
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.models import SupportGrant, User


class Command(BaseCommand):
    help = "staff add|remove EMAIL, or staff list: who may use the support console"

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        for act in ("add", "remove"):
            acts.add_parser(act).add_argument("email")
        acts.add_parser("list")

    def handle(self, *args: Any, act: str, email: str = "", **options: Any) -> None:
        if act == "list":
            self._list()
            return
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}. They sign up first, as anyone does.")
        if act == "add":
            self._add(user)
        else:
            self._remove(user)

    def _list(self) -> None:
        for user in User.objects.filter(is_staff=True).order_by("email"):
            second = "two steps" if sign_in.has_second_step(user) else "no second step yet"
            self.stdout.write(f"{user.email}  {second}")

    def _add(self, user: User) -> None:
        verified = EmailAddress.objects.filter(user=user, email=user.email, verified=True)
        if not (user.is_active and verified.exists()):
            raise CommandError(f"{user.email} is not active, or the address is not confirmed yet.")
        user.is_staff = True
        user.save(update_fields=["is_staff"])
        self.stdout.write(f"{user.email} is support staff.")
        if not sign_in.has_second_step(user):
            self.stdout.write("The console stays closed until they turn two-step sign-in on.")

    def _remove(self, user: User) -> None:
        user.is_staff = user.is_superuser = False
        user.save(update_fields=["is_staff", "is_superuser"])
        grants = SupportGrant.unscoped.using(scope.SUPPORT).filter(staff=user.pk, ended_at=None)
        for pk, tenant_id in grants.values_list("pk", "tenant_id"):
            with transaction.atomic(), scope.tenant(tenant_id):
                SupportGrant.objects.filter(pk=pk).update(ended_at=timezone.now())
        self.stdout.write(f"{user.email} is no longer support staff; their grants have ended.")
