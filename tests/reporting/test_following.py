"""A publication that follows a change of some customers equals one that measures everybody."""

from __future__ import annotations

import zlib
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from calqsync.tenancy import bulk
from integrations.models import InvoiceLine, Product
from reporting import feed
from reporting.domain.choices import Settings
from reporting.domain.runway import NO_BANK
from reporting.domain.segments import Belonging
from reporting.feed.receivables import Paid
from reporting.models import (
    CashFigure,
    CustomerFigure,
    CustomerMerge,
    InvoiceFigure,
    KeptSums,
    LineFigure,
    ProductMark,
    Report,
    ReportPart,
    Subscription,
)
from reporting.services import keeping, measuring, publishing, refresh_enqueue
from reporting.services.measuring import Otherwise, Shared, Sums, Whole
from tests.factories import (
    Row,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
    product_make,
)
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.domain.books import NO_WORDS, lines_of, receivables_of
from tests.reporting.domain.books import Row as Line
from tests.reporting.domain.test_properties import DAYS, HISTORIES

GROUPS = Belonging(
    product_group={}, customer_group={1: "A", 2: "A", 3: "B"}, country={1: "FI", 3: "SE"}
)
SHARDS = 3


def books_of(history: list[Line], as_of: date) -> feed.Books:
    """Books in memory; whether, and how late, an invoice is paid follows from its amount."""
    owed = []
    for row in history:
        due = date.fromisoformat(row.on) + timedelta(days=14)
        late = timedelta(days=int(float(row.net)) % 30)
        paid = None if int(float(row.net)) % 3 == 0 else (due + late).isoformat()
        owed.append((row.customer, due.isoformat(), row.net, paid))
    lines = lines_of(history)
    receivables = receivables_of(owed)
    nothing = np.zeros(len(receivables), dtype=np.int64)
    return feed.Books(
        settings=Settings(as_of=as_of),
        words=NO_WORDS,
        lines=lines,
        line_names=(["Alusta"], np.zeros(len(lines), dtype=np.int64)),
        receivables=receivables,
        paid=Paid(paid=nothing, written_off=nothing),
        bank=NO_BANK,
        accounts=(),
        connections=(),
        belonging=GROUPS,
        freshness=[],
        notes=[],
    )


def measured(books: feed.Books, shared: Shared, numbers: Any = ()) -> dict[int, Sums]:
    return {
        number: measuring.sums_of(part, measuring.shard_measured(part, shared))
        for number, part in measuring.shards_of(books, SHARDS, numbers)
    }


def whole(books: feed.Books, shared: Shared) -> Sums:
    found = Whole(shared)
    for _number, part in measuring.shards_of(books, SHARDS):
        report = measuring.shard_measured(part, shared)
        if found.fits(measuring.seen_in(report)):
            found.add(measuring.sums_of(part, report))
    return found.sums()


def settled(books: feed.Books) -> tuple[Shared, Sums]:
    shared = measuring.surveyed(books, replace(measuring.guessed(books, None), shards=SHARDS))
    try:
        return shared, whole(books, shared)
    except Otherwise as other:
        return other.shared, whole(books, other.shared)


def said(sums: Sums) -> bytes:
    """The sums in an order of their own."""
    tallies = dict(sorted(sums.tallies.items()))
    return keeping.packed(replace(sums, listed=sums.listed.in_order(), tallies=tallies))


EDITS = st.lists(st.tuples(st.integers(1, 4), HISTORIES), min_size=1, max_size=3)


@given(history=HISTORIES, edits=EDITS, as_of=DAYS)
@settings(max_examples=25, deadline=None)
def test_sums_that_follow_any_edits_are_those_of_everybody(history, edits, as_of):
    history = owned(history)
    shared, total = settled(books_of(history, as_of))
    shards = measured(books_of(history, as_of), shared, range(SHARDS))
    for customer, other in edits:
        others = [row for row in history if row.customer != customer]
        history = others + owned([row.but(customer=customer) for row in other[:10]])
        books, number = books_of(history, as_of), customer % SHARDS
        try:
            [(_number, part)] = measuring.shards_of(books, SHARDS, [number])
            became = {number: measuring.followed(part, shared)}
            total = measuring.replaced(total, shards, became, shared)
        except Otherwise:
            shared, total = settled(books)
            shards = measured(books, shared, range(SHARDS))
        else:
            shards |= became
            assert said(total) == said(whole(books, shared))


def owned(history: list[Line]) -> list[Line]:
    """The rows with invoices of one customer and one day each."""

    def number(row: Line) -> int:
        day = date.fromisoformat(row.on).toordinal()
        return (row.customer * 10**7 + day) * 1000 + (row.invoice or 0) % 1000

    return [row.but(invoice=number(row)) for row in history]


