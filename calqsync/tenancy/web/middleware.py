"""What every answer has, whatever made it: headers, a reference, sizes and methods that we take."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

import sentry_sdk
import structlog
from csp.constants import SELF
from django.conf import settings
from django.contrib.auth.signals import user_logged_out
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.utils.cache import patch_cache_control
from whitenoise.middleware import WhiteNoiseFileResponse

from calqsync.tenancy.web import errors
from calqsync.tenancy.web.limits import LimitReached

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
# Longer than any address that we make or that a login sends people back with.
ADDRESS_BYTES = 8_192
_NOTHING_ALLOWED = ["accelerometer", "camera", "display-capture", "geolocation", "gyroscope"]
_NOTHING_ALLOWED += ["magnetometer", "microphone", "midi", "payment", "usb"]
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "CalqSync",
    "X-Permitted-Cross-Domain-Policies": "none",
    "Permissions-Policy": ", ".join(f"{name}=()" for name in _NOTHING_ALLOWED),
}

Answer = Callable[[HttpRequest], HttpResponse]


class WebMiddleware:
    """Stands outside nearly everything, so that refusals of the parts within have it all too."""

    def __init__(self, get_response: Answer) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        reference = secrets.token_hex(6)
        request.reference = reference  # type: ignore[attr-defined]
        sentry_sdk.set_tag("reference", reference)
        # Left in place: the framework logs refusals after this has returned, and the next request
        # of this thread has its own.
        structlog.contextvars.bind_contextvars(reference=reference)
        response = _refused(request) or self.get_response(request)
        if response.status_code == 405 and not response.content and request.method != "HEAD":
            # A link kept from a form's answer: a page with a way on, instead of the browser's own.
            response = errors.page(request, 405, headers={"Allow": response.headers["Allow"]})
        return _with_headers(request, response)

    def process_exception(self, request: HttpRequest, failure: Exception) -> HttpResponse | None:
        """The page that says when to go on, after too much of something."""
        if isinstance(failure, LimitReached):
            return errors.page(request, 429, retry_after=failure.retry_after)
        return None


def _refused(request: HttpRequest) -> HttpResponse | None:
    """The answer to what no part of the product is asked for; None for everything else."""
    if request.method == "OPTIONS":
        return HttpResponse(status=204, headers={"Allow": ", ".join(METHODS)})
    if request.method not in METHODS:
        return errors.page(request, 405, headers={"Allow": ", ".join(METHODS)})
    if len(request.META.get("QUERY_STRING", "")) + len(request.path) > ADDRESS_BYTES:
        return errors.page(request, 414)
    if "HTTP_TRANSFER_ENCODING" in request.META:
        # A body in pieces is never sent to us, and with a length beside it attacks the proxy.
        return errors.page(request, 400)
    if _length(request) > settings.DATA_UPLOAD_MAX_MEMORY_SIZE:
        return errors.page(request, 413)
    if settings.ADMIN_HOSTS and _of_admin(request):
        host, _port = split_domain_port(request.META.get("HTTP_HOST", "").lower())
        if host not in settings.ADMIN_HOSTS:
            return errors.not_found(request, Http404())
    return None


def _length(request: HttpRequest) -> int:
    said = request.META.get("CONTENT_LENGTH") or "0"
    return int(said) if said.isdecimal() else 0


def _of_admin(request: HttpRequest) -> bool:
    return request.path_info.startswith("/admin/")


def _with_headers(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    if request.is_secure() and settings.SECURE_HSTS_SECONDS:
        hsts = f"max-age={settings.SECURE_HSTS_SECONDS}; includeSubDomains; preload"
        response.headers.setdefault("Strict-Transport-Security", hsts)
    if not isinstance(response, WhiteNoiseFileResponse):
        # Nothing here is meant for a cache: not a proxy's, not the one behind Back.
        patch_cache_control(response, private=True, no_store=True)
        response.headers["X-Request-ID"] = request.reference  # type: ignore[attr-defined]
    if getattr(request, "signed_out", False):
        response.headers["Clear-Site-Data"] = '"cache", "storage"'
    if _of_admin(request):
        # Its scripts come from Django's own files, in templates that know no nonce.
        response._csp_update = {"script-src": [SELF]}  # type: ignore[attr-defined]
    return response


def _note_sign_out(sender: Any, request: HttpRequest | None, **_more: Any) -> None:
    if request is not None:
        request.signed_out = True  # type: ignore[attr-defined]


user_logged_out.connect(_note_sign_out, dispatch_uid="calqsync_clear_site_data")


def nonce(request: HttpRequest) -> dict[str, Any]:
    """Template context: the nonce under the name that our templates and htmx look for."""
    return {"csp_nonce": getattr(request, "csp_nonce", "")}
