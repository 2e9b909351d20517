"""Customers whose lives are drawn at random: who they are, what they buy, when they leave."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from random import Random

from integrations.sandbox import numbers, words
from integrations.sandbox.book import Book, Change, Terms
from integrations.sandbox.calendars import add_months
from integrations.sandbox.model import Draft, Partner, Profile

_LANGUAGES = ("FINNISH", "FINNISH", "FINNISH", "FINNISH", "SWEDISH", "ENGLISH")
_DATE_STYLES = ("row",) * 7 + ("invoice",) * 4 + ("text",) * 5 + ("note",) * 1 + ("none",) * 4
_DELAYS = (-3, -1, 0, 0, 1, 1, 2, 3, 5, 8, 14, 25)


def draw_partner(rng: Random, profile: Profile, index: int, partner_id: int) -> Partner:
    """A customer of the profile's markets; the name repeats only after a few thousand."""
    partner = Partner(
        id=partner_id,
        name="",
        identifier=numbers.business_id(profile.serial + index * 37),
        number=str(2000 + index),
        terms=rng.choice((14, 14, 14, 21, 30)),
        delay=rng.choice(_DELAYS),
        dates=rng.choice(_DATE_STYLES),
        language=rng.choice(_LANGUAGES),
    )
    market = _market(rng, profile)
    if market is None:
        _finnish(rng, partner, index)
    else:
        _foreign(rng, partner, index, *market)
    return partner


def _market(rng: Random, profile: Profile) -> tuple[str, str] | None:
    draw = rng.randrange(100)
    for currency, country, weight in profile.foreign:
        draw -= weight
        if draw < 0:
            return currency, country
    return None


