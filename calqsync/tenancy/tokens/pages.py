"""The page of tokens: one's own, for admins everybody's; making one shows it once."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from django import forms
from django.contrib import messages
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_POST, require_safe

from calqsync.tenancy.access import TenantRequest, tenant_view
from calqsync.tenancy.models import ApiToken, Membership, Role
from calqsync.tenancy.tokens import services
from calqsync.tenancy.tokens.scopes import FIGURES, SCOPES, within
from calqsync.tenancy.tokens.text import PREFIX
from calqsync.tenancy.web import limits

_LIVES = [
    (30, gettext_lazy("30 days")),
    (90, gettext_lazy("90 days")),
    (180, gettext_lazy("Half a year")),
    (365, gettext_lazy("A year")),
]


class TokenForm(forms.Form):
    """What a new token is called, may see, and how long it lasts."""

    name = forms.CharField(
        label=gettext_lazy("What it is for"),
        max_length=60,
        help_text=gettext_lazy("Such as the spreadsheet or the program that will use it."),
    )
    scopes = forms.MultipleChoiceField(
        label=gettext_lazy("What it may read"),
        widget=forms.CheckboxSelectMultiple,
        initial=[FIGURES],
    )
    days = forms.TypedChoiceField(
        label=gettext_lazy("How long it lasts"), coerce=int, choices=_LIVES, initial=90
    )

    def __init__(self, *args: Any, by: Membership, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        field = self.fields["scopes"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(name, SCOPES[name].words) for name in within(SCOPES, by)]


@tenant_view(Role.INVESTOR)
@require_safe
def tokens(request: TenantRequest) -> HttpResponse:
    return _page(request, TokenForm(by=request.membership))


@tenant_view(Role.INVESTOR, fresh=True)
@require_POST
@limits.limited("token_made")
def token_create(request: TenantRequest) -> HttpResponse:
    """Make a token; the answer is the only place where it is ever shown."""
    form = TokenForm(request.POST, by=request.membership)
    if form.is_valid():
        try:
            made, text = services.token_create(
                membership=request.membership, now=timezone.now(), **form.cleaned_data
            )
        except ValidationError as mistake:
            form.add_error(None, mistake)
        else:
            fresh = TokenForm(by=request.membership)
            return _page(request, fresh, made=made, text=text)
    return _page(request, form, status=422)


@tenant_view(Role.INVESTOR)
@require_POST
def token_revoke(request: TenantRequest, public_id: UUID) -> HttpResponse:
    """End one's own token; an admin ends anybody's up to their own role."""
    tokens = ApiToken.objects.select_related("membership__user").filter(_seen_by(request))
    token = tokens.filter(public_id=public_id).first()
    if token is None:
        raise Http404
    own = token.membership_id == request.membership.pk
    if not own and not request.membership.may(Role(token.membership.role)):
        raise PermissionDenied
    services.token_revoke(token=token, by=request.user)
    messages.success(
        request, _("“%(name)s” is revoked and opens nothing any more.") % {"name": token.name}
    )
    return redirect("settings_tokens", request.tenant.slug)


def _seen_by(request: TenantRequest) -> Q:
    everybody = request.membership.may(Role.ADMIN)
    return Q() if everybody else Q(membership=request.membership.pk)


def _page(
    request: TenantRequest,
    form: TokenForm,
    *,
    made: ApiToken | None = None,
    text: str = "",
    status: int = 200,
) -> HttpResponse:
    # Support may read no token at all, not even which there are.
    found = ApiToken.objects.select_related("membership__user").filter(_seen_by(request))
    now = timezone.now()
    rows = [_row(request, token, now) for token in found.order_by("-created_at", "-pk")]
    context = {
        "form": form,
        "own": [row for row in rows if row["own"]],
        "others": [row for row in rows if not row["own"]],
        "made": made,
        "text": text,
    }
    return render(request, "tenancy/tokens.html", context, status=status)


def _row(request: TenantRequest, token: ApiToken, now: datetime) -> dict[str, Any]:
    allowed = within(token.scopes, token.membership)
    own = token.membership_id == request.membership.pk
    return {
        "token": token,
        "shown": f"{PREFIX}…{token.ending}",
        "scopes": [SCOPES[name].words for name in allowed],
        "lost": [SCOPES[name].words for name in token.scopes if name not in allowed],
        "expired": token.expires_at <= now,
        "own": own,
        "may_revoke": own or request.membership.may(Role(token.membership.role)),
    }
