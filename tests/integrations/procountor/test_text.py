from datetime import UTC, datetime, timedelta, timezone

import pytest

from integrations.procountor.text import local_text, stamp


def test_an_instant_is_written_on_procountors_clock():
    assert local_text(datetime(2026, 7, 1, 21, 5, 9, 999, UTC)) == "2026-07-02T00:05:09"
    assert local_text(datetime(2026, 1, 1, tzinfo=UTC)) == "2026-01-01T02:00:00"


def test_a_time_without_a_zone_is_not_an_instant():
    with pytest.raises(ValueError, match="zone"):
        local_text(datetime(2026, 1, 1))


def test_a_stamp_is_on_that_clock_even_if_it_says_another():
    naive = datetime(2026, 7, 1, 12, 0)
    assert stamp(naive) == naive
    west = timezone(timedelta(hours=-1))
    assert stamp(datetime(2026, 7, 1, 8, 0, tzinfo=west)) == naive


@pytest.mark.parametrize("hours", range(48))
def test_s17_a_day_back_never_leads_into_the_hour_that_spring_leaves_out(hours):
    instant = datetime(2026, 3, 29, 0, 30, tzinfo=UTC) + timedelta(hours=hours)
    text = local_text(instant - timedelta(days=1))
    assert not "2026-03-29T03:00:00" <= text < "2026-03-29T04:00:00"
