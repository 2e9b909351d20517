"""Settings > Subscription: the plan that the company has with us."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from billing import services
from billing.gate import SHORTEST_HOURS
from billing.models import Plan
from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import Role


@tenant_view()
@require_safe
def plan(request: TenantRequest) -> HttpResponse:
    now = timezone.now()
    context = {
        "account": services.account_of_tenant(),
        "standing": services.entitlement_now(now=now),
        "plans": [(plan.value, plan.label, SHORTEST_HOURS[plan]) for plan in Plan],
        "may_choose": request.membership.may(Role.OWNER),
    }
    return render(request, "billing/plan.html", context)


@tenant_view(Role.OWNER, fresh=True)
@require_POST
def plan_choose(request: TenantRequest) -> HttpResponse:
    try:
        services.plan_choose(plan=request.POST.get("plan", ""), by=request.user, now=timezone.now())
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
    else:
        messages.success(request, _("Your plan is active. Imports run again."))
    return redirect("plan", request.tenant.slug)
