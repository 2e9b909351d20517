"""How accounts behave: allauth's adapters with our rules for mails, sessions and second steps."""

from __future__ import annotations

import base64
import os
import re
import smtplib
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import structlog
from allauth.account import app_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import (
    get_authentication_records,
    record_authentication,
)
from allauth.account.internal.flows.reauthentication import (
    stash_and_reauthenticate,
    suspend_request,
)
from allauth.account.utils import get_next_redirect_url
from allauth.core.exceptions import ImmediateHttpResponse, ReauthenticationRequired
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from allauth.mfa.utils import is_mfa_enabled
from allauth.usersessions.internal.flows.sessions import end_other_sessions
from allauth.usersessions.models import UserSession
from django.conf import settings
from django.contrib import messages
from django.contrib.auth import logout
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme, urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from calqsync.tenancy import scope
from calqsync.tenancy.audit import acting
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.secrets import SecretUnreadable, open_for_person, seal_for_person
from calqsync.tenancy.web import errors

log = structlog.get_logger(__name__)

SECOND_STEPS = [Authenticator.Type.TOTP, Authenticator.Type.WEBAUTHN]
# How exactly the last use of a session is known: one write in so long, not one a page.
SEEN_EVERY = timedelta(minutes=5)
# A browser remembers so many of the people who signed in with it.
PEOPLE_A_BROWSER = 5
# Form fields whose values are kept nowhere, not even for a minute in a session.
_SECRET_FIELDS = re.compile(r"key|secret|password|credential|code|(?<!csrfmiddleware)token")
_BEGAN, _SEEN = "session_began", "session_seen"


