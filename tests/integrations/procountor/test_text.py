from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from integrations.procountor.text import local_text

HELSINKI = ZoneInfo("Europe/Helsinki")


def test_an_instant_is_written_on_the_companys_clock():
    assert local_text(datetime(2026, 7, 1, 21, 5, 9, 999, UTC), HELSINKI) == "2026-07-02T00:05:09"
    assert local_text(datetime(2026, 1, 1, tzinfo=UTC), HELSINKI) == "2026-01-01T02:00:00"


def test_a_time_without_a_zone_is_not_an_instant():
    with pytest.raises(ValueError, match="zone"):
        local_text(datetime(2026, 1, 1), HELSINKI)
