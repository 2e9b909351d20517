"""The one way into a tenant's pages: slug, membership, role; strangers get 404."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from http import HTTPStatus
from typing import Any, cast

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db import connection, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import SimpleTemplateResponse
from django.utils.cache import patch_cache_control
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.context import Company
from calqsync.tenancy.models import Membership, Role, SupportGrant, Tenant, User
from calqsync.tenancy.support import looking
from calqsync.tenancy.web import limits


class TenantRequest(HttpRequest):
    """A request that has passed the door: a member's, or a looking-in helper's, for one tenant."""

    user: User
    tenant: Tenant
    membership: Membership
    # The person's companies, by name; for support the one that it looks into.
    tenants: list[Company]
    # By which a member of support staff looks in; None for members.
    support_grant: SupportGrant | None
    htmx: Any


View = Callable[..., HttpResponse]


def tenant_view(min_role: Role = Role.VIEWER, *, fresh: bool = False) -> Callable[[View], View]:
    """Open the tenant named by the address for a member with at least this role.

    A stranger and a missing tenant look the same (404); a member without the role gets 403.
    With `fresh`, a change (any method but GET and HEAD) asks for the password or second step
    again when the sign-in is older than ten minutes, and goes on afterwards. The view runs with
    the tenant in scope, inside the request's transaction.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, slug: str, **kwargs: Any) -> HttpResponse:
            member = cast(TenantRequest, request)
            with scope.user(member.user.pk):
                response: HttpResponse | None = None
                try:
                    with _entered(member, slug):
                        response = _judged(member, min_role, fresh) or view(member, *args, **kwargs)
                        response = _landed(member, response) if fresh else response
                        if isinstance(response, SimpleTemplateResponse):
                            response.render()  # here, because a template may still read rows
                except PermissionDenied:
                    if member.support_grant is None:
                        raise
                if member.support_grant is not None or response is None:
                    response = looking.on_the_record(member, response)
                # A company's figures stay in no cache: not a proxy's, not behind Back.
                patch_cache_control(response, private=True, no_store=True)
                return response

        guarded.min_role = min_role  # type: ignore[attr-defined]
        guarded.fresh = fresh  # type: ignore[attr-defined]
        return guarded

    return decorate


def tenant_page(min_role: Role = Role.VIEWER) -> Callable[[View], View]:
    """As `tenant_view`, for what only reads: all of it shows one state of the database.

    Figures that are published while the page is being made are on the next page.
    """

    def decorate(view: View) -> View:
        guarded = tenant_view(min_role)(require_safe(view))

        @wraps(guarded)
        def framed(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            # A transaction that begins with the person in scope need not be told a moment later.
            with scope.user(request.user.pk), scope.one_state(), transaction.atomic():
                return guarded(request, *args, **kwargs)

        # A request's own transaction would have begun before this one knows what it is for.
        return cast(View, transaction.non_atomic_requests(framed))

    return decorate


def before_file(request: TenantRequest) -> HttpResponse | None:
    """What stands before a file: who is it, for an old sign-in. Raises above the limits."""
    # Support is refused every file, however lately it signed in.
    asking = None if request.support_grant else sign_in.ask_before_export(request)
    if asking is None:
        limits.consume("export", user_id=request.user.pk, tenant_id=request.tenant.pk)
        limits.one_at_a_time("export", tenant_id=request.tenant.pk)
    return asking


def _judged(request: TenantRequest, min_role: Role, fresh: bool) -> HttpResponse | None:
    """What stands in the way of this member, if anything; raises PermissionDenied for the role."""
    if not request.membership.may(min_role):
        raise PermissionDenied
    if request.tenant.mfa_required and not sign_in.has_second_step(request.user):
        messages.warning(
            request,
            _("%(company)s asks for two-step sign-in. Turn it on to go on.")
            % {"company": request.tenant.name},
        )
        # The page for second steps leads back here once there is one.
        request.session["wanted"] = request.get_full_path() if request.method == "GET" else "/"
        return redirect("mfa_index")
    request.session.pop("wanted", None)
    changes = request.method not in {"GET", "HEAD", "OPTIONS"}
    if fresh and changes and not sign_in.recently_authenticated(request):
        return sign_in.ask_again(request)
    return None


def _landed(request: TenantRequest, response: HttpResponse) -> HttpResponse:
    """A way on for who comes back from re-authentication when what was sent is lost."""
    reads = request.method in {"GET", "HEAD"}
    if not reads or response.status_code != HTTPStatus.METHOD_NOT_ALLOWED:
        return response
    messages.info(request, _("Nothing was changed. Please do it once more."))
    return redirect("home")


@contextmanager
def _entered(request: TenantRequest, slug: str) -> Iterator[None]:
    """Put the member's company in scope; a member of staff enters by a grant, as support."""
    request.support_grant = None
    found, tenants = _memberships(request.user, slug)
    if found is None:
        with looking.looking_in(request, slug):
            yield
        return
    request.membership, request.tenant, request.tenants = found, found.tenant, tenants
    with scope.tenant(found.tenant_id):
        yield


# Of the company that is asked for, all there is to know; of the others what leads to them.
_MEMBERSHIPS = """
    SELECT t.name, t.slug, m.id, m.public_id, m.role, m.created_at, asked.*
    FROM tenancy_membership m JOIN tenancy_tenant t ON t.id = m.tenant_id
    LEFT JOIN LATERAL (SELECT t.* WHERE t.slug = %(slug)s) asked ON true
    WHERE m.user_id = %(user)s ORDER BY t.name
"""


def _memberships(user: User, slug: str) -> tuple[Membership | None, list[Company]]:
    """(the person's membership in the company of this slug, all the person's companies by name).

    For every page: without the ORM's way to the same rows, which costs more than the query.
    """
    with connection.cursor() as cursor:
        cursor.execute(_MEMBERSHIPS, {"user": user.pk, "slug": slug})
        rows = cursor.fetchall()
        names = [column.name for column in cursor.description[6:]]
    companies = [Company(*row[:2]) for row in rows]
    row = next((row for row in rows if row[1] == slug), None)
    if row is None:
        return None, companies
    member_id, public_id, role, created_at = row[2:6]
    held = dict(zip(names, row[6:], strict=True))
    fields = {field.attname: held[field.column] for field in Tenant._meta.concrete_fields}
    member = Membership(
        pk=member_id,
        tenant=Tenant.from_db(connection.alias, list(fields), list(fields.values())),
        user=user,
        public_id=public_id,
        role=role,
        created_at=created_at,
    )
    member._state.adding, member._state.db = False, connection.alias
    return member, companies
