"""How people write a service period into free text, in three languages."""

from datetime import date, timedelta
from random import Random

from integrations.sandbox.calendars import add_months
from integrations.sandbox.words import MONTHS

_DAY = timedelta(days=1)
_LEADS = {"FINNISH": "Laskutuskausi", "SWEDISH": "Avtalsperiod", "ENGLISH": "Service period"}


def period_text(rng: Random, language: str, start: date, end: date) -> str:
    """The half-open period in words; short names (Q1/2026) only where they are exact."""
    forms = [_spelled(rng, language, start, end - _DAY)]
    named = _named(language, start, end)
    if named:
        forms.append(named)
    return rng.choice(forms)


def _spelled(rng: Random, language: str, start: date, last: date) -> str:
    if language == "ENGLISH":
        return f"Service period from {start.isoformat()} to {last.isoformat()}"
    until = f"{last.day}.{last.month}.{last.year}"
    if start.year == last.year and rng.random() < 0.5:
        return f"{_LEADS[language]} {start.day}.{start.month}.–{until}"
    return f"{_LEADS[language]} {start.day}.{start.month}.{start.year}–{until}"


def _named(language: str, start: date, end: date) -> str | None:
    if start.day != 1:
        return None
    if end == add_months(start, 1):
        month = f"{MONTHS[language][start.month - 1]} {start.year}"
        return f"ajalta {start.month:02d}/{start.year}" if language == "FINNISH" else month
    if end == add_months(start, 3) and start.month % 3 == 1:
        return f"Q{start.month // 3 + 1}/{start.year}"
    if end == add_months(start, 6) and start.month % 6 == 1:
        return f"H{start.month // 6 + 1} {start.year}"
    if end == add_months(start, 12) and start.month == 1 and language == "FINNISH":
        return f"vuosi {start.year}"
    return None
