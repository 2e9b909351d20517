"""The figures as JSON: the published ones, for the team only."""

import pytest

from calqsync.tenancy import scope
from reporting.body import BODY_VERSION
from reporting.models import Report


@pytest.fixture
def report(cast):
    from datetime import UTC, date, datetime

    with scope.tenant(cast.tenant.pk):
        return Report.objects.create(
            as_of=date(2026, 11, 1),
            currency="EUR",
            published_at=datetime(2026, 11, 1, 8, tzinfo=UTC),
            body={"version": BODY_VERSION, "currency": "EUR", "months": []},
        )


def test_a_member_reads_the_published_figures(client, cast, report):
    client.force_login(cast.vera)
    answer = client.get(cast.url("api/figures/"))
    assert answer.json()["figures"] == report.body
    assert answer["Cache-Control"] == "private, no-store"


def test_before_the_first_import_there_is_nothing(client, cast):
    client.force_login(cast.vera)
    assert client.get(cast.url("api/figures/")).status_code == 404


def test_a_stranger_finds_no_figures(client, cast, report):
    client.force_login(cast.mallory)
    assert client.get(cast.url("api/figures/")).status_code == 404
