"""Error pages: plain words, a way on, a reference that the log has too, and nothing from within."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.template import loader
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views import defaults

# What happened, and what to do about it. The other statuses have templates of their own.
_WORDS = {
    400: (
        gettext_lazy("This request cannot be read"),
        gettext_lazy("Go back, reload the page, and try again."),
    ),
    405: (
        gettext_lazy("This address does not do that"),
        gettext_lazy("Open the page from the menu instead of from a stored link."),
    ),
    413: (
        gettext_lazy("That was too much at once"),
        gettext_lazy("Nothing was saved. Go back and send less text in one form."),
    ),
    414: (
        gettext_lazy("This address is too long"),
        gettext_lazy("Open the page from the menu, and set fewer filters at once."),
    ),
    429: (
        gettext_lazy("A little too fast"),
        gettext_lazy(
            "So many requests came from you or your company that we pause them for a moment, "
            "so that pages stay quick for everyone. Nothing was changed."
        ),
    ),
    503: (
        gettext_lazy("One part of CalqSync is away"),
        gettext_lazy("Nothing was changed, and your data is safe. Try again in half a minute."),
    ),
}


def page(
    request: HttpRequest,
    status: int,
    *,
    retry_after: int | None = None,
    headers: Mapping[str, str] | None = None,
) -> HttpResponse:
    """The page of this status, JSON for the API; needs neither session nor database."""
    title, text = _WORDS[status]
    if _is_api(request):
        answer: HttpResponse = problem(request, status, str(title), advice=str(text))
    else:
        context = {
            "title": title,
            "text": text,
            "retry_after": retry_after,
            "reference": reference_of(request),
            "request": request,
            "csp_nonce": getattr(request, "csp_nonce", ""),
        }
        answer = HttpResponse(loader.render_to_string("error.html", context), status=status)
    for name, value in (headers or {}).items():
        answer.headers[name] = value
    if retry_after is not None:
        answer.headers["Retry-After"] = str(retry_after)
    return answer


def reference_of(request: HttpRequest) -> str:
    """What the log calls this request."""
    return getattr(request, "reference", "")


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return page(request, 400)


def forbidden(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem(request, 403, _("Your role does not allow this."))
    return defaults.permission_denied(request, exception)


def not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    if _is_api(request):
        return problem(request, 404, _("Not found."))
    return defaults.page_not_found(request, exception)


def server_error(request: HttpRequest) -> HttpResponse:
    if _is_api(request):
        return problem(request, 500, _("Something broke on our side."))
    template = loader.get_template("500.html")
    return HttpResponse(template.render({"reference": reference_of(request)}), status=500)


def _is_api(request: HttpRequest) -> bool:
    return "/api/" in request.path_info


def problem(
    request: HttpRequest,
    status: int,
    detail: str,
    *,
    code: str = "",
    advice: str = "",
    headers: Mapping[str, str] | None = None,
) -> JsonResponse:
    """A failure as programs read it (RFC 9457); `code` names the status where none is given."""
    phrase = HTTPStatus(status).phrase
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": phrase,
        "status": status,
        "detail": detail,
        "code": code or phrase.lower().replace(" ", "_"),
        "advice": advice,
        "reference": reference_of(request),
    }
    kind = "application/problem+json"
    return JsonResponse(body, status=status, content_type=kind, headers=dict(headers or {}))
