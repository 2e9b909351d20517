"""How accounts behave: allauth's adapter with our landing page and e-mail rules."""

from __future__ import annotations

import time
from typing import Any

from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.utils import is_mfa_enabled
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme


class AccountAdapter(DefaultAccountAdapter):
    def is_safe_url(self, url: str | None) -> bool:
        # Only our own relative paths: never another host, whatever the request's Host says.
        return bool(
            url and url.startswith("/") and url_has_allowed_host_and_scheme(url, allowed_hosts=None)
        )

    def save_user(self, request: HttpRequest, user: Any, form: Any, commit: bool = True) -> Any:
        user = super().save_user(request, user, form, commit=False)
        user.email = user.email.lower()
        if commit:
            user.save()
        return user


def recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session proved who it is within the last ten minutes, by any method."""
    records = get_authentication_records(request, request.user)
    at = max((record["at"] for record in records), default=0.0)
    return time.time() - at < app_settings.REAUTHENTICATION_TIMEOUT


def has_second_step(user: Any) -> bool:
    """Whether signing in as this person asks for more than a password."""
    return bool(is_mfa_enabled(user))
