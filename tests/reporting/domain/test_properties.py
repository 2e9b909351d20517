"""What must hold on any invoice history."""

from __future__ import annotations

import itertools
from dataclasses import fields, replace
from datetime import date, timedelta

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from reporting.domain.choices import Settings
from reporting.domain.lines import Lines
from reporting.domain.movements import KINDS, Movement
from reporting.domain.recognition import recognition_sums
from reporting.domain.report import Report, measure
from reporting.domain.rounding import list_minor, minor
from reporting.domain.runway import NO_BANK
from tests.reporting.domain.books import (
    NO_WORDS,
    Row,
    fx_parts,
    lines_of,
    movement_parts,
    mrr_parts,
    receivables_of,
)

START = date(2023, 1, 1)
RATES = {"EUR": 100, "USD": 91, "SEK": 9}


@st.composite
def rows(draw) -> Row:
    """Any row: dated or not, credited or not, in several currencies."""
    on, customer = START + timedelta(days=draw(st.integers(0, 900))), draw(st.integers(1, 4))
    cents = draw(st.integers(-50_000, 200_000))
    currency = draw(st.sampled_from(["EUR", "EUR", "USD", "SEK"]))
    rate = RATES[currency] + draw(st.integers(-3, 3))
    service = None
    if draw(st.booleans()):
        begin = on + timedelta(days=draw(st.integers(-40, 40)))
        length = draw(st.sampled_from([7, 28, 30, 31, 61, 90, 169, 365]))
        service = begin.isoformat(), (begin + timedelta(days=length)).isoformat()
    return Row(
        on=on.isoformat(),
        net=f"{cents / 100:.2f}",
        net_acc=f"{cents * rate // 100 / 100:.2f}",
        currency=currency,
        service=service,
        customer=customer,
        name=draw(st.sampled_from(["Lisenssi", "Alusta", "Käyttöönotto", "Tuki kk", "Hyvitys"])),
        unit=draw(st.sampled_from(["PIECE", "MONTH", "YEAR", "HOUR"])),
        quantity=str(draw(st.sampled_from([1, 1, 2, 3, 12]))),
        invoice=100 * customer + draw(st.integers(1, 30)),
        credit=cents < 0 and draw(st.booleans()),
    )


