"""Who may import when: one function of state and date, asked by services."""

from datetime import UTC, datetime, timedelta

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from billing import services
from billing.gate import PlanNeeded, Standing, entitlement
from billing.models import ProviderEvent
from billing.signals import imports_allowed
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent

END = datetime(2026, 12, 5, 9, 0, tzinfo=UTC)


def at(moment, *, plan="", paid_until=None):
    return entitlement(trial_ends_at=END, plan=plan, paid_until=paid_until, now=moment)


def test_the_trial_allows_import_until_its_last_moment():
    assert at(END - timedelta(microseconds=1)).standing is Standing.TRIAL
    assert at(END).standing is Standing.ENDED


def test_the_days_left_are_counted_as_a_person_would():
    assert at(END - timedelta(days=14)).days_left == 14
    assert at(END - timedelta(hours=1)).days_left == 1


def test_a_plan_allows_import_after_the_trial():
    assert at(END + timedelta(days=400), plan="starter").standing is Standing.PAID


def test_a_plan_that_ran_out_does_not():
    assert not at(END + timedelta(days=2), plan="starter", paid_until=END).may_import


@given(st.datetimes(datetime(2026, 1, 1), datetime(2028, 1, 1), timezones=st.just(UTC)))
def test_without_a_plan_import_is_allowed_exactly_during_the_trial(moment):
    assert at(moment).may_import == (moment < END)


@pytest.fixture
def tenant(cast):
    with scope.tenant(cast.tenant.pk):
        yield cast.tenant


def test_a_new_company_has_fourteen_days(tenant):
    state = services.entitlement_now(now=tenant.created_at + timedelta(minutes=1))
    assert (state.standing, state.days_left) == (Standing.TRIAL, 14)


def test_import_after_the_trial_asks_for_a_plan(tenant):
    with pytest.raises(PlanNeeded):
        services.require_import(now=tenant.created_at + timedelta(days=14))


def test_choosing_a_plan_starts_import_again_and_is_on_record(tenant, cast):
    later = tenant.created_at + timedelta(days=30)
    woken = []

    def receiver(tenant_id, **kwargs):
        woken.append(tenant_id)

    imports_allowed.connect(receiver)
    services.plan_choose(plan="starter", by=cast.alice, now=later)
    services.require_import(now=later)
    assert woken == [tenant.pk]
    assert ProviderEvent.objects.get().kind == "plan.started"
    assert AuditEvent.objects.filter(act="plan.chosen", actor=cast.alice).exists()


def test_a_plan_that_does_not_exist_is_refused(tenant, cast):
    with pytest.raises(ValidationError):
        services.plan_choose(plan="gold", by=cast.alice, now=tenant.created_at)


def test_one_companys_plan_opens_no_other(cast):
    with scope.tenant(cast.tenant.pk):
        services.plan_choose(plan="growth", by=cast.alice, now=cast.tenant.created_at)
    with scope.tenant(cast.stranger_tenant.pk), pytest.raises(PlanNeeded):
        services.require_import(now=cast.stranger_tenant.created_at + timedelta(days=14))
