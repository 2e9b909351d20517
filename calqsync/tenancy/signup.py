"""The sign-up form, which takes as long for a known address as for a new one."""

from __future__ import annotations

import secrets as tokens
from typing import Any

from allauth.account.forms import SignupForm
from django.db import transaction
from django.http import HttpRequest

from calqsync.tenancy.models import User


class EvenSignupForm(SignupForm):
    """allauth's form with `CompanySignup` in it; the time that it takes tells nobody anything."""

    def try_save(self, request: HttpRequest) -> Any:
        if self.account_already_exists:
            # A new account means a password hash, a company and a key. A known address gets the
            # same work, thrown away: else the quick answer would tell that it is known.
            with transaction.atomic():
                nobody = f"{tokens.token_hex(16)}@invalid.example"
                person = User.objects.create_user(nobody, self.cleaned_data["password1"])
                self.signup(request, person)
                transaction.set_rollback(True)
        return super().try_save(request)