@st.composite
def regular(draw) -> list[Row]:
    """A customer who is billed on and on, with pauses and changes of price."""
    customer, first = draw(st.integers(1, 4)), draw(st.integers(0, 12))
    months, currency = draw(st.sampled_from([1, 1, 3, 12])), draw(st.sampled_from(["EUR", "USD"]))
    dated, result = draw(st.booleans()), []
    for number in range(draw(st.integers(2, 14))):
        if draw(st.integers(0, 9)) == 0:
            continue
        at = first + number * months
        after = at + months
        on, end = (date(2023 + n // 12, n % 12 + 1, 1).isoformat() for n in (at, after))
        cents = draw(st.sampled_from([10_000, 10_000, 10_000, 13_000, 7_777]))
        rate = RATES[currency] + draw(st.integers(-3, 3))
        result.append(
            Row(
                on=on,
                net=f"{cents / 100:.2f}",
                net_acc=f"{cents * rate // 100 / 100:.2f}",
                currency=currency,
                service=(on, end) if dated else None,
                customer=customer,
            )
        )
    return result


@st.composite
def crowded(draw) -> list[Row]:
    """A customer's few days with many rows that are alike, of which some take others back."""
    result = []
    for number in range(draw(st.integers(2, 12))):
        month = draw(st.integers(1, 4))
        on, end = f"2023-{month:02d}-01", f"2023-{month + draw(st.sampled_from([1, 1, 3])):02d}-01"
        net = draw(st.sampled_from([100, 100, 100, 300, -100, -40]))
        result.append(
            Row(
                on=on,
                net=f"{net}.00",
                service=draw(st.sampled_from([None, (on, end), ("2023-01-01", end)])),
                name=draw(st.sampled_from(["Alusta kk", "Alusta kk", "Tuki kk"])),
                invoice=9_000 + number // 2,
                credit=net == -100,
            )
        )
    return result


HISTORIES = st.tuples(st.lists(regular(), max_size=4), st.lists(rows(), max_size=12)).map(
    lambda both: [*itertools.chain.from_iterable(both[0]), *both[1]]
)
DAYS = st.dates(date(2023, 6, 1), date(2026, 12, 31))


def measured(lines: Lines, as_of: date, since: int | None = None, **kw) -> Report:
    found = Settings(as_of=as_of, **kw)
    return measure(lines, NO_BANK, receivables_of(), NO_WORDS, found, since=since)


@given(history=HISTORIES, as_of=DAYS, tolerance=st.sampled_from([0, 100]))
@settings(max_examples=60, deadline=None)
def test_the_identity_is_exact_in_months_quarters_and_years(history, as_of, tolerance):
    report = measured(lines_of(history), as_of, tolerance_bp=tolerance)
    for length in (1, 3, 12):
        for period in report.by(length):
            step = period.step
            assert step.end == (
                step.start
                + step.new
                + step.expansion
                - step.contraction
                - step.churn
                + step.reactivation
                + step.fx
                + step.tolerated
            )
        last = np.flatnonzero((report.months + 1) % length == 0)
        moves = report._moves(last)
        total = report.total_e4[last]
        signed = moves.change.sum(axis=0) + moves.fx_total
        assert np.array_equal(np.cumsum(signed), total)
        by_kind = sum(moves.total(kind) * (1 if kind in GROWS else -1) for kind in KINDS)
        by_kind = by_kind + moves.total(Movement.TOLERATED) + moves.fx_total
        assert np.array_equal(np.cumsum(by_kind), total)


GROWS = (Movement.NEW, Movement.EXPANSION, Movement.REACTIVATION)


@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=40, deadline=None)
def test_every_month_and_movement_is_explained_to_the_cent(history, as_of):
    report = measured(lines_of(history), as_of)
    for place, month in enumerate(report.months.tolist()):
        parts = mrr_parts(report, month)
        assert parts.total == int(report.total_e4[place])
        assert list_minor(parts.amounts).sum() == int(report.mrr[place])
        for kind in KINDS:
            explained = movement_parts(report, month, kind)
            assert explained.total == int(report.monthly.total(kind)[place])
            assert (explained.amounts > 0).all()
        assert fx_parts(report, month).total == int(report.monthly.fx_total[place])


def renumbered(lines: Lines, chance: np.random.Generator) -> Lines:
    """The same rows as another import numbers them."""
    invoices, own = np.unique(lines.invoice_id, return_inverse=True)
    return replace(
        lines,
        line_id=chance.permutation(3 * len(lines))[: len(lines)],
        invoice_id=chance.permutation(3 * len(invoices))[own],
    )


@given(history=HISTORIES | crowded(), as_of=DAYS, seed=st.integers(0, 999))
@settings(max_examples=80, deadline=None)
def test_neither_the_order_nor_the_ids_of_rows_matter(history, as_of, seed):
    lines, chance = lines_of(history), np.random.default_rng(seed)
    order = chance.permutation(len(lines))
    one, other = measured(lines, as_of), measured(renumbered(lines, chance).take(order), as_of)
    assert np.array_equal(one.table.mrr, other.table.mrr)
    assert np.array_equal(one.mrr_e4[order], other.mrr_e4)
    assert np.array_equal(one.findings.type[order], other.findings.type)
    assert np.array_equal(one.findings.start[order], other.findings.start)
    assert [one.subscriptions.key(n) for n in range(len(one.subscriptions))] == [
        other.subscriptions.key(n) for n in range(len(other.subscriptions))
    ]
    assert one.periods == other.periods


@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=30, deadline=None)
def test_customers_can_be_measured_apart(history, as_of):
    lines = lines_of(history)
    whole = measured(lines, as_of)
    apart = {}
    for customer in whole.table.customers.tolist():
        part = measured(lines.take(np.flatnonzero(lines.customer_id == customer)), as_of)
        for month, amount in zip(part.months.tolist(), part.total_e4.tolist(), strict=True):
            apart[month] = apart.get(month, 0) + amount
    shown = dict(zip(whole.months.tolist(), whole.total_e4.tolist(), strict=True))
    assert {m: a for m, a in apart.items() if a} == {m: a for m, a in shown.items() if a}


