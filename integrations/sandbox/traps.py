"""Customers made by hand: the cases that a detector of subscriptions gets wrong."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta

from integrations.sandbox import numbers
from integrations.sandbox.book import Book, Change, Terms
from integrations.sandbox.calendars import add_months
from integrations.sandbox.lives import draw_partner
from integrations.sandbox.model import Draft, Kind, Partner, Profile, Row, Truth

Trap = Callable[[Book, Partner, date], None]
_DAY = timedelta(days=1)
FIRST_PARTNER = 510_001


def add_traps(book: Book, profile: Profile, *, first_id: int) -> list[Partner]:
    """One domestic customer for each trap; some traps need a second partner record."""
    partners: list[Partner] = []
    domestic = replace(profile, foreign=())
    for index, trap in enumerate(TRAPS):
        partner = draw_partner(book.rng, domestic, index, first_id + index)
        partner.delay = min(partner.delay, 8)
        partners.append(partner)
        trap(book, partner, add_months(book.opens, index % 5))
    return [*partners, *_successors(book, partners, first_id + len(partners))]


def trap_names(profile: Profile) -> dict[int, str]:
    """The trap that each customer made by hand is, by the customer's partner id."""
    if not profile.traps:
        return {}
    first = FIRST_PARTNER + profile.id_base
    names = {first + index: trap.__name__ for index, trap in enumerate(TRAPS)}
    return names | {first + len(TRAPS): moves_to_another_record.__name__}


def three_yearly_contracts(book: Book, partner: Partner, first: date) -> None:
    """Every three months a yearly contract: not quarterly."""
    partner.dates = "none"
    for place in range(3):
        book.subscribe(partner, Terms("PRO-Y", add_months(first, place * 3), percent=90 + place))


def hours_every_month(book: Book, partner: Partner, first: date) -> None:
    """A consultant's monthly bill has a perfect cadence and is no subscription."""
    for day in _monthly(book, first, 28):
        rows = [book.row("CONS", day, quantity=book.rng.randrange(30, 75) * 50)]
        if book.rng.random() < 0.4:
            rows.append(book.row("TRAVEL", day, quantity=book.rng.randrange(40, 300) * 100))
        book.invoice(partner, day, rows)


def slipping_first_of_month(book: Book, partner: Partner, first: date) -> None:
    """Invoices dated from the last day of a month to the third of the next."""
    partner.dates = "none"
    book.subscribe(partner, Terms("PRO-KK", first, advance=1, slips=True))


def monthly_and_annual_of_one_product(book: Book, partner: Partner, first: date) -> None:
    """The same product by the month for one site and by the year for another."""
    partner.dates = "row"
    book.subscribe(partner, Terms("MODULE", first))
    yearly = Terms("MODULE", add_months(first, 2), cadence=12, percent=1100)
    book.subscribe(partner, yearly)


def seats_grow(book: Book, partner: Partner, first: date) -> None:
    changes = [
        Change(add_months(first, 9), quantity=12),
        Change(add_months(first, 18), quantity=11),
    ]
    book.subscribe(partner, Terms("USER-KK", first, quantity=10, changes=changes))


def three_months_of_campaign(book: Book, partner: Partner, first: date) -> None:
    partner.dates = "none"
    book.subscribe(partner, Terms("PRO-KK", first, campaign=3))


def credited_and_invoiced_again(book: Book, partner: Partner, first: date) -> None:
    """A wrong invoice, its credit and the right one, all within days."""
    drafts = book.subscribe(partner, Terms("BUS-KK", first))
    for wrong in drafts[7::9]:
        right = replace(wrong, day=wrong.day + 4 * _DAY, rows=[replace(r) for r in wrong.rows])
        wrong.rows[0].quantity = 200
        book.credit(wrong, wrong.day + 3 * _DAY)
        book.add(right)


def credited_in_part(book: Book, partner: Partner, first: date) -> None:
    """Five months into the year the rest of it is credited."""
    partner.dates = "row"
    drafts = book.subscribe(partner, Terms("BUS-Y", first, add_months(first, 24)))
    if len(drafts) > 1:
        book.credit(drafts[1], add_months(drafts[1].day, 5), share=58)


def renamed(book: Book, partner: Partner, first: date) -> None:
    partner.former_name, partner.renamed = partner.name, add_months(book.anchor, -10)
    partner.name = f"Uusi {partner.name}"
    book.subscribe(partner, Terms("PRO-KK", first))


def moves_to_another_record(book: Book, partner: Partner, first: date) -> None:
    """The customer register has it twice; see `_successors`."""
    partner.active = False
    partner.group = "merged"
    book.subscribe(partner, Terms("PRO-KK", first, add_months(book.opens, 15)))


