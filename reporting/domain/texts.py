"""What row texts say: periods, words that recur, words that do not, and rows to ignore."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np

from reporting.domain.arrays import NO_DAY, Flags, Ints
from reporting.domain.periods import TWO_WEEKS, WEEK
from reporting.domain.text_dates import find_period, plain

# Each word: a pattern and the nominal period that it implies (0: recurring, period unknown).
_RECURRING: tuple[tuple[str, int], ...] = (
    (r"2\s*(?:viikon|vko|weeks?)|kahden viikon|bi-?weekly|fortnight\w*", TWO_WEEKS),
    (r"viikkomaksu\w*|\bviikoittain\w*|\bweekly\b|\bveckovis\b|veckoavgift", WEEK),
    (r"\b12\s*(?:kk|kuukau\w*|months?|mån\w*)\b", 12),
    (r"\b6\s*(?:kk|kuukau\w*|months?|mån\w*)\b", 6),
    (r"\b3\s*(?:kk|kuukau\w*|months?|mån\w*)\b", 3),
    (r"\b2\s*(?:kk|kuukau\w*|months?|mån\w*)\b", 2),
    (r"puolivuo\w*|half-?year\w*|semi-?annual\w*|halvår\w*", 6),
    (r"kvartaali\w*|nelj[äa]nnes\w*|quarter\w*|kvartal\w*", 3),
    (
        r"vuosi(?:maksu|lisenssi|tilaus|sopimus|ylläpito|laskutus)\w*|vuosittai\w*|/\s*v(?:uosi)?\b"
        r"|annual\w*|yearly|per year|/\s*y(?:ea)?r\b|årsavgift\w*|årslicens\w*|årlig\w*|per år",
        12,
    ),
    (
        r"\bkk\b|\bkk-|kuukausi\w*|kuukausittai\w*|monthly|per month|/\s*mo(?:nth)?\b"
        r"|månads\w*|månatlig\w*|per månad",
        1,
    ),
    (
        r"\w*lisenssi\w*|\btilaus(?:maksu)?\w*|jatkuva\w*|\w*ylläpito\w*|\bsaas\b|subscription\w*"
        r"|\blicen[sc]e\w*|\w*licens\w*|abonnemang\w*|prenumeration\w*|\w*underhåll\w*"
        r"|maintenance|membership|jäsenmaksu\w*|\bhosting\b|löpande",
        0,
    ),
)
_COUNTER = (
    r"perustami\w*|perustamismaksu\w*|aloitusmaksu\w*|käyttöönot\w*|avausmaksu\w*|asennus\w*"
    r"|\w*konsultoin\w*|\w*konsultaatio\w*|koulutus\b|koulutuk\w*|koulutuspäivä\w*|\w*työpaja\w*"
    r"|\btunti\w*|\btuntia\b|\btuntityö\w*|\bh\b|\bmatka\w*|kilometrikorvau\w*|päiväraha\w*"
    r"|lisätyö\w*|projektityö\w*|räätälöin\w*|laite\b|laitteet\b|laitemyynti\w*"
    r"|\bhardware\b|\bset-?up\b|one-?off|one-?time|onboarding|implementation|consult\w*"
    r"|training|workshop\w*|\bhours?\b|\bhrs?\b|\btravel\w*|migration\w*"
    r"|startavgift\w*|uppstart\w*|engångs\w*|konsult\w*|utbildning\w*|\btimm(?:ar|e)\b|\bresa\b"
    r"|installation\w*|laskutuslisä\w*|toimituskulu\w*|postikulu\w*|shipping|fraktavgift\w*"
)
_USAGE = (
    r"käytön mukaan|käyttöperustei\w*|\bylitys\w*|ylittäv\w*|tapahtumamaksu\w*|transaktio\w*"
    r"|api-kutsu\w*|viestimaksu\w*|\busage\b|overage\w*|metered|per transaction|transaction fees?"
    r"|api calls?|förbrukning\w*|transaktionsavgift\w*"
)
_NOT_SERVICE = (
    r"\w*muistutus(?:maksu|kulu|lasku)\w*|maksumuistutus\w*|huomautusmaksu\w*|payment reminder\w*"
    r"|reminder fees?|påminnelseavgift\w*|betalningspåminnelse\w*|\w*viivästyskor\w*|\bkorko\b"
    r"|late payment interest|\binterest\b|dröjsmålsränt\w*|\bränta\b|pyöristy\w*|\brounding\b"
    r"|öresavrundning\w*|avrundning\w*|perintäkul\w*|perintämaksu\w*|collection (?:fee|cost)s?"
    r"|inkasso\w*"
)
_DISCOUNT = r"\w*alennu\w*|\brabatt\w*|\w*rabatt\b|discount\w*|kampanja\w*|campaign\w*"

_RECURRING_RE = tuple((re.compile(pattern), months) for pattern, months in _RECURRING)
_COUNTER_RE = re.compile(_COUNTER)
_USAGE_RE = re.compile(_USAGE)
_NOT_SERVICE_RE = re.compile(_NOT_SERVICE)
_DISCOUNT_RE = re.compile(_DISCOUNT)


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
    discount: Flags
    words: tuple[str, ...]


def read_texts(texts: tuple[str, ...]) -> TextFacts:
    """Facts of every distinct text; each is read once however many lines carry it."""
    words: dict[str, int] = {}
    count = len(texts)
    start = np.full(count, NO_DAY, dtype=np.int64)
    end = start.copy()
    yearless = np.zeros(count, dtype=np.bool_)
    discount = np.zeros(count, dtype=np.bool_)
    recurring, nominal, counter, usage, not_service = (
        np.full(count, blank, dtype=np.int64) for blank in (-1, 0, -1, -1, -1)
    )
    for row, text in enumerate(texts):
        lowered = plain(text)
        period = find_period(text)
        if period is not None:
            start[row], end[row], yearless[row] = period
        word, implied = recurring_word(lowered)
        if word:
            recurring[row] = words.setdefault(word, len(words))
            nominal[row] = implied
        for pattern, column in (
            (_COUNTER_RE, counter),
            (_USAGE_RE, usage),
            (_NOT_SERVICE_RE, not_service),
        ):
            found = pattern.search(lowered)
            if found:
                column[row] = words.setdefault(found[0].strip(), len(words))
        discount[row] = _DISCOUNT_RE.search(lowered) is not None
    return TextFacts(
        start=start,
        end=end,
        yearless=yearless,
        recurring=recurring,
        nominal=nominal,
        counter=counter,
        usage=usage,
        not_service=not_service,
        discount=discount,
        words=tuple(words),
    )


def recurring_word(lowered: str) -> tuple[str, int]:
    """The first word that says "this recurs" and the period that it implies."""
    for pattern, months in _RECURRING_RE:
        found = pattern.search(lowered)
        if found:
            return found[0].strip(), months
    return "", 0


_DATES_OUT = re.compile(
    r"\(?\b(?:q[1-4]|h[12])\b|\b(?:tammi|helmi|maalis|huhti|touko|kesä|heinä|elo|syys|loka|marras"
    r"|joulu)kuu\w*|\b(?:january|february|march|april|may|june|july|august|september|october"
    r"|november|december|januari|februari|mars|maj|juni|juli|augusti|oktober)\b|[\d./:()-]+"
)


def normalised_product(text: str) -> str:
    """A row's text without dates, numbers and case: the product's name where it has no id."""
    bare = _DATES_OUT.sub(" ", plain(text))
    return " ".join(bare.split())
