"""What a person is shown is what they may do: no link to a closed page, no button that refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from calqsync.tenancy import scope, services
from calqsync.tenancy.models import Membership, Role
from tests.conftest import Cast
from tests.reporting.pages.crawling import forms_of, needed, pages_of

ROLES = {
    "ivan": Role.INVESTOR,
    "vera": Role.VIEWER,
    "bob": Role.MEMBER,
    "ann": Role.ADMIN,
    "alice": Role.OWNER,
}


@pytest.fixture
def company(cast: Cast, shop: Any) -> Any:
    """Books, a second owner and an invitation that waits, so that every list has rows."""
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).update(role=Role.ADMIN)
        for role in (Role.VIEWER, Role.OWNER):
            services.invitation_create(
                tenant=cast.tenant,
                email=f"{role}@example.net",
                role=role,
                by=cast.alice,
                now=timezone.now(),
            )
    return shop


def test_every_role_is_shown_what_works_for_it_and_a_higher_one_more(
    cast: Cast, company: Any, as_person: Callable[[str], Client]
) -> None:
    buttons: dict[str, set[Role]] = {}
    refused: dict[str, str] = {}
    for who, role in ROLES.items():
        forms = forms_of(pages_of(as_person(who), cast.url("")))
        buttons[who] = {needed(action) for action in forms}
        refused |= {action: who for action in forms if not role.allows(needed(action))}
    assert refused == {}
    # Anybody may make a token of their own and take it back.
    anybody = {Role.INVESTOR}
    assert buttons == {
        "ivan": anybody,
        "vera": anybody,
        "bob": {*anybody, Role.MEMBER},
        "ann": {*anybody, Role.MEMBER, Role.ADMIN},
        "alice": {*anybody, Role.MEMBER, Role.ADMIN, Role.OWNER},
    }