def product_renamed(book: Book, partner: Partner, first: date) -> None:
    """Half-way the product gets a new code and name under its old id."""
    since = add_months(book.anchor, -12)
    for draft in book.subscribe(partner, Terms("BASIC-KK", first)):
        if draft.day < since:
            draft.rows[0].code, draft.rows[0].name = "PERUS-1", "Peruspaketti kk"


def two_rows_of_one_product(book: Book, partner: Partner, first: date) -> None:
    """Two sites on one invoice: two subscriptions to the same product."""
    key = book.new_key(partner, "PRO-KK")
    for draft in book.subscribe(partner, Terms("PRO-KK", first)):
        row = draft.rows[0]
        twin = replace(row, truth=replace(row.truth, key=key), header="Toimipaikka 2")
        row.header = "Toimipaikka 1"
        draft.rows.append(twin)


def billed_afterwards(book: Book, partner: Partner, first: date) -> None:
    """The invoice of the first of March is for February."""
    partner.dates = "row"
    book.subscribe(partner, Terms("PRO-KK", first, in_arrears=True))


def free_text_rows(book: Book, partner: Partner, first: date) -> None:
    partner.dates, partner.language = "text", "FINNISH"
    book.subscribe(partner, Terms("PRO-KK", first, with_product=False, label="Palvelumaksu"))


def swedish_texts(book: Book, partner: Partner, first: date) -> None:
    partner.dates, partner.language = "text", "SWEDISH"
    partner.country, partner.vat_status = "SWEDEN", 4
    partner.zip, partner.city = "111 20", "Stockholm"
    partner.identifier = f"SE{partner.identifier[:7]}00001"
    book.subscribe(partner, Terms("PRO-Q", first))


def reverse_charge(book: Book, partner: Partner, first: date) -> None:
    """A German customer without VAT, English texts."""
    partner.dates, partner.language = "text", "ENGLISH"
    partner.country, partner.vat_status = "GERMANY", 4
    partner.zip, partner.city = "10115", "Berlin"
    partner.identifier = f"DE{partner.identifier[:7]}00"
    book.subscribe(partner, Terms("BUS-Q", first))


def discount_row(book: Book, partner: Partner, first: date) -> None:
    """The discount is a product of its own with a negative price."""
    for draft in book.subscribe(partner, Terms("BUS-KK", first)):
        plan = draft.rows[0]
        price = -book.price(book.catalogue["BASIC-KK"], draft.day, 50)
        row = book.row("DISCOUNT", draft.day, price=price, truth=plan.truth)
        row.start, row.end = plan.start, plan.end
        draft.rows.append(row)


def rounding_row(book: Book, partner: Partner, first: date) -> None:
    for draft in book.subscribe(partner, Terms("BASIC-KK", first)):
        cents = book.rng.randrange(-49, 50) or 3
        draft.rows.append(Row("Pyöristys", 100, "NO_UNIT", cents * 100, Truth(Kind.IGNORE)))


def sold_to_a_factor(book: Book, partner: Partner, first: date) -> None:
    partner.factoring = 4711
    book.subscribe(partner, Terms("PRO-KK", first))


def reminded(book: Book, partner: Partner, first: date) -> None:
    """A slow payer gets reminders and interest; neither is a subscription."""
    partner.delay = 24
    drafts = book.subscribe(partner, Terms("PRO-KK", first))
    for draft in drafts[2::2]:
        day = draft.day + timedelta(days=partner.terms + 16)
        interest = book.row("INTEREST", day, price=book.rng.randrange(100, 900) * 100)
        rows = [book.row("REMIND", day), interest]
        for row in rows:
            row.vat = 0
        book.invoice(partner, day, rows, pays="full")


def two_months_in_one(book: Book, partner: Partner, first: date) -> None:
    """An invoice is forgotten; the next one covers both months."""
    partner.dates = "row"
    drafts = book.subscribe(partner, Terms("PRO-KK", first))
    for missed, covering in zip(drafts[5::11], drafts[6::11], strict=False):
        book.drafts.remove(missed)
        row, start = covering.rows[0], missed.rows[0].truth.start
        row.quantity = 200
        row.truth = replace(row.truth, start=start, cadence=2)
        row.start = start


def without_partner_record(book: Book, partner: Partner, first: date) -> None:
    """partnerId is null; the business id and the customer number still tell who it is."""
    for draft in book.subscribe(partner, Terms("BASIC-KK", first)):
        draft.anonymous = True


def prices_with_vat(book: Book, partner: Partner, first: date) -> None:
    terms = Terms("PRO-KK", first, vat_included=True, header_discount=750)
    for draft in book.subscribe(partner, terms):
        draft.rows.append(book.row("STORAGE", draft.day, quantity=book.rng.randrange(9_000)))