@given(history=HISTORIES, as_of=DAYS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_sums_of_any_customers_add_up_to_those_of_all(history, as_of, seed):
    # An invoice is one customer's.
    own = [row.but(invoice=row.invoice and row.invoice + 100 * row.customer) for row in history]
    lines = lines_of(own)
    whole = measured(lines, as_of)
    first = int(whole.months[0])
    chosen = np.random.default_rng(seed).integers(0, 2, 10)[lines.customer_id] == 0
    one, other = (measured(lines.take(part), as_of, since=first) for part in (chosen, ~chosen))
    for name, sums in SUMS.items():
        added, all_at_once = sums(one) + sums(other), sums(whole)
        for field in fields(all_at_once):
            both = getattr(added, field.name), getattr(all_at_once, field.name)
            assert np.array_equal(*both), (name, field.name)
        for field in fields(all_at_once):
            left = getattr(all_at_once - sums(other), field.name)
            assert np.array_equal(left, getattr(sums(one), field.name)), (name, field.name)


SUMS = {
    "months": lambda report: report.monthly_sums,
    "quarters": lambda report: report.growth_sums(3),
    "years": lambda report: report.growth_sums(12),
    "twelve months": lambda report: report.trailing_sums,
    "cohorts": lambda report: report.cohort_sums,
    "contracted": lambda report: report.contracted_sums,
    "first invoices": lambda report: report.first_invoices,
    "by month": lambda report: recognition_sums(report.schedule(daily=False), report.calendar),
    "by day": lambda report: recognition_sums(report.schedule(daily=True), report.calendar),
}


@given(history=HISTORIES.filter(bool), as_of=DAYS, seed=st.integers(0, 99))
@settings(max_examples=20, deadline=None)
def test_rows_of_an_invoice_may_stand_on_two(history, as_of, seed):
    """Charges alone: what a negative row on an invoice speaks about is the invoice's other rows."""
    charges = [row for row in history if not row.net.startswith("-")]
    moved = np.random.default_rng(seed).integers(0, 2, len(charges))
    apart = [
        row.but(invoice=(row.invoice or 5000 + place) + 90_000 * int(moved[place]))
        for place, row in enumerate(charges)
    ]
    one, two = measured(lines_of(charges), as_of), measured(lines_of(apart), as_of)
    assert np.array_equal(one.total_e4, two.total_e4)
    assert one.periods == two.periods


@given(
    net=st.integers(200, 10_000_000),
    share=st.integers(1, 99),
    length=st.integers(32, 400),
    offset=st.integers(0, 60),
)
@settings(max_examples=60, deadline=None)
def test_splitting_a_line_moves_mrr_by_at_most_one_unit(net, share, length, offset):
    begin = START + timedelta(days=offset)
    service = (begin.isoformat(), (begin + timedelta(days=length)).isoformat())
    whole = Row(
        on="2023-01-01", net=f"{net / 100:.2f}", service=service, unit="MONTH", name="Lisenssi"
    )
    part = net * share // 100
    split = [
        replace(whole, net=f"{part / 100:.2f}"),
        replace(whole, net=f"{(net - part) / 100:.2f}"),
    ]
    as_of = date(2026, 1, 1)
    one, two = measured(lines_of([whole]), as_of), measured(lines_of(split), as_of)
    assert np.abs(one.total_e4 - two.total_e4).max() <= 1
    assert (one.total_e4 > 0).any()


@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=30, deadline=None)
def test_revenue_by_kind_adds_up_to_what_was_invoiced(history, as_of):
    lines = lines_of(history)
    report = measured(lines, as_of)
    kinds = [report.revenue[one] for one in ("recurring", "non_recurring", "usage", "other")]
    assert np.array_equal(sum(kinds), report.revenue["total"])
    seen = lines.invoice_day <= (as_of.replace(day=28) - date(1970, 1, 1)).days + 40
    assert report.revenue["total"].sum() <= abs(lines.net_acc[seen]).sum()


@given(history=HISTORIES, as_of=DAYS)
@settings(max_examples=30, deadline=None)
def test_the_subscriptions_of_today_make_today_s_mrr(history, as_of):
    report = measured(lines_of(history), as_of)
    counted = sum(one.mrr_e4 for one in report.subscriptions if one.counted)
    row, column, amount = report.table.adjustments
    floor = amount[column == len(report.months) - 1].sum()
    today = mrr_parts(report, int(report.months[-1]))
    loose = report.findings.subscription[today.line_rows[today.line_rows >= 0]] < 0
    assert counted + floor + today.amounts[: len(loose)][loose].sum() == report.total_e4[-1]


def test_an_empty_book_makes_an_empty_report():
    report = measured(lines_of([]), date(2025, 5, 20))
    assert report.periods[-1].step.end == 0
    assert report.periods[-1].rates.gross_churn is None
    assert minor(int(report.total_e4.sum())) == 0
    assert len(report.subscriptions) == 0
    assert report.schedule().row.tolist() == []
    assert report.top_customers()[0].tolist() == []
