"""To Procountor's login and back: start, callback, pasted key, confirm."""

from __future__ import annotations

import secrets as tokens
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, cast
from uuid import UUID

import structlog
from django.conf import settings
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_safe

from billing.gate import PlanNeeded
from calqsync.tenancy import scope
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.models import Role, Tenant
from calqsync.tenancy.web.limits import limited
from integrations.forms import KeyForm, NameForm
from integrations.models import ConnectFlow, Connection
from integrations.models.connections import GrantKind
from integrations.services import connect, refusals
from integrations.services.names import suggested_name
from integrations.services.refusals import ConnectRefused
from integrations.views.words import Words

log = structlog.get_logger(__name__)


def connection_of(public_id: UUID) -> Connection:
    """The tenant's connection with this id; 404 for any other."""
    found: Connection | None = Connection.objects.filter(public_id=public_id).first()
    if found is None:
        raise Http404
    return found


def plan_needed(request: TenantRequest, failure: PlanNeeded) -> HttpResponse:
    """The way on when trial and plan have ended."""
    messages.warning(request, str(failure))
    return redirect("plan", request.tenant.slug)


def posted(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """A change by POST; whoever opens its address as a page is led back to where the button is.

    That happens after a sign-in or a password asked in between, and with Back.
    """

    @wraps(view)
    def answer(request: TenantRequest, **kwargs: Any) -> HttpResponse:
        if request.method == "POST":
            return view(request, **kwargs)
        if request.method not in {"GET", "HEAD"}:
            return HttpResponseNotAllowed(["POST"])
        if "public_id" not in kwargs:
            return redirect("integrations", request.tenant.slug)
        with transaction.atomic():
            found = connection_of(kwargs["public_id"])
        return redirect("connection", request.tenant.slug, found.public_id)

    return answer


@tenant_view(Role.ADMIN, fresh=True)
@posted
@limited("connect")
def connect_start(request: TenantRequest) -> HttpResponse:
    kind = GrantKind.REFRESH_TOKEN if request.POST.get("way") == "code" else GrantKind.API_KEY
    return to_login(request, kind=kind, connection=None)


def to_login(
    request: TenantRequest, *, kind: GrantKind, connection: Connection | None
) -> HttpResponse:
    """Send the browser to Procountor's login, with a cookie that only this browser has."""
    cookie = tokens.token_urlsafe(32)
    try:
        started = connect.connect_start(
            kind=kind,
            connection=connection,
            browser=_browser(request, cookie),
            by=request.user,
            now=timezone.now(),
        )
    except PlanNeeded as failure:
        return plan_needed(request, failure)
    except ConnectRefused as refusal:
        return _refused(request, refusal, slug=request.tenant.slug)
    response = redirect(started.url)
    response.set_cookie(
        settings.CONNECT_COOKIE_NAME,
        cookie,
        max_age=int(connect.FLOW_LIFE.total_seconds()),
        httponly=True,
        samesite="Lax",
        secure=settings.SESSION_COOKIE_SECURE,
    )
    return response


def _browser(request: HttpRequest, cookie: str) -> str:
    """What only this browser in this sign-in knows; "" where a part is missing."""
    session = request.session.session_key
    return f"{cookie}:{session}" if cookie and session else ""


@transaction.non_atomic_requests
@require_safe
@never_cache
def procountor_callback(request: HttpRequest) -> HttpResponse:
    """Procountor sends the browser here; tenant and person come from the walk itself.

    Not one transaction: the walk is claimed and committed before Procountor is asked anything.
    """
    try:
        response = _callback(request)
    except ConnectRefused as refusal:
        response = _refused(request, refusal)
    # The address holds a code, which must not travel on as a referrer.
    response["Referrer-Policy"] = "no-referrer"
    return response


def _callback(request: HttpRequest) -> HttpResponse:
    if not request.user.is_authenticated:
        raise refusals.NotYourWalk
    user = request.user
    cookie = request.COOKIES.get(settings.CONNECT_COOKIE_NAME, "")
    flow = connect.callback_claim(
        state=request.GET.get("state", ""),
        browser=_browser(request, cookie),
        user=user,
        now=timezone.now(),
    )
    with scope.tenant(flow.tenant_id):
        slug = _slug(flow)
        response: HttpResponse = redirect("connect_confirm", slug, flow.public_id)
        try:
            error, code = request.GET.get("error", ""), request.GET.get("code", "")
            if error or not code:
                raise refusals.LoginRefused(error, request.GET.get("error_description", ""))
            connect.callback_finish(flow=flow, code=code)
        except ConnectRefused as refusal:
            response = _refused(request, refusal, slug=slug)
    response.delete_cookie(settings.CONNECT_COOKIE_NAME, samesite="Lax")
    return response


@transaction.atomic
def _slug(flow: ConnectFlow) -> str:
    return Tenant.objects.only("slug").get(pk=flow.tenant_id).slug


@transaction.atomic
def _refused(request: HttpRequest, refusal: ConnectRefused, *, slug: str = "") -> HttpResponse:
    log.info("connect.refused", reason=type(refusal).__name__, detail=refusal.detail)
    back = reverse("integrations", args=[slug]) if slug else reverse("home")
    if isinstance(refusal, refusals.LoginRefused) and refusal.cancelled:
        messages.info(request, refusal.title)
        return redirect(back)
    context = {"refusal": refusal, "back": back, "at_home": not slug}
    return render(request, "integrations/refused.html", context, status=refusal.status)


def admin_outside_transaction(
    view: Callable[..., HttpResponse], *, fresh: bool = False
) -> Callable[..., HttpResponse]:
    """The usual door for an admin, but with no transaction open while the view runs.

    With `fresh` the password is asked for before the page is shown, too: what is typed there is
    a secret, which is not kept while the password is asked for.
    """

    @tenant_view(Role.ADMIN)
    def door(request: TenantRequest) -> HttpResponse:
        return HttpResponse()

    @wraps(view)
    def guarded(request: HttpRequest, *, slug: str, **kwargs: Any) -> HttpResponse:
        with transaction.atomic():
            answer = door(request, slug=slug)
        if answer.status_code != 200:
            return answer
        if fresh and not sign_in.recently_authenticated(request):
            return sign_in.ask_again(request)
        member = cast(TenantRequest, request)
        with scope.user(member.user.pk), scope.tenant(member.tenant.pk):
            return view(member, **kwargs)

    guarded.min_role = Role.ADMIN  # type: ignore[attr-defined]
    guarded.fresh = fresh  # type: ignore[attr-defined]
    return cast(Callable[..., HttpResponse], transaction.non_atomic_requests(guarded))


@partial(admin_outside_transaction, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@limited("connect")
def connect_key(request: TenantRequest) -> HttpResponse:
    """The second way: a key that someone made in Procountor; it is never echoed."""
    form = KeyForm(request.POST or None)
    try:
        if request.method == "POST" and form.is_valid():
            return _with_key(request, form.cleaned_data["key"].strip())
        connect.require_staying()
    except PlanNeeded as failure:
        return plan_needed(request, failure)
    except refusals.KeyNotAccepted as refusal:
        log.info("connect.refused", reason=type(refusal).__name__, detail=refusal.detail)
        form.add_error("key", refusal.advice)
    except ConnectRefused as refusal:
        return _refused(request, refusal, slug=request.tenant.slug)
    with transaction.atomic():
        named = _named(request.POST.get("connection") or request.GET.get("connection", ""))
        context = {
            "form": form,
            "connection": named,
            "client_id": settings.PROCOUNTOR_CLIENT_ID,
        }
        status = 422 if form.is_bound else 200
        return render(request, "integrations/key.html", context, status=status)


def _with_key(request: TenantRequest, key: str) -> HttpResponse:
    with transaction.atomic():
        flow = connect.connect_by_key(
            connection=_named(request.POST.get("connection", "")),
            browser=tokens.token_urlsafe(32),
            by=request.user,
            now=timezone.now(),
        )
    connect.key_finish(flow=flow, key=key)
    return redirect("connect_confirm", request.tenant.slug, flow.public_id)


def _named(public_id: str) -> Connection | None:
    """The connection that a key shall authorise anew, if one is meant."""
    if not public_id:
        return None
    try:
        return connection_of(UUID(public_id))
    except ValueError:
        raise Http404 from None


@tenant_view(Role.ADMIN, fresh=True)
@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
def connect_confirm(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Which company this is, what its user may not see, and the name it gets here."""
    now = timezone.now()
    flow = connect.flow_to_confirm(public_id=public_id, by=request.user, now=now)
    if flow is None:
        return _over(request, public_id)
    if request.method == "POST" and request.POST.get("action") == "discard":
        connect.connect_discard(flow=flow, by=request.user)
        messages.info(request, _("Nothing was connected."))
        return redirect("integrations", request.tenant.slug)
    earlier = connect.earlier_connection(flow)
    name = earlier.name if earlier else suggested_name(flow.company_name)
    form = NameForm(request.POST or None, initial={"name": name})
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            answer = _confirmed(request, flow, form)
            if answer is not None:
                return answer
    context = {
        "flow": flow,
        "company": connect.company_words(flow.company_name, flow.business_id),
        "form": form,
        "earlier": earlier,
        "gaps": Words(request.tenant, now).gaps(flow.rights),
    }
    return render(request, "integrations/confirm.html", context, status=status)


def _confirmed(request: TenantRequest, flow: ConnectFlow, form: NameForm) -> HttpResponse | None:
    try:
        connection = connect.connect_confirm(
            flow=flow, name=form.cleaned_data["name"], by=request.user, now=timezone.now()
        )
    except ValidationError as error:
        form.add_error("name", error)
        return None
    except PlanNeeded as failure:
        return plan_needed(request, failure)
    except ConnectRefused as refusal:
        return _refused(request, refusal, slug=request.tenant.slug)
    messages.success(
        request, _("%(name)s is connected. The import has started.") % {"name": connection.name}
    )
    return redirect("connection", request.tenant.slug, connection.public_id)


def _over(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """Pressed twice, or too late: on to what came of it."""
    walks = ConnectFlow.objects.select_related("connection")
    done = walks.filter(public_id=public_id, user=request.user).first()
    if done is None:
        raise Http404
    if done.confirmed_at is not None and done.connection is not None:
        return redirect("connection", request.tenant.slug, done.connection.public_id)
    return _refused(request, refusals.WalkOver(), slug=request.tenant.slug)