def upgraded_in_mid_year(book: Book, partner: Partner, first: date) -> None:
    """A difference invoice runs to the end of the year, then the larger plan."""
    partner.dates = "row"
    change = Change(add_months(first, 12), code="BUS-Y")
    drafts = book.subscribe(partner, Terms("PRO-Y", first, changes=[change]))
    if not drafts:
        return
    truth = drafts[0].rows[0].truth
    start, end = add_months(first, 5), add_months(first, 12)
    row = book.row("BUS-Y", start, price=2_900 * 10_000)
    row.truth = Truth(Kind.SUBSCRIPTION, truth.key, 7, start, end)
    row.name, row.start, row.end = "Business, erotus", start, end - _DAY
    book.invoice(partner, start, [row])


def drafts_and_dead_papers(book: Book, partner: Partner, first: date) -> None:
    """Unfinished and invalidated copies stand beside the real invoices."""
    drafts = book.subscribe(partner, Terms("PRO-KK", first))
    for draft in drafts[3::6]:
        book.add(_copy(draft, "invalidated"))
    for draft in drafts[-3:]:
        book.add(_copy(draft, "unfinished"))


def leaves_and_returns(book: Book, partner: Partner, first: date) -> None:
    pause = (add_months(first, 8), add_months(first, 12))
    book.subscribe(partner, Terms("BUS-KK", first, pauses=[pause]))


def odd_periods(book: Book, partner: Partner, first: date) -> None:
    """Licences of one to five months, dated on the row, whenever they are bought."""
    key, day = book.new_key(partner, "PRO-KK"), first
    while day <= book.anchor:
        months = book.rng.randrange(1, 6)
        end = add_months(day, months)
        row = book.row("PRO-KK", day, quantity=months * 100)
        row.truth = Truth(Kind.SUBSCRIPTION, key, months, day, end)
        row.start, row.end = day, end - _DAY
        book.invoice(partner, day, [row])
        day = end


def usage_only(book: Book, partner: Partner, first: date) -> None:
    for day in _monthly(book, first, 3):
        row = book.row("API", day, quantity=book.rng.randrange(9_000, 90_000) * 100)
        book.invoice(partner, day, [row])


def never_pays(book: Book, partner: Partner, first: date) -> None:
    partner.pays = "never"
    book.subscribe(partner, Terms("BASIC-KK", first, add_months(first, 7)))


def pays_in_parts(book: Book, partner: Partner, first: date) -> None:
    partner.pays = "partial"
    drafts = book.subscribe(partner, Terms("PRO-Q", first))
    for draft in drafts[-2:-1]:
        draft.pays = "partly"


def pays_too_much(book: Book, partner: Partner, first: date) -> None:
    drafts = book.subscribe(partner, Terms("MAINT-H", first))
    for draft in drafts[1:2]:
        draft.pays = "over"
    for draft in drafts[2:3]:
        draft.pays = "hand"


def typed_in_late(book: Book, partner: Partner, first: date) -> None:
    """Invoices are entered up to nine days after their date."""
    for draft in book.subscribe(partner, Terms("BUS-KK", first, dates="note")):
        draft.delay_entry = book.rng.randrange(10)


def prints_on_paper(book: Book, partner: Partner, first: date) -> None:
    """Never sent through Procountor: the status stays APPROVED until it is paid."""
    for draft in book.subscribe(partner, Terms("BASIC-KK", first, dates="invoice")):
        draft.fate = "approved"


def _copy(draft: Draft, fate: str) -> Draft:
    return replace(draft, fate=fate, rows=[replace(row) for row in draft.rows])


def _monthly(book: Book, first: date, day: int) -> Iterator[date]:
    month = first.replace(day=day)
    while month <= book.anchor:
        yield month
        month = add_months(month, 1)


def _successors(book: Book, partners: list[Partner], next_id: int) -> Iterator[Partner]:
    """The second record of a customer that was entered twice, with the same business id."""
    for offset, old in enumerate(p for p in partners if p.group == "merged"):
        new = replace(
            old,
            id=next_id + offset,
            active=True,
            group=None,
            number=str(int(old.number) + 5000),
            identifier=numbers.business_id(int(old.identifier[:7])),
        )
        book.subscribe(new, Terms("PRO-KK", add_months(book.opens, 15)))
        yield new


TRAPS: tuple[Trap, ...] = (
    three_yearly_contracts,
    hours_every_month,
    slipping_first_of_month,
    monthly_and_annual_of_one_product,
    seats_grow,
    three_months_of_campaign,
    credited_and_invoiced_again,
    credited_in_part,
    renamed,
    moves_to_another_record,
    product_renamed,
    two_rows_of_one_product,
    billed_afterwards,
    free_text_rows,
    swedish_texts,
    reverse_charge,
    discount_row,
    rounding_row,
    sold_to_a_factor,
    reminded,
    two_months_in_one,
    without_partner_record,
    prices_with_vat,
    upgraded_in_mid_year,
    drafts_and_dead_papers,
    leaves_and_returns,
    odd_periods,
    usage_only,
    never_pays,
    pays_in_parts,
    pays_too_much,
    typed_in_late,
    prints_on_paper,
)
