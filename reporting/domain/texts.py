"""What row texts say: periods, words that recur, words that do not, and rows to ignore."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.periods import TWO_WEEKS, WEEK
from reporting.domain.text_dates import find_period, plain

# Each word: a pattern and the nominal period that it implies (0: recurring, period unknown).
# Patterns name stems; what is reported is the whole word around the stem, for Finnish and
# Swedish join words.
_RECURRING: tuple[tuple[str, int], ...] = (
    (r"2\s*(?:viikon|vko|week)|kahden viikon|bi-?weekly|fortnight", TWO_WEEKS),
    (r"viikkomaksu|viikoittai|\bweekly\b|veckovis|veckoavgift", WEEK),
    (
        r"\b12\s*(?:kk\b|kuukau|month|mån)|twelve[- ]months?\b|kaksitoista kuukautta"
        r"|kahdentoista kuukauden|tolv månader",
        12,
    ),
    (
        r"\b6\s*(?:kk\b|kuukau|month|mån)|six[- ]month|kuusi kuukautta|kuuden kuukauden"
        r"|sex månader",
        6,
    ),
    (
        r"\b3\s*(?:kk\b|kuukau|month|mån)|three[- ]months?\b|kolme kuukautta|kolmen kuukauden"
        r"|tre månader",
        3,
    ),
    (
        r"\b2\s*(?:kk\b|kuukau|month|mån)|two[- ]month|bi-?monthly|kaksi kuukautta"
        r"|kahden kuukauden|joka toinen kuukausi|två månader|varannan månad",
        2,
    ),
    (r"puolivuo|puolen vuoden|half[- ]?year|semi-?annual|halvår", 6),
    (r"kvartaali|nelj[äa]nnes|quarter|kvartal", 3),
    (
        r"vuosi(?:maksu|lisenssi|tilaus|sopimus|ylläpito|laskutus)|vuosittai|/\s*v(?:uosi)?\b"
        r"|annual|yearly|per year|/\s*y(?:ea)?r\b|årsavgift|årslicens|årlig|per år\b",
        12,
    ),
    (
        r"\bkk(?![^\W\d_])|kuukausi|kuukausittai|monthly|per month|/\s*mo(?:nth)?\b"
        r"|månads|månatlig|per månad",
        1,
    ),
    (
        r"lisenssi|\btilaus|jatkuva|ylläpito|\bsaas\b|subscription|\blicen[sc]e|licens"
        r"|abonnemang|prenumeration|underhåll|maintenance|membership|jäsenmaksu|\bhosting\b"
        r"|löpande",
        0,
    ),
)
_COUNTER = (
    r"perustami|perustamismaksu|aloitusmaksu|käyttöönot|avausmaksu|asennus|konsultoin"
    r"|konsultaatio|\bkoulutus(?:päiv|maks|paket|\b)|\bkoulutuk|työpaja|\btunti|(?<![^\W\d_])h\b|\bmatka"
    r"|kilometrikorvau|päiväraha|lisätyö|projektityö|räätälöin|laite\b|laitteet\b"
    r"|laitemyynti|\bhardware\b|\bset-?up\b|one-?off|one-?time|onboarding|implementation"
    r"|consult|training\b|workshop|\bhours?\b|\bhrs?\b|\btravel|migration|startavgift"
    r"|\buppstart|engångs|konsult|utbildning|\btimm(?:ar|e)\b|\bresa\b|installation"
    r"|laskutuslisä|toimituskulu|postikulu|shipping|fraktavgift"
)
_USAGE = (
    r"käytön mukaan|käyttöperustei|\bylitys|ylittäv|tapahtumamaksu|transaktio|api-kutsu"
    r"|viestimaksu|\busage\b|overage|metered|per transaction|transaction fee|api calls?\b"
    r"|förbrukning"
)
_NOT_SERVICE = (
    r"muistutus(?:maksu|kulu|lasku)|maksumuistutus|huomautusmaksu|payment reminder|reminder fee"
    r"|påminnelseavgift|betalningspåminnelse|viivästyskor|\bkorko\b|late payment interest"
    r"|\binterest\b|dröjsmålsränt|\bränta\b|pyöristy|\brounding\b|öresavrundning|avrundning"
    r"|perintäkul|perintämaksu|collection (?:fee|cost)|inkasso"
)

# A row that bills what a larger plan costs more, for the rest of a running period.
_DIFFERENCE = (
    r"\berotus|hinnanero|\bväliraha|\bdifference\b|\bpro[- ]?rata\b|\bprorated\b|\bupgrade fee"
    r"|mellanskillnad"
)

_RECURRING_RE = tuple((re.compile(pattern), months) for pattern, months in _RECURRING)
_ANY_RECURRING_RE = re.compile("|".join(pattern for pattern, _ in _RECURRING))
_AGAINST_RE = tuple(
    re.compile(pattern) for pattern in (_COUNTER, _USAGE, _NOT_SERVICE, _DIFFERENCE)
)
_NOTHING_AGAINST = ("",) * len(_AGAINST_RE)
# How many distinct texts a process remembers what they say.
KNOWN_TEXTS = 20_000
# Texts that differ in dates and numbers alone say the same words. A digit stays a digit: "H1"
# is half a year, and "h" is an hour.
_SAME_DIGIT = str.maketrans("123456789", "000000000")


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFacts:
    """What each distinct text says; one row per entry of `Lines.texts`."""

    start: Ints
    end: Ints
    """Half-open period in the text, NO_DAY where there is none."""
    yearless: Flags
    recurring: Ints
    """Index into `words`, -1 where no recurring word was found."""
    nominal: Ints
    """Nominal period of the recurring word, 0 where it implies none."""
    counter: Ints
    usage: Ints
    not_service: Ints
    difference: Ints
    words: tuple[str, ...]


def read_texts(texts: tuple[str, ...]) -> TextFacts:
    """Facts of every distinct text; each is read once however many lines carry it."""
    words: dict[str, int] = {}
    count = len(texts)
    start = np.full(count, NO_DAY, dtype=np.int64)
    end = start.copy()
    yearless = np.zeros(count, dtype=np.bool_)
    recurring, nominal, counter, usage, not_service, difference = (
        np.full(count, blank, dtype=np.int64) for blank in (-1, 0, -1, -1, -1, -1)
    )
    columns = counter, usage, not_service, difference
    dated, periods = [], []
    for row, read in enumerate(map(_read, texts)):
        if read.period is not None:
            dated.append(row)
            periods.append(read.period)
        if read.recurring:
            recurring[row] = words.setdefault(read.recurring, len(words))
            nominal[row] = read.implied
        if read.against is not _NOTHING_AGAINST:
            for word, column in zip(read.against, columns, strict=True):
                if word:
                    column[row] = words.setdefault(word, len(words))
    if dated:
        start[dated], end[dated], yearless[dated] = np.array(periods, dtype=np.int64).T
    return TextFacts(
        start=start,
        end=end,
        yearless=yearless,
        recurring=recurring,
        nominal=nominal,
        counter=counter,
        usage=usage,
        not_service=not_service,
        difference=difference,
        words=tuple(words),
    )


class _Read(NamedTuple):
    """What one text says."""

    period: tuple[int, int, bool] | None
    recurring: str
    implied: int
    against: tuple[str, ...]


# Customers are measured some at a time, and often carry the same texts.
@lru_cache(maxsize=KNOWN_TEXTS)
def _read(text: str) -> _Read:
    lowered = plain(text)
    word, implied = recurring_word(lowered)
    return _Read(find_period(text), word, implied, _against(lowered.translate(_SAME_DIGIT)))


@lru_cache(maxsize=KNOWN_TEXTS)
def _against(bare: str) -> tuple[str, ...]:
    found = tuple(_first_word(bare, pattern) for pattern in _AGAINST_RE)
    return found if any(found) else _NOTHING_AGAINST


def recurring_word(lowered: str) -> tuple[str, int]:
    """The word that says "this recurs" and the period that it implies; none: ("", 0)."""
    if _ANY_RECURRING_RE.search(lowered) is None:
        return "", 0
    for pattern, months in _RECURRING_RE:
        found = pattern.search(lowered)
        if found:
            return _whole_word(lowered, found), months
    return "", 0


def _first_word(lowered: str, pattern: re.Pattern[str]) -> str:
    found = pattern.search(lowered)
    return _whole_word(lowered, found) if found else ""


def _whole_word(lowered: str, found: re.Match[str]) -> str:
    """The match with the letters that touch it on either side."""
    start, end = found.span()
    while start > 0 and lowered[start - 1].isalpha() and lowered[start].isalpha():
        start -= 1
    while end < len(lowered) and lowered[end].isalpha() and lowered[end - 1].isalpha():
        end += 1
    return lowered[start:end].strip()


_DATES_OUT = re.compile(
    r"\(?\b(?:q[1-4]|h[12])\b|\b(?:tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras"
    r"|joulu)kuu\w*|\b(?:january|february|march|april|may|june|july|august|september|october"
    r"|november|december|januari|februari|mars|maj|juni|juli|augusti|oktober)\b|[\d./:()-]+"
)


@lru_cache(maxsize=KNOWN_TEXTS)
def normalised_product(text: str) -> str:
    """A row's text without dates, numbers and case: the product's name where it has no id."""
    bare = _DATES_OUT.sub(" ", plain(text))
    return " ".join(bare.split())
