"""Dates and words in invoice texts."""

from __future__ import annotations

import pytest

from reporting.domain.periods import TWO_WEEKS, WEEK, day_date
from reporting.domain.text_dates import find_period
from reporting.domain.texts import normalised_product, read_texts, recurring_word


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("Kausi 1.3.2025–31.3.2025", "2025-03-01", "2025-04-01"),
        ("Lisenssi 1.1.–31.12.2025", "2025-01-01", "2026-01-01"),
        ("15.12.-14.1.2026", "2025-12-15", "2026-01-15"),
        ("ajalta 1.4.2025 - 30.6.2025", "2025-04-01", "2025-07-01"),
        ("laskutuskausi 01.05.25-31.05.25", "2025-05-01", "2025-06-01"),
        ("Lisenssi 3/2025", "2025-03-01", "2025-04-01"),
        ("03.2025", "2025-03-01", "2025-04-01"),
        ("Alusta 1-3/2025", "2025-01-01", "2025-04-01"),
        ("12/2024–02/2025", "2024-12-01", "2025-03-01"),
        ("Q1/2025", "2025-01-01", "2025-04-01"),
        ("Support 2025 Q4", "2025-10-01", "2026-01-01"),
        ("2. kvartaali 2025", "2025-04-01", "2025-07-01"),
        ("H1 2025", "2025-01-01", "2025-07-01"),
        ("tilikausi 2025", "2025-01-01", "2026-01-01"),
        ("vuosi 2025", "2025-01-01", "2026-01-01"),
        ("Kuukausimaksu maaliskuu 2025", "2025-03-01", "2025-04-01"),
        ("tammi–maaliskuu 2025", "2025-01-01", "2025-04-01"),
        ("joulu-helmikuu 2026", "2025-12-01", "2026-03-01"),
        ("Månadsavgift mars 2025", "2025-03-01", "2025-04-01"),
        ("Subscription, January - March 2025", "2025-01-01", "2025-04-01"),
        ("Plan Dec 2025", "2025-12-01", "2026-01-01"),
        ("service period from 2025-01-01 to 2025-12-31", "2025-01-01", "2026-01-01"),
        ("Premium 2025-03", "2025-03-01", "2025-04-01"),
        ("01/02/2025 - 28/02/2025", "2025-02-01", "2025-03-01"),
    ],
)
def test_a_period_in_a_text_is_read(text, start, end):
    found = find_period(text)
    assert found is not None
    assert not found.yearless
    assert (str(day_date(found.start)), str(day_date(found.end))) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "Tilaus 12345/2025",
        "Lasku 1.3.2025",
        "may be billed later",
        "march on",
        "Puhelin 040-123 4567",
        "versio 13/2025",
        "31.12.2025 - 1.1.2025",
        "32.1.2025–40.1.2025",
        "",
    ],
)
def test_other_numbers_are_no_period(text):
    assert find_period(text) is None


@pytest.mark.parametrize("text", ["maaliskuu", "1.3.–31.3.", "mars avgift april"])
def test_a_period_without_a_year_says_so(text):
    found = find_period(text)
    assert found is not None
    assert found.yearless


@pytest.mark.parametrize(
    ("text", "months"),
    [
        ("Alusta kk-maksu", 1),
        ("Alusta €/kk", 1),
        ("Vuosilisenssi", 12),
        ("Annual plan", 12),
        ("Årsavgift", 12),
        ("Licens, månadsavgift", 1),
        ("Kvartaalimaksu", 3),
        ("Ylläpito 6 kk", 6),
        ("12 kk sopimus", 12),
        ("Weekly report", WEEK),
        ("biweekly", TWO_WEEKS),
        ("Maintenance, half year", 6),
        ("Plan, two months", 2),
        ("Laskutus joka toinen kuukausi", 2),
        ("Tre månader", 3),
        ("Kahdentoista kuukauden sopimus", 12),
        ("Lisenssi", 0),
        ("Jatkuva palvelu", 0),
        ("SaaS", 0),
        ("Subscription", 0),
    ],
)
def test_recurring_words_imply_a_period(text, months):
    word, implied = recurring_word(text.lower())
    assert word
    assert implied == months


@pytest.mark.parametrize("text", ["Tuoli", "Konsultointi", "Verkkosivut", "Kokki"])
def test_other_words_do_not_recur(text):
    assert recurring_word(text.lower()) == ("", 0)


@pytest.mark.parametrize(
    "text",
    [
        "Käyttöönotto",
        "Käyttöönottoprojekti",
        "Perustamismaksu",
        "Konsultointi",
        "Koulutus",
        "Tuntityö",
        "8 h",
        "8h",
        "Matkakulut",
        "Lisätyö",
        "Setup fee",
        "One-off migration",
        "Hardware",
        "Päätelaite",
        "Konsulttitjänst, timmar",
        "Startavgift",
    ],
)
def test_counter_words_are_found(text):
    assert read_texts((text,)).counter.tolist() == [0]


@pytest.mark.parametrize("text", ["Ylläpito, puolivuosi\nH1 2025", "Lisenssi 2025 h2"])
def test_half_a_year_is_no_hour(text):
    assert read_texts((text,)).counter.tolist() == [-1]


@pytest.mark.parametrize(
    "text",
    [
        "Maksumuistutus",
        "Muistutusmaksu",
        "Viivästyskorko 8 %",
        "Late payment interest",
        "Pyöristys",
        "Öresavrundning",
        "Reminder fee",
        "Påminnelseavgift",
        "Perintäkulut",
    ],
)
def test_rows_that_are_no_service_are_found(text):
    assert read_texts((text,)).not_service.tolist() == [0]


def test_a_text_s_dates_and_numbers_do_not_make_another_product():
    names = {normalised_product(f"Kuukausimaksu {one}") for one in ("3/2025", "maaliskuu 2025", "")}
    assert names == {"kuukausimaksu"}
