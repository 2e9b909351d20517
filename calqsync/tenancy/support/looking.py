"""Support looks into a company: as a viewer, reading only, on the record, while a grant lasts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.exceptions import PermissionDenied
from django.db import ProgrammingError, transaction
from django.http import Http404, HttpResponse
from django.template.loader import render_to_string
from django.utils.translation import gettext_lazy as _
from psycopg2.errors import InsufficientPrivilege

from calqsync.tenancy import scope
from calqsync.tenancy.accounts import sign_in
from calqsync.tenancy.audit import acting
from calqsync.tenancy.context import Company
from calqsync.tenancy.models import AuditEvent, Membership, Role, SupportGrant
from calqsync.tenancy.services import audit
from calqsync.tenancy.support import grants


class HiddenFromSupport(PermissionDenied):
    """A page needed something that the support role has no right to, such as a secret."""

    advice = _("Support does not see this page. Ask a member of the company about it.")


@contextmanager
def looking_in(request: Any, slug: str) -> Iterator[None]:
    """Open the company for a member of staff with a live grant; for anyone else it is not there.

    A hundred pages opened in one grant are a hundred looks at its end: it is read each time.
    """
    user = request.user
    grant = None
    if user.is_staff and user.is_active and sign_in.has_second_step(user):
        grant = grants.live_grant(staff=user, slug=slug)
    if grant is None:
        raise Http404
    request.support_grant, request.tenant = grant, grant.tenant
    request.tenants = [Company(grant.tenant.name, grant.tenant.slug)]
    request.membership = Membership(user_id=user.pk, tenant_id=grant.tenant_id, role=Role.VIEWER)
    with (
        scope.looking_in(grant.tenant_id),
        acting.on_behalf_of(grant.on_behalf_of),
        transaction.atomic(using=scope.SUPPORT),
    ):
        try:
            if request.method not in {"GET", "HEAD"}:
                raise PermissionDenied
            yield
        except ProgrammingError as error:
            if isinstance(error.__cause__, InsufficientPrivilege):
                raise HiddenFromSupport from error
            raise


def on_the_record(request: Any, response: HttpResponse | None) -> HttpResponse:
    """The page for support, once it stands in the company's audit log; None was refused.

    Only pages are shown: a download, or figures for a machine, would leave the half hour.
    """
    grant: SupportGrant = request.support_grant
    is_page = response is not None and (
        response.get("Content-Type", "").startswith("text/html")
        and "Content-Disposition" not in response
    )
    with scope.tenant(grant.tenant_id), acting.on_behalf_of(grant.on_behalf_of):
        if response is not None and is_page:
            _record(request, grant, "support.viewed")
            return response
        _record(request, grant, "support.refused")
        words = {"grant": grant, "url": f"/t/{grant.tenant.slug}/"}
        return HttpResponse(
            render_to_string("tenancy/support_refused.html", words, request), status=403
        )


def _record(request: Any, grant: SupportGrant, act: str) -> None:
    after = {"grant": str(grant.public_id), "ticket": grant.ticket}
    if act == "support.refused":
        after["method"] = request.method
    # A page that refreshes itself is one entry a grant, not one every two seconds.
    seen = AuditEvent.objects.filter(
        at__gte=grant.created_at, act=act, actor=request.user, target=request.path[:200]
    ).filter(after__contains=after)
    if not seen.exists():
        audit(act=act, by=request.user, target=request.path, after=after)
