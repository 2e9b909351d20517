"""Forms of one's own account, where allauth's need other words or more care."""

from __future__ import annotations

import secrets as tokens
from typing import Any

from allauth.account.forms import SignupForm
from allauth.mfa.webauthn.forms import AddWebAuthnForm
from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from calqsync.tenancy.models import User


class EvenSignupForm(SignupForm):
    """allauth's form with `CompanySignup` in it; the time that it takes tells nobody anything."""

    # What belongs together stands together: address and password, then the company, then terms.
    field_order = ["email", "password1", "company_name", "accept_terms"]

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


class AddKeyForm(AddWebAuthnForm):
    """A security key or a passkey, in words that do not need to be explained."""

    name = forms.CharField(
        label=_("Name"),
        required=False,
        max_length=60,
        help_text=_("Such as: my phone, key at work."),
    )
    passwordless = forms.BooleanField(
        label=_("Sign in with it alone, without a password"),
        required=False,
        initial=True,
        help_text=_("It then asks for a fingerprint, a face or a PIN. Untick it for a plain key."),
    )
