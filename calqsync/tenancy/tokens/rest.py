"""What every address of the API for programs is: opened by a token, and refusing in words.

Failures are problems as RFC 9457 has them: `title`, `status`, `detail`, and of ours `code`, which
programs may rely on, `advice`, and `reference`, by which our log knows the request.
"""

from __future__ import annotations

from contextlib import ExitStack
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.http import Http404, HttpRequest
from django.http.response import HttpResponseBase
from django.utils import timezone
from django.utils.translation import gettext as _
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.views import APIView

from calqsync.tenancy.models import Role
from calqsync.tenancy.tokens import door
from calqsync.tenancy.web import errors
from calqsync.tenancy.web.limits import LimitReached


class Problem(Exception):
    """An answer that is none: its status, a code for programs, and words for people."""

    def __init__(self, status: int, code: str, detail: str, advice: str = "") -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.advice = status, code, detail, advice


class TokenView(APIView):
    """Reads the company of the caller's token, for whom both its scope and role allow it.

    `scope` None asks for no more than a living token; `min_role` for more than the scope's role.
    """

    scope: str | None = None
    min_role = Role.INVESTOR
    http_method_names = ["get", "head"]
    # The token was judged before the view began: nobody's cookie opens anything here.
    authentication_classes: Any = []
    permission_classes: Any = []
    bearer: door.Bearer

    @classmethod
    def as_view(cls, **initkwargs: Any) -> Any:
        # A request's own transaction would have begun before this one knows whom it is for.
        return transaction.non_atomic_requests(super().as_view(**initkwargs))

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Any:
        with ExitStack() as held:
            try:
                entered = door.entered(request, now=timezone.now())
                self.bearer = held.enter_context(entered)
            except (door.Refused, LimitReached) as refusal:
                return _refused(request, refusal)
            answer = super().dispatch(request, *args, **kwargs)
            if hasattr(answer, "render"):
                answer.render()  # here, because it may still read rows
        return answer

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if self.scope is not None and not self.bearer.may(self.scope):
            raise Problem(
                403,
                "scope_missing",
                _("This takes a token with the scope “%(scope)s”.") % {"scope": self.scope},
                _("Make a token with it under Settings, API tokens, if your role allows it."),
            )
        if not self.bearer.reaches(self.min_role):
            raise Problem(
                403,
                "role_missing",
                _("The role of the token's owner does not reach this."),
                _("Ask an admin of the company for another role, or use a member's token."),
            )

    def handle_exception(self, exc: Exception) -> Any:
        try:
            return _refused(self.request._request, exc)
        except LookupError:
            return super().handle_exception(exc)


def _refused(request: HttpRequest, failure: Exception) -> HttpResponseBase:
    """The failure as a problem; LookupError for one that nobody expected."""
    if isinstance(failure, (Problem, door.Refused)):
        headers = {}
        if failure.status == HTTPStatus.UNAUTHORIZED:
            error = "" if failure.code == "token_missing" else ', error="invalid_token"'
            headers["WWW-Authenticate"] = f'Bearer realm="CalqSync"{error}'
        return errors.problem(
            request,
            failure.status,
            failure.detail,
            code=failure.code,
            advice=failure.advice,
            headers=headers,
        )
    if isinstance(failure, LimitReached):
        return errors.page(request, 429, retry_after=failure.retry_after)
    if isinstance(failure, Http404):
        return errors.not_found(request, failure)
    if isinstance(failure, PermissionDenied):
        return errors.forbidden(request, failure)
    if isinstance(failure, APIException):
        detail = str(failure.detail)
        code = str(failure.get_codes())
        headers = {"Allow": "GET, HEAD"} if failure.status_code == 405 else {}
        return errors.problem(request, failure.status_code, detail, code=code, headers=headers)
    raise LookupError
