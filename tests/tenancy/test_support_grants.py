"""A grant for support: who may ask for it, approve, refuse and end it, and when it lapses."""

from __future__ import annotations

from datetime import timedelta
from types import SimpleNamespace

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import Membership, Role, SupportGrant, Tenant
from calqsync.tenancy.support import grants
from tests.staff import audited, grant_make, signed_in, staff_make

# Committed, because support reads over a database connection of its own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "support"])

FOR_EVER = timezone.now() + timedelta(days=365)


@pytest.fixture
def world(committed_cast):
    """Kuura Oy, and Sam of support, who has no grant yet."""
    return SimpleNamespace(cast=committed_cast, sam=staff_make(), tenant=committed_cast.tenant)


@pytest.fixture
def grant(world):
    return grant_make(world.tenant, world.sam, world.cast.vera)


@pytest.fixture
def sam(world):
    return signed_in(world.sam)


class TestGrants:
    def ask(self, world, **values):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            person = values.pop("person", world.cast.vera)
            asked = {"staff": world.sam, "reason": "Why", "ticket": "T-2", "now": timezone.now()}
            asked |= {"asked_by": Membership.objects.get(user=person)} | values
            return grants.grant_request(**asked)

    def consent(self, world):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            Tenant.objects.filter(pk=world.tenant.pk).update(support_consent_required=True)

    def answer(self, world, act, grant, by, now=None):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            return act(grant=grant, by=by, now=now or timezone.now())

    def test_i23_with_consent_required_nothing_opens_until_an_admin_approves(self, world, sam):
        self.consent(world)
        grant = self.ask(world)
        assert grant.expires_at is None
        assert sam.get(world.cast.url("")).status_code == 404
        self.answer(world, grants.grant_approve, grant, world.cast.ann)
        assert sam.get(world.cast.url("")).status_code == 200
        assert [e.actor for e in audited(world.tenant, act="support.approved")] == [world.cast.ann]

    def test_a_refused_request_opens_nothing_and_cannot_be_approved(self, world, sam):
        self.consent(world)
        grant = self.ask(world)
        self.answer(world, grants.grant_refuse, grant, world.cast.alice)
        with pytest.raises(ValidationError):
            self.answer(world, grants.grant_approve, grant, world.cast.ann)
        assert sam.get(world.cast.url("")).status_code == 404

    def test_a_request_that_nobody_answered_is_too_old_after_a_day(self, world):
        self.consent(world)
        grant = self.ask(world)
        later = timezone.now() + grants.REQUEST_LIFE
        with pytest.raises(ValidationError):
            self.answer(world, grants.grant_approve, grant, world.cast.ann, now=later)
        assert grants.state(grant, now=later) == "lapsed"

    def test_i23_staff_give_no_grant_to_themselves_or_each_other(self, world):
        self.consent(world)
        grant = self.ask(world)
        other = staff_make("sue")
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            for staff in (world.sam, other):
                Membership.objects.create(user=staff, role=Role.OWNER)
        for staff in (world.sam, other):
            with pytest.raises(grants.NotForStaff):
                self.answer(world, grants.grant_approve, grant, staff)
        assert signed_in(world.sam).post(
            world.cast.url(f"settings/security/support/{grant.public_id}/"), {"act": "approve"}
        ).status_code in {302, 403}
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            assert SupportGrant.objects.get(pk=grant.pk).expires_at is None

    def test_only_staff_can_ask_and_only_for_a_member_who_is_no_staff(self, world):
        with pytest.raises(ValidationError, match="Only support staff"):
            self.ask(world, staff=world.cast.mallory)
        other = staff_make("sue")
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            Membership.objects.create(user=other, role=Role.VIEWER)
        with pytest.raises(ValidationError, match="Choose a member"):
            self.ask(world, person=other)
        with pytest.raises(ValidationError, match="need no grant"):
            self.ask(world, staff=other)

    def test_two_clicks_make_one_grant(self, world):
        self.ask(world)
        with pytest.raises(ValidationError, match="have a grant"):
            self.ask(world)

    def test_i23_the_database_keeps_no_grant_that_lasts(self, world, grant):
        with pytest.raises(IntegrityError, match="grant_ends"):
            grant_make(world.tenant, staff_make("sue"), world.cast.vera, expires_at=FOR_EVER)

    def test_an_ended_grant_is_closed_at_once(self, world, sam, grant):
        self.answer(world, grants.grant_end, grant, world.cast.alice)
        assert sam.get(world.cast.url("")).status_code == 404
        assert len(audited(world.tenant, act="support.ended")) == 1
        self.answer(world, grants.grant_end, grant, world.cast.alice)
        assert len(audited(world.tenant, act="support.ended")) == 1
