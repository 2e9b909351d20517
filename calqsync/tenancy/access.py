"""The one way into a tenant's pages: slug, membership, role; strangers get 404."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import SimpleTemplateResponse
from django.utils.cache import patch_cache_control

from calqsync.tenancy import scope
from calqsync.tenancy.models import Membership, Role, Tenant, User


class TenantRequest(HttpRequest):
    """A request that has passed the door: a member's, for one tenant."""

    user: User
    tenant: Tenant
    membership: Membership
    htmx: Any


View = Callable[..., HttpResponse]


def tenant_view(min_role: Role = Role.VIEWER) -> Callable[[View], View]:
    """Open the tenant named by the address for a member with at least this role.

    A stranger and a missing tenant look the same (404); a member without the role gets 403.
    The view runs with the tenant in scope, inside the request's transaction.
    """

    def decorate(view: View) -> View:
        @login_required
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, slug: str, **kwargs: Any) -> HttpResponse:
            member = cast(TenantRequest, request)
            with scope.user(member.user.pk):
                member.membership = _membership(member.user, slug)
                member.tenant = member.membership.tenant
                with scope.tenant(member.tenant.pk):
                    if not member.membership.may(min_role):
                        raise PermissionDenied
                    response = view(member, *args, **kwargs)
                    if isinstance(response, SimpleTemplateResponse):
                        response.render()  # here, because a template may still read rows
                    # A company's figures stay in no cache: not a proxy's, not behind Back.
                    patch_cache_control(response, private=True, no_store=True)
                    return response

        guarded.min_role = min_role  # type: ignore[attr-defined]
        return guarded

    return decorate


def _membership(user: User, slug: str) -> Membership:
    found = (
        Membership.unscoped.select_related("tenant").filter(user=user, tenant__slug=slug).first()
    )
    if found is None:
        raise Http404
    return found