@pytest.fixture
def dealt(books: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The small company with a few customers more, in shards of a line or two, published."""
    monkeypatch.setattr(measuring, "LINES", 2)
    product = product_make(books[0], "Tuki")
    for name, net in (("Cor Oy", "30.00"), ("Dag Oy", "70.00"), ("Elo Oy", "20.00")):
        monthly_make(customer_make(books[0], name), product, ["2026-01", "2026-02"], net=net)
    refreshed()
    return books


def published() -> dict[str, Any]:
    """Everything that a publication writes, without what says when."""
    rows = {
        model: sorted(map(str, model.objects.values_list(*names)))
        for model, names in _COLUMNS.items()
    }
    report = Report.objects.get()
    shards = KeptSums.objects.exclude(shard=keeping.ALL).values_list("shard", flat=True)
    kept = keeping.shards_kept(list(shards))
    return {
        "rows": rows,
        "body": report.body,
        "parts": dict(ReportPart.objects.values_list("name", "body")),
        # A shard that has lost its last line is kept as nothing.
        "sums": {shard: said(sums) for shard, sums in kept.items() if sums.totals.states.lines[0]},
        "all": said(keeping.kept().sums),
    }


_COLUMNS: dict[Any, list[str]] = {
    model: [
        field.attname
        for field in model._meta.concrete_fields
        if field.attname not in ("id", "public_id", "subscription_id")
    ]
    for model in (Subscription, LineFigure, CustomerFigure, InvoiceFigure, CashFigure)
}


def followed(*customers: Any, bank: bool = False) -> None:
    refresh_enqueue(customers=[one.pk for one in customers], bank=bank)
    refreshed()


def from_nothing() -> None:
    """Forget what was kept, and measure everybody."""
    KeptSums.objects.all().delete()
    refreshed()


def test_what_follows_one_edit_after_another_is_what_measuring_everybody_writes(
    dealt: Any, caplog: pytest.LogCaptureFixture
) -> None:
    connection, steady, ended, open_one, _account = dealt
    line = InvoiceLine.objects.filter(invoice=open_one).first()
    line.net_minor = line.net_acc_minor = 12_345
    line.save()
    followed(steady)
    payment_make(open_one, "2026-03-14", "40.00")
    followed(steady)
    new = customer_make(connection, "Fagus Oy")
    invoice_make(new, "2026-03-02", [Row(net="240.00", service=("2026-03-01", "2027-03-01"))])
    followed(new)
    open_one.customer = ended
    open_one.save()
    followed(steady, ended)
    open_one.removed_at = "2026-03-15T09:00:00Z"
    open_one.save()
    followed(ended)
    steps = [record.msg for record in caplog.records if "followed" in record.msg]
    # The new customer may be the first one of its shard, and then everybody is measured.
    assert sum(step["followed"] for step in steps) >= 4
    after_steps = published()
    from_nothing()
    assert published() == after_steps


def test_a_merge_and_its_end_are_followed(dealt: Any) -> None:
    _connection, steady, ended, *_rest = dealt
    before = published()
    merge = CustomerMerge.objects.create(customer=ended, into=steady)
    followed(steady, ended)
    merged = published()
    from_nothing()
    assert published() == merged
    merge.delete()
    followed(steady, ended)
    from_nothing()
    assert published()["rows"] == before["rows"]


def test_a_changed_invoice_of_a_merged_customer_is_followed_in_who_it_counts_for(
    dealt: Any, caplog: pytest.LogCaptureFixture
) -> None:
    _connection, steady, ended, *_rest = dealt
    CustomerMerge.objects.create(customer=ended, into=steady)
    followed(steady, ended)
    caplog.clear()
    line = InvoiceLine.objects.filter(invoice__customer=ended).first()
    line.net_minor = line.net_acc_minor = 54_321
    line.save()
    followed(ended)
    [step] = [record.msg for record in caplog.records if "followed" in record.msg]
    assert step["followed"]
    after = published()
    from_nothing()
    assert published() == after


@pytest.mark.parametrize("other", ["day", "mark", "program"])
def test_sums_of_other_circumstances_are_not_followed(
    dealt: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    now = NOON + timedelta(days=1) if other == "day" else NOON
    if other == "mark":
        ProductMark.objects.create(product=Product.objects.first(), mark="recurring")
    if other == "program":
        monkeypatch.setattr(keeping, "BODY_VERSION", keeping.BODY_VERSION + 1)
    refresh_enqueue(customers=[dealt[1].pk], bank=False)
    refreshed(now)
    [step] = [record.msg for record in caplog.records if "followed" in record.msg]
    assert not step["followed"]


def test_following_one_customer_writes_nothing_of_others(dealt: Any) -> None:
    connection, steady, ended, open_one, _account = dealt
    # What nobody said has changed stays as it is until everybody is measured.
    CustomerFigure.objects.filter(customer=ended).update(invoiced_minor=1)
    InvoiceLine.objects.filter(invoice=open_one).update(net_minor=1, net_acc_minor=1)
    followed(steady)
    assert CustomerFigure.objects.get(customer=ended).invoiced_minor == 1
    refreshed()
    assert CustomerFigure.objects.get(customer=ended).invoiced_minor != 1


def test_sums_of_shards_without_books_are_not_kept(dealt: Any) -> None:
    """A customer who comes into one later would be measured against them."""
    KeptSums.objects.create(shard=10_000, body=b"")
    refreshed()
    assert KeptSums.objects.filter(shard=keeping.ALL).exists()
    assert not KeptSums.objects.filter(shard=10_000).exists()


def test_few_lines_are_looked_up_one_by_one_after_the_bank_s_rows_are_written(
    dealt: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    copied = bulk._copy_texts

    def copies(model: Any, columns: Any) -> Any:
        done.append(model.__name__)
        return copied(model, columns)

    monkeypatch.setattr(bulk, "_copy_texts", copies)
    monkeypatch.setattr(publishing, "plan_for_few_rows", lambda: done.append("few"))
    followed(dealt[1], bank=True)
    assert [one for one in done if one in {"CashFigure", "few", "LineFigure"}] == [
        "CashFigure",
        "few",
        "LineFigure",
    ]
    done.clear()
    monkeypatch.setattr(publishing, "FEW", 1)
    followed(dealt[1])
    assert "LineFigure" in done
    assert "few" not in done


def test_sums_that_zlib_packed_are_read() -> None:
    shared = Shared(shards=SHARDS, since=24_000, votes={}, delay=3)
    told = zlib.compress(msgspec.msgpack.encode(keeping._plain(shared)), 1)
    assert (
        keeping.unpacked(Shared, told) == shared == keeping.unpacked(Shared, keeping.packed(shared))
    )