class AccountAdapter(DefaultAccountAdapter):
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "too_many_login_attempts": gettext_lazy(
            "Too many attempts. Wait five minutes, after many of them up to an hour, and try again."
        ),
        "rate_limited": gettext_lazy("A little too fast. Wait a moment, then try again."),
    }
    # Whether the person cannot go on without the mail that is being sent.
    awaited = True

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

    def post_login(self, request: HttpRequest, user: Any, **kwargs: Any) -> HttpResponse:
        """Sign-in is done: tell the person if this browser was never theirs before."""
        response = super().post_login(request, user, **kwargs)
        if not get_authentication_records(request, user):
            # Who has just chosen a password and typed the code need not do it again at once.
            record_authentication(request, user, method="signup")
        name, salt = settings.BROWSER_COOKIE_NAME, "known browser"
        known = (request.get_signed_cookie(name, default="", salt=salt) or "").split()
        if str(user.public_id) not in known:
            if not kwargs.get("signup"):
                self.send_notification_mail("account/email/new_sign_in", user)
            response.set_signed_cookie(
                name,
                " ".join([str(user.public_id), *known][:PEOPLE_A_BROWSER]),
                salt=salt,
                max_age=timedelta(days=365),
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        return response

    def is_reauthentication_required(self, *, app: str, **kwargs: Any) -> bool:
        # One meaning of "recently" everywhere: a sign-in of this moment counts as well.
        asked = super().is_reauthentication_required(app=app, **kwargs)
        return asked and not recently_authenticated(self.request)

    def send_mail(self, template_prefix: str, email: str, context: dict[str, Any]) -> None:
        """Send a mail; one that somebody waits for undoes the whole request when it cannot go."""
        try:
            # Links go to our own address, whatever host the request named.
            super().send_mail(template_prefix, email, {**context, "site": settings.SITE_URL})
        except (smtplib.SMTPException, OSError) as failure:
            log.error("mail.server_failed", mail=template_prefix, error=type(failure).__name__)
            if not self.awaited:
                return
            # allauth takes the answer below for a good end, so that raising alone undoes nothing.
            transaction.set_rollback(True)
            answer = errors.page(self.request, 503, retry_after=60)
            raise ImmediateHttpResponse(answer) from failure

    def get_password_change_redirect_url(self, request: HttpRequest) -> str:
        return reverse("account")

    def get_reset_password_from_key_url(self, key: str) -> str:
        path = reverse("account_reset_password_from_key", kwargs={"uidb36": "U", "key": "K"})
        return settings.SITE_URL + path.replace("U-K", quote(key))

    def send_notification_mail(self, *args: Any, **kwargs: Any) -> None:
        """Tell the person what changed; the change stands even if the mail cannot be sent."""
        self.awaited = False
        super().send_notification_mail(*args, **kwargs)
        self.awaited = True


class SecondStepAdapter(DefaultMFAAdapter):
    def encrypt(self, text: str) -> str:
        return seal_for_person(text)

    def decrypt(self, encrypted_text: str) -> str:
        """The secret, or one that no code fits: damage refuses, and is no error page."""
        try:
            return open_for_person(encrypted_text)
        except SecretUnreadable as problem:
            log.error("sign_in.secret_unreadable", problem=str(problem))
            return base64.b32encode(os.urandom(20)).decode()

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        # What the browser shows when it asks for a passkey.
        return {**super().get_public_key_credential_rp_entity(), "name": "CalqSync"}

    def generate_authenticator_name(self, user: Any, type: Authenticator.Type) -> str:
        number = Authenticator.objects.filter(user=user, type=type).count() + 1
        return _("Key %(number)s") % {"number": number}


def recently_authenticated(request: HttpRequest) -> bool:
    """Whether this session proved who it is within the last ten minutes, by any method."""
    records = get_authentication_records(request, request.user)
    at = max((record["at"] for record in records), default=0.0)
    return time.time() - at < app_settings.REAUTHENTICATION_TIMEOUT


def has_second_step(user: Any) -> bool:
    """Whether signing in as this person asks for more than a password."""
    return bool(is_mfa_enabled(user, SECOND_STEPS))


def ask_again(request: HttpRequest) -> HttpResponse:
    """The way to the page that asks who it is, and back.

    What was sent is kept in the session and done afterwards, without being sent again. A form
    with a secret in it is not kept: the person comes back to the page and sends it once more.
    """
    asking = _asking_page(request)
    if request.headers.get("HX-Request"):
        answer = HttpResponse(status=204)
        answer.headers["HX-Redirect"] = _asking(asking, _came_from(request, "HX-Current-URL"))
        return answer
    if request.method != "POST":
        return redirect(_asking(asking, request.get_full_path()))
    if request.FILES or any(_SECRET_FIELDS.search(name) for name in request.POST):
        messages.info(request, _("Confirm that it is you, then send the form again."))
        return redirect(_asking(asking, _came_from(request, "Referer")))
    suspend_request(request, asking)
    # By its path alone: allauth finds what it kept by that.
    return redirect(_asking(asking, request.path))


def ask_before_export(request: HttpRequest) -> HttpResponse | None:
    """The way to the page that asks who it is, for a download by an old sign-in; None for a recent.

    It leads back to the page of the download, with its filters, and not to the file: that would
    leave the person on the form that asks.
    """
    if recently_authenticated(request):
        return None
    asked = request.GET.copy()
    asked.pop("format", None)
    page = f"{request.path}?{asked.urlencode()}" if asked else request.path
    came_back = f"{__name__}.{export_again.__name__}"
    stash_and_reauthenticate(request, {"page": page}, came_back)
    asking = _asking(_asking_page(request), page)
    if request.headers.get("HX-Request"):
        return HttpResponse(status=204, headers={"HX-Redirect": asking})
    return redirect(asking)


def export_again(request: HttpRequest, state: dict[str, str]) -> HttpResponse:
    """Back on the page of a download; elsewhere when it was given up and something else asked."""
    then = get_next_redirect_url(request) or state["page"]
    if then == state["page"]:
        messages.info(request, _("Confirmed. Press Export again."))
    return redirect(then)


def _asking_page(request: HttpRequest) -> str:
    methods = AccountAdapter(request).get_reauthentication_methods(request.user)
    return methods[0]["url"] if methods else reverse("account_login")


def _asking(page: str, then: str) -> str:
    return f"{page}?{urlencode({'next': then})}"


def _came_from(request: HttpRequest, header: str) -> str:
    """The page of ours from which the request came, or the start page."""
    parts = urlsplit(request.headers.get(header, ""))
    return parts.path if parts.netloc == request.get_host() and parts.path else "/"


def session_over(*, began: datetime, seen: datetime, staff: bool, now: datetime) -> bool:
    """Whether a session has been unused, or has lasted, for too long."""
    idle = settings.STAFF_SESSION_IDLE if staff else settings.SESSION_IDLE
    life = settings.STAFF_SESSION_LIFE if staff else settings.SESSION_LIFE
    return bool(now - seen > idle or now - began > life)


class SessionRules:
    """Ends sessions that are over, and notes when each was last used."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.user.is_authenticated:
            keep_session(request, now=timezone.now())
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        # allauth would keep what was sent whatever is in it: a new password, too.
        return ask_again(request) if isinstance(failure, ReauthenticationRequired) else None


def keep_session(request: HttpRequest, *, now: datetime) -> None:
    """End the session of a signed-in person if it is over; else note that it is in use."""
    session, staff = request.session, bool(getattr(request.user, "is_staff", False))
    began, seen = _instant(session.get(_BEGAN)), _instant(session.get(_SEEN))
    if session_over(began=began or now, seen=seen or now, staff=staff, now=now):
        logout(request)
        messages.info(request, _("You were signed out because the session was old. Sign in again."))
        return
    if began is None:
        session[_BEGAN] = now.timestamp()
    if seen is None or now - seen >= SEEN_EVERY:
        session[_SEEN] = now.timestamp()
        if acting.client_address(request):
            UserSession.objects.create_from_request(request)


def _instant(stored: float | None) -> datetime | None:
    return None if stored is None else datetime.fromtimestamp(stored, tz=UTC)


def _begin_session(sender: Any, request: HttpRequest, **_more: Any) -> None:
    # A second sign-in in the same browser begins anew, whatever the first one left.
    request.session[_BEGAN] = request.session[_SEEN] = timezone.now().timestamp()


def requiring_second_step(user: Any) -> list[str]:
    """The names of this person's companies that ask for two-step sign-in."""
    with scope.user(user.pk):
        tenants = Tenant.objects.filter(mfa_required=True).order_by("name")
        return list(tenants.values_list("name", flat=True))


def _second_step_changed(sender: Any, request: HttpRequest, user: Any, **_more: Any) -> None:
    # Whoever else is signed in as this person signed in by the old rules.
    end_other_sessions(request, user)


def _keep_last_second_step(sender: Any, request: HttpRequest, user: Any, **_more: Any) -> None:
    """Refuse what has just been removed, which undoes it: the request is one transaction."""
    if has_second_step(user):
        return
    if asking := requiring_second_step(user):
        text = _("%(companies)s asks for two-step sign-in, so your last second step stays.")
        messages.error(request, text % {"companies": ", ".join(asking)})
        raise ImmediateHttpResponse(redirect("mfa_index"))


def _use_up_first_digits(
    sender: Any, request: HttpRequest, authenticator: Any, **_more: Any
) -> None:
    """The digits that turned the app on must not sign in as well."""
    if authenticator and authenticator.type == Authenticator.Type.TOTP:
        authenticator.wrap().validate_code(request.POST.get("code", ""))


authenticator_added.connect(_use_up_first_digits, dispatch_uid="calqsync_first_digits")
user_logged_in.connect(_begin_session, dispatch_uid="calqsync_session_begins")
authenticator_removed.connect(_keep_last_second_step, dispatch_uid="calqsync_last_second_step")
for _signal in (authenticator_added, authenticator_removed, authenticator_reset):
    _signal.connect(_second_step_changed, dispatch_uid="calqsync_end_other_sessions")