def _finnish(rng: Random, partner: Partner, index: int) -> None:
    stems, trades = words.FIRM_STEMS, words.FIRM_TRADES
    stem = stems[index * 7 % len(stems)]
    trade = trades[(index * 5 + index // len(stems)) % len(trades)]
    serial = index // (len(stems) * len(trades))
    partner.name = f"{stem} {trade} {f'{serial + 1} ' if serial else ''}Oy"
    partner.street = f"{rng.choice(words.STREETS)} {rng.randrange(1, 90)}"
    partner.zip, partner.city = rng.choice(words.TOWNS)


def _foreign(rng: Random, partner: Partner, index: int, currency: str, country: str) -> None:
    stems, trades = words.FOREIGN_STEMS, words.FOREIGN_TRADES
    serial = index // (len(stems) * len(trades))
    suffix = {"SWEDEN": "AB", "NORWAY": "AS", "GERMANY": "GmbH", "UNITED_KINGDOM": "Ltd"}
    name = f"{stems[index * 5 % len(stems)]} {trades[(index * 2 + index // 28) % len(trades)]}"
    partner.name = f"{name} {f'{serial + 1} ' if serial else ''}{suffix.get(country, 'Inc')}"
    partner.identifier = f"{country[:2]}{partner.identifier[:7]}01"
    partner.country, partner.currency = country, currency
    partner.language = "SWEDISH" if country == "SWEDEN" else "ENGLISH"
    partner.vat_status = 4 if country in {"SWEDEN", "GERMANY"} else 3
    partner.street = f"{rng.randrange(1, 400)} Sample Street"
    partner.zip, partner.city = rng.choice(words.FOREIGN_TOWNS[country])


def live(book: Book, partner: Partner) -> None:
    """One customer's whole history."""
    rng = book.rng
    first = _first_day(rng, book)
    life: Callable[[Book, Partner, date], None] = rng.choices(
        (_monthly, _quarterly, _half_yearly, _annual, _two_monthly, _irregular),
        weights=(58, 12, 5, 15, 4, 6),
    )[0]
    life(book, partner, first)


def _first_day(rng: Random, book: Book) -> date:
    span = (book.anchor.year - book.opens.year) * 12 + book.anchor.month - book.opens.month
    joined = -rng.randrange(1, 24) if rng.random() < 0.45 else rng.randrange(1, max(2, span))
    first = add_months(book.opens, joined)
    return first if rng.random() < 0.7 else first + timedelta(days=rng.randrange(27))


def _leaving(book: Book, first: date, cadence: int, chance: float) -> date | None:
    """The end of some whole period after the opening, or none; drawn period by period."""
    end = add_months(first, cadence)
    periods = 1
    while end <= book.anchor:
        if end > book.opens and book.rng.random() < chance:
            return end
        periods += 1
        end = add_months(first, cadence * periods)
    return None


def _monthly(book: Book, partner: Partner, first: date) -> None:
    rng = book.rng
    code = rng.choices(("BASIC-KK", "PRO-KK", "BUS-KK"), weights=(5, 5, 2))[0]
    last = _leaving(book, first, 1, 0.012)
    terms = Terms(
        code,
        first,
        last,
        changes=_plan_changes(book, code, first),
        pauses=_pauses(book, first),
        campaign=3 if rng.random() < 0.12 else 0,
        discount=rng.choice((0, 0, 0, 0, 500, 1000)),
        header_discount=500 if rng.random() < 0.05 else 0,
        vat_included=partner.vat_status == 1 and rng.random() < 0.06,
        slips=rng.random() < 0.2,
        with_product=rng.random() > 0.05,
    )
    drafts = book.subscribe(partner, terms)
    if rng.random() < 0.35:
        _seats(book, partner, drafts)
    _extras(book, partner, first, drafts)
    if last and rng.random() < 0.2:
        back = add_months(last, rng.randrange(2, 7))
        book.subscribe(partner, Terms(code, back))


def _plan_changes(book: Book, code: str, first: date) -> list[Change]:
    rng, ladder = book.rng, ["BASIC-KK", "PRO-KK", "BUS-KK"]
    changes: list[Change] = []
    place, day = ladder.index(code), max(first, book.opens)
    while rng.random() < 0.35 and (day := add_months(day, rng.randrange(5, 15))) <= book.anchor:
        place = max(0, place - 1) if rng.random() < 0.3 else min(2, place + 1)
        changes.append(Change(day, code=ladder[place]))
    return changes


def _pauses(book: Book, first: date) -> list[tuple[date, date]]:
    if book.rng.random() > 0.06:
        return []
    since = add_months(max(first, book.opens), book.rng.randrange(4, 14))
    return [(since, add_months(since, book.rng.randrange(2, 5)))]


def _seats(book: Book, partner: Partner, drafts: list[Draft]) -> None:
    """Seats ride on the plan's own invoices; their number grows and shrinks."""
    rng = book.rng
    key = book.new_key(partner, "USER-KK")
    seats = rng.randrange(2, 16)
    for draft in drafts:
        if rng.random() < 0.08:
            seats = max(1, seats + rng.choice((-2, 1, 2, 3, 5)))
        plan = draft.rows[0]
        row = book.row("USER-KK", draft.day, quantity=seats * 100)
        row.truth = type(plan.truth)(
            plan.truth.kind, key, plan.truth.cadence, plan.truth.start, plan.truth.end
        )
        row.start, row.end, row.comment = plan.start, plan.end, plan.comment
        draft.rows.append(row)


def _extras(book: Book, partner: Partner, first: date, drafts: list[Draft]) -> None:
    """Set-up on the first invoice, usage in arrears, consulting now and then."""
    rng = book.rng
    if drafts and first >= book.opens and rng.random() < 0.5:
        drafts[0].rows.append(book.row("SETUP", drafts[0].day))
    if rng.random() < 0.15:
        for draft in drafts[1:]:
            draft.rows.append(book.row("API", draft.day, quantity=rng.randrange(500, 40_000) * 100))
    for draft in drafts:
        draw = rng.random()
        if draw < 0.04:
            _work(book, partner, draft.day + timedelta(days=rng.randrange(5, 25)))
        elif draw < 0.043:
            book.credit(draft, draft.day + timedelta(days=rng.randrange(1, 12)))
        elif draw < 0.050:
            _bill_again(book, draft)
        elif draw < 0.054:
            book.credit(draft, draft.day + timedelta(days=rng.randrange(2, 20)), share=50)
        elif draw < 0.058:
            copy = replace(draft, fate="invalidated", rows=[replace(r) for r in draft.rows])
            book.add(copy)


def _bill_again(book: Book, draft: Draft) -> None:
    """The invoice had a mistake: a credit, and the same again a day later."""
    day = draft.day + timedelta(days=book.rng.randrange(1, 6))
    book.credit(draft, day)
    again = replace(draft, day=day + timedelta(days=1), rows=[replace(r) for r in draft.rows])
    book.add(again)


def _work(book: Book, partner: Partner, day: date) -> None:
    rng = book.rng
    rows = [book.row("CONS", day, quantity=rng.randrange(4, 60) * 50)]
    if rng.random() < 0.4:
        rows.append(book.row("TRAVEL", day, quantity=rng.randrange(20, 400) * 100))
    if rng.random() < 0.2:
        rows.append(book.row("TRAIN", day))
    book.invoice(partner, day, rows)


def _longer(
    book: Book, partner: Partner, first: date, codes: tuple[str, ...], churn: float
) -> None:
    rng = book.rng
    code = rng.choice(codes)
    cadence = book.catalogue[code].cadence
    changes = []
    if rng.random() < 0.3:
        changes.append(Change(add_months(first, cadence * rng.randrange(1, 4)), quantity=2))
    terms = Terms(
        code,
        first,
        _leaving(book, first, cadence, churn),
        changes=changes,
        discount=rng.choice((0, 0, 0, 1000)),
        advance=rng.choice((0, 0, 0, 7, 14)) if cadence >= 6 else 0,
    )
    drafts = book.subscribe(partner, terms)
    if drafts and first >= book.opens and rng.random() < 0.5:
        drafts[0].rows.append(book.row("SETUP", drafts[0].day))
    for draft in drafts:
        if rng.random() < 0.15:
            _work(book, partner, draft.day + timedelta(days=rng.randrange(10, 60)))


def _quarterly(book: Book, partner: Partner, first: date) -> None:
    _longer(book, partner, first, ("PRO-Q", "BUS-Q"), 0.04)


def _half_yearly(book: Book, partner: Partner, first: date) -> None:
    _longer(book, partner, first, ("MAINT-H",), 0.06)


def _annual(book: Book, partner: Partner, first: date) -> None:
    _longer(book, partner, first, ("PRO-Y", "PRO-Y", "BUS-Y", "ENT-Y"), 0.1)


def _two_monthly(book: Book, partner: Partner, first: date) -> None:
    _longer(book, partner, first, ("PRO-2KK",), 0.03)


def _irregular(book: Book, partner: Partner, first: date) -> None:
    """Projects only: hours, training and hardware whenever there is need."""
    rng = book.rng
    day = max(first, book.opens)
    while day <= book.anchor:
        _work(book, partner, day)
        if rng.random() < 0.15:
            book.invoice(partner, day, [book.row("DEVICE", day, quantity=300)])
        day += timedelta(days=rng.randrange(12, 90))
