"""When a page says that its figures are being made anew."""

from datetime import timedelta

import pytest
from django.utils import timezone

from calqsync.jobs.services import enqueue
from calqsync.tenancy import scope
from reporting.models import REFRESH
from reporting.selectors.subscriptions import recomputing

pytestmark = pytest.mark.django_db


def test_the_wait_for_the_next_midnight_is_no_recomputing(cast):
    with scope.tenant(cast.tenant.pk):
        enqueue(kind=REFRESH, run_after=timezone.now() + timedelta(hours=3))
        assert not recomputing()


def test_figures_due_now_are_being_recomputed(cast):
    with scope.tenant(cast.tenant.pk):
        enqueue(kind=REFRESH)
        assert recomputing()
