from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.procountor.text import instant_of, local_text, storable

HELSINKI = ZoneInfo("Europe/Helsinki")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("Åkerö & Söhne – 5 €", "Åkerö & Söhne – 5 €"),
        ("Ŕadek", "Radek"),
        ("ೠ Ω", "? ?"),
        ("A\u0308iti", "Äiti"),
        ("ﬁ", "fi"),
        ("😀", "?"),
    ],
)
def test_text_becomes_what_procountor_can_store(text, stored):
    assert storable(text) == stored


@given(st.text())
def test_every_text_becomes_storable(text):
    storable(text).encode("cp1252")


@given(st.text(st.characters(codec="latin-1", min_codepoint=160)))
def test_storable_text_is_left_alone(text):
    assert storable(text) == text


def test_an_instant_is_written_on_the_companys_clock():
    assert local_text(datetime(2026, 7, 1, 21, 5, 9, 999, UTC), HELSINKI) == "2026-07-02T00:05:09"
    assert local_text(datetime(2026, 1, 1, tzinfo=UTC), HELSINKI) == "2026-01-01T02:00:00"


def test_a_time_without_a_zone_is_not_an_instant():
    with pytest.raises(ValueError, match="zone"):
        local_text(datetime(2026, 1, 1), HELSINKI)


def test_a_stamp_is_read_back_as_an_instant():
    assert instant_of(datetime(2026, 7, 2, 0, 5), HELSINKI) == datetime(
        2026, 7, 1, 21, 5, tzinfo=UTC
    )
    aware = datetime(2026, 7, 1, 21, 5, tzinfo=UTC)
    assert instant_of(aware, HELSINKI) == aware
