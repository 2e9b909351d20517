"""Who may import when: one function of state and date, asked by services."""

from datetime import UTC, datetime, time, timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import ProgrammingError
from hypothesis import given
from hypothesis import strategies as st

from billing import services
from billing.gate import PlanNeeded, Standing, entitlement
from billing.models import FirstTrial, ProviderEvent
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


class TestFirstTrial:
    """One company's books get one trial, however many tenants connect them."""

    def spend(self, cast, tenant, now, books="procountor:7"):
        with scope.tenant(tenant.pk):
            services.trial_spend(books=books, by=cast.alice, now=now)

    def ends(self, tenant):
        with scope.tenant(tenant.pk):
            return services.account_of_tenant().trial_ends_at

    @pytest.fixture
    def first(self, cast):
        """Kuura began the trial of the books ten days before Vieras was founded."""
        with scope.tenant(cast.tenant.pk):
            services.trial_extend(until=cast.tenant.created_at + timedelta(days=4), by=cast.alice)
        self.spend(cast, cast.tenant, cast.tenant.created_at)
        return cast.tenant

    def test_the_first_tenant_keeps_its_trial(self, cast, first):
        before = self.ends(first)
        self.spend(cast, first, first.created_at)
        assert self.ends(first) == before

    def test_a_trial_that_support_extended_stays_extended(self, cast, first):
        later = first.created_at + timedelta(days=60)
        with scope.tenant(first.pk):
            services.trial_extend(until=later, by=None)
        self.spend(cast, first, first.created_at + timedelta(days=30))
        assert self.ends(first) == later

    def test_another_tenants_trial_ends_with_the_first(self, cast, first):
        other = cast.stranger_tenant
        self.spend(cast, other, other.created_at)
        assert timedelta() < self.ends(other) - self.ends(first) <= timedelta(days=1)
        with scope.tenant(other.pk):
            assert AuditEvent.objects.filter(act="trial.changed").exists()

    def test_t33_the_end_tells_another_tenant_a_day_and_no_moment(self, cast, first):
        other = cast.stranger_tenant
        self.spend(cast, other, other.created_at)
        assert self.ends(other).astimezone(UTC).time() == time()
        with scope.tenant(other.pk):
            said = str(AuditEvent.objects.get(act="trial.changed").after)
        assert self.ends(first).isoformat() not in said

    def test_after_the_first_trial_the_books_ask_for_a_plan(self, cast, first):
        other, late = cast.stranger_tenant, self.ends(first) + timedelta(days=1, minutes=1)
        before = self.ends(other)
        with pytest.raises(PlanNeeded):
            self.spend(cast, other, late)
        assert self.ends(other) == before, "other books of this tenant keep their trial"
        with scope.tenant(other.pk):
            services.plan_choose(plan="starter", by=cast.mallory, now=late)
        self.spend(cast, other, late)

    def test_other_books_have_a_trial_of_their_own(self, cast, first):
        other = cast.stranger_tenant
        before = self.ends(other)
        self.spend(cast, other, other.created_at, books="procountor:8")
        assert self.ends(other) == before

    def test_nobody_can_list_whose_books_were_tried(self, cast, first):
        with scope.tenant(cast.tenant.pk):
            assert not FirstTrial.objects.exists()
        with scope.token("0" * 64):
            assert not FirstTrial.objects.exists()

    @pytest.mark.parametrize("act", ["update", "delete"])
    def test_what_was_spent_cannot_be_taken_back(self, cast, first, act):
        changes = {"first_seen_by": ""} if act == "update" else {}
        with scope.token(services._hashed("procountor:7")), pytest.raises(ProgrammingError):
            getattr(FirstTrial.objects.all(), act)(**changes)

    @pytest.fixture
    def new_key(self, first, settings):
        """The signing key was changed after the trial began."""
        settings.SECRET_KEY_FALLBACKS = ["quite-another-key", settings.SECRET_KEY]
        settings.SECRET_KEY = "a-newer-key-that-is-long-enough-for-tests-0123456789"

    def test_changing_the_signing_key_buys_no_second_trial(self, cast, first, new_key):
        other, late = cast.stranger_tenant, self.ends(first) + timedelta(days=1, minutes=1)
        with pytest.raises(PlanNeeded):
            self.spend(cast, other, late)

    def test_the_first_tenant_is_known_after_the_signing_key_was_changed(
        self, cast, first, new_key
    ):
        later = first.created_at + timedelta(days=60)
        with scope.tenant(first.pk):
            services.trial_extend(until=later, by=None)
        self.spend(cast, first, first.created_at + timedelta(days=30))
        assert self.ends(first) == later

    def test_a_trial_is_written_under_the_current_key(self, cast, new_key, settings):
        self.spend(cast, cast.tenant, cast.tenant.created_at, books="procountor:8")
        with scope.token(services._hashed("procountor:8", settings.SECRET_KEY)):
            assert FirstTrial.objects.count() == 1
        for old in settings.SECRET_KEY_FALLBACKS:
            with scope.token(services._hashed("procountor:8", old)):
                assert not FirstTrial.objects.exists()
