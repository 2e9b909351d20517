"""What people say is shown before it is said, kept as one edit, and can be taken back."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ValidationError

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations.models import InvoiceLine, Product
from reporting.models import (
    Edit,
    LineDecision,
    ProductMark,
    Report,
    ReportSettings,
    Subscription,
    SubscriptionDecision,
)
from reporting.services import (
    Change,
    ThingsGone,
    TouchedSince,
    UndoneAlready,
    acts,
    change_preview,
    change_save,
    edit_undo,
    settings_change,
)
from tests.conftest import Cast
from tests.factories import Row, customer_make, invoice_make, monthly_make, product_make
from tests.reporting.conftest import refreshed

EURO = 1_000_000
"""One euro a month in the engine's exact unit."""


@pytest.fixture
def steady(books: Any) -> Any:
    """A subscription of 100 € a month that runs."""
    refreshed()
    return Subscription.objects.get(customer=books[1])


def said() -> list[Any]:
    """Everything that people have said, as it stands."""
    names = {
        SubscriptionDecision: ("key", "verdict", "period_months", "start", "end", "merged_into"),
        LineDecision: ("line_id", "type", "subscription_key", "start", "end"),
        ProductMark: ("product_id", "mark", "period_months"),
        ReportSettings: ("default_period_months", "burn_months"),
    }
    return [sorted(model.objects.values_list(*fields)) for model, fields in names.items()]


def mrr_by_month() -> dict[str, int]:
    return {row["month"]: row["mrr_e4"] for row in Report.objects.get().body["months"]}


def line_of(invoice: Any) -> Any:
    return InvoiceLine.objects.select_related("invoice").get(invoice=invoice)


def every_act(books: Any, steady: Any) -> list[Change]:
    ended = Subscription.objects.get(customer=books[2])
    line = line_of(books[3])
    return [
        acts.confirmed(subscription=steady),
        acts.rejected(subscription=steady),
        acts.edited(subscription=steady, period_months=3, renewal_percent=80, paused=True),
        acts.certain(),
        acts.split(lines=[line], subscription=steady),
        acts.moved(lines=[line], into=steady),
        acts.made(line=line, period_months=12),
        acts.made_of_all_like(line=line, period_months=3),
        acts.line_said(line=line, type="usage"),
        acts.products_marked(products=[Product.objects.get()], mark="recurring", period_months=12),
        acts.settings_changed(default_period_months=12, burn_months=6),
        acts.rejected(subscription=ended),
    ]


@pytest.mark.parametrize("number", range(12))
def test_undoing_an_act_leaves_what_was_said_before_it(
    books: Any, steady: Any, cast: Cast, number: int
) -> None:
    # Something was said already, of which an act may overwrite parts.
    SubscriptionDecision.objects.create(key=steady.key, period_months=12, by=cast.ann)
    before = said()
    edit = change_save(change=every_act(books, steady)[number], by=cast.bob)
    assert edit is not None
    assert said() != before
    edit_undo(edit=edit, by=cast.bob)
    was, now = before, said()
    assert now[:3] == was[:3]
    # The row of settings stays, with the defaults in it.
    assert not now[3] or now[3] == [(1, 3)]


def test_an_act_that_says_nothing_new_is_no_edit(steady: Any, cast: Cast) -> None:
    assert change_save(change=acts.confirmed(subscription=steady), by=cast.bob) is not None
    assert change_save(change=acts.confirmed(subscription=steady), by=cast.bob) is None
    assert Edit.objects.count() == 1


def test_confirming_keeps_what_else_was_said(steady: Any, cast: Cast) -> None:
    change_save(change=acts.edited(subscription=steady, period_months=3), by=cast.bob)
    change_save(change=acts.rejected(subscription=steady), by=cast.bob)
    decision = SubscriptionDecision.objects.get()
    assert (decision.verdict, decision.period_months) == ("rejected", 3)


def test_an_edit_under_a_newer_one_is_not_undone(steady: Any, cast: Cast) -> None:
    first = change_save(change=acts.confirmed(subscription=steady), by=cast.bob)
    second = change_save(change=acts.rejected(subscription=steady), by=cast.ann)
    assert first is not None
    assert second is not None
    with pytest.raises(TouchedSince):
        edit_undo(edit=first, by=cast.bob)
    edit_undo(edit=second, by=cast.bob)
    edit_undo(edit=first, by=cast.bob)
    assert not SubscriptionDecision.objects.exists()


def test_a_newer_edit_of_something_else_is_no_obstacle(books: Any, steady: Any, cast: Cast) -> None:
    first = change_save(change=acts.confirmed(subscription=steady), by=cast.bob)
    other = Subscription.objects.get(customer=books[2])
    change_save(change=acts.confirmed(subscription=other), by=cast.bob)
    assert first is not None
    edit_undo(edit=first, by=cast.bob)
    assert SubscriptionDecision.objects.get().key == other.key


def test_the_same_word_said_again_meanwhile_stays(steady: Any, cast: Cast) -> None:
    edits = [
        change_save(change=make(subscription=steady), by=cast.bob)
        for make in (acts.confirmed, acts.rejected, acts.confirmed)
    ]
    assert edits[0] is not None
    with pytest.raises(TouchedSince):
        edit_undo(edit=edits[0], by=cast.bob)


def test_nothing_is_undone_twice(steady: Any, cast: Cast) -> None:
    edit = change_save(change=acts.confirmed(subscription=steady), by=cast.bob)
    assert edit is not None
    edit_undo(edit=edit, by=cast.bob)
    with pytest.raises(UndoneAlready):
        edit_undo(edit=edit, by=cast.bob)


def test_a_word_on_a_row_that_is_gone_is_not_brought_back(
    books: Any, steady: Any, cast: Cast
) -> None:
    line = line_of(books[3])
    edit = change_save(change=acts.line_said(line=line, type="usage"), by=cast.bob)
    assert edit is not None
    line.delete()
    with pytest.raises(ThingsGone):
        edit_undo(edit=edit, by=cast.bob)


def test_undoing_is_audited(steady: Any, cast: Cast) -> None:
    edit = change_save(change=acts.rejected(subscription=steady), by=cast.bob)
    assert edit is not None
    edit_undo(edit=edit, by=cast.ann)
    event = AuditEvent.objects.get(act="report.edit_undone")
    assert (event.actor, event.before, event.after) == (cast.ann, {"verdict": "rejected"}, {})
    edit.refresh_from_db()
    assert edit.undone_by == cast.ann


def test_only_subscriptions_of_one_customer_are_merged(books: Any, steady: Any) -> None:
    other = Subscription.objects.get(customer=books[2])
    with pytest.raises(ValidationError):
        acts.merged(subscription=other, into=steady)
    with pytest.raises(ValidationError):
        acts.merged(subscription=steady, into=steady)


def test_an_unknown_setting_is_refused(books: Any, cast: Cast) -> None:
    with pytest.raises(TypeError):
        settings_change(by=cast.ann, treshold="low")


@pytest.mark.parametrize("number", range(12))
def test_a_preview_is_what_saving_does(
    books: Any, kuura: Any, steady: Any, cast: Cast, number: int
) -> None:
    change = every_act(books, steady)[number]
    shown = change_preview(tenant=kuura, change=change)
    assert shown is not None
    assert not Edit.objects.exists()
    before = mrr_by_month()
    change_save(change=change, by=cast.bob)
    refreshed()
    after = mrr_by_month()
    differing = {
        name: after.get(name, 0) - before.get(name, 0)
        for name in {*before, *after}
        if after.get(name, 0) != before.get(name, 0)
    }
    previewed = {
        f"{month // 12:04d}-{month % 12 + 1:02d}": there - here
        for month, here, there in shown.months
        if there != here
    }
    assert previewed == differing


def test_a_preview_writes_nothing(books: Any, kuura: Any, steady: Any) -> None:
    before = said()
    shown = change_preview(tenant=kuura, change=acts.rejected(subscription=steady))
    assert shown is not None
    assert said() == before
    assert (shown.now, shown.concerned) == ((100 * EURO, 0), 1)
    assert shown.customers == [(books[1].pk, 100 * EURO, 0)]
    assert shown.worst is not None
    assert shown.worst[1:] == (100 * EURO, 0)


def test_a_preview_of_a_product_measures_every_customer_of_it(
    books: Any, kuura: Any, steady: Any
) -> None:
    stranger = customer_make(books[0], "Cedar Oy")
    invoice_make(stranger, "2026-03-01", [Row(net="10.00", name="Muu")])
    change = acts.products_marked(products=[Product.objects.get()], mark="one_off")
    shown = change_preview(tenant=kuura, change=change)
    assert shown is not None
    assert shown.concerned == 2
    assert {customer for customer, _, _ in shown.customers} == {books[1].pk, books[2].pk}


def test_a_preview_over_too_many_customers_measures_the_largest(
    books: Any, kuura: Any, steady: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting.services.deciding.previewing.MOST", 1)
    change = acts.products_marked(products=[Product.objects.get()], mark="one_off")
    shown = change_preview(tenant=kuura, change=change)
    assert shown is not None
    assert (shown.concerned, shown.whole) == (2, False)
    assert [customer for customer, _, _ in shown.customers] == [books[1].pk]


def test_before_the_first_figures_there_is_no_preview(books: Any, kuura: Any) -> None:
    change = acts.products_marked(products=[Product.objects.get()], mark="usage")
    assert change_preview(tenant=kuura, change=change) is None


def test_the_strangers_words_are_out_of_reach(steady: Any, cast: Cast) -> None:
    edit = change_save(change=acts.confirmed(subscription=steady), by=cast.bob)
    with scope.tenant(cast.stranger_tenant.pk):
        assert not Edit.objects.exists()
        with pytest.raises(Edit.DoesNotExist):
            edit_undo(edit=edit, by=cast.bob)


class TestByHand:
    """What people make of rows that detection reads otherwise."""

    @pytest.fixture
    def fee(self, books: Any) -> Any:
        """A row that speaks of a one-off, invoiced in two months."""
        for day in ("2026-02-05", "2026-03-05"):
            invoice_make(books[1], day, [Row(net="30.00", name="Käyttöönotto lisä")])
        refreshed()
        return InvoiceLine.objects.select_related("invoice").filter(name__endswith="lisä").last()

    def test_one_row_alone_becomes_a_subscription(self, books: Any, fee: Any, cast: Cast) -> None:
        change_save(change=acts.made(line=fee, period_months=3), by=cast.bob)
        refreshed()
        made = Subscription.objects.get(key__contains="own:")
        assert (made.mrr_e4, made.period_months, made.confirmed) == (10 * EURO, 3, True)

    def test_every_row_like_it_becomes_one_in_future_invoices_too(
        self, books: Any, fee: Any, cast: Cast
    ) -> None:
        change_save(change=acts.made_of_all_like(line=fee), by=cast.bob)
        invoice_make(books[1], "2026-03-06", [Row(net="30.00", name="Käyttöönotto lisä")])
        refreshed()
        made = Subscription.objects.get(product_name="Käyttöönotto lisä")
        assert (made.line_count, made.confirmed) == (3, True)

    def test_rows_of_another_customer_are_not_split_off(self, books: Any, steady: Any) -> None:
        other = InvoiceLine.objects.exclude(invoice__customer=books[1]).select_related("invoice")
        with pytest.raises(ValidationError, match="of one customer only"):
            acts.split(lines=[other[0]], subscription=steady)

    def test_split_rows_stand_by_themselves(self, books: Any, steady: Any, cast: Cast) -> None:
        line = line_of(books[3])
        change_save(change=acts.split(lines=[line], subscription=steady), by=cast.bob)
        refreshed()
        own = Subscription.objects.get(key__contains="own:")
        assert own.line_count == 1
        assert Subscription.objects.get(key=steady.key).line_count == 2

    def test_one_that_goes_on_as_another_is_one_until_they_are_taken_apart(
        self, books: Any, steady: Any, cast: Cast
    ) -> None:
        renamed = product_make(books[0], "Alusta Plus")
        monthly_make(books[1], renamed, ["2025-11", "2025-12"], net="80.00")
        refreshed()
        part = Subscription.objects.get(customer=books[1], product=renamed)
        change_save(change=acts.merged(subscription=part, into=steady), by=cast.bob)
        refreshed()
        whole = Subscription.objects.get(customer=books[1])
        assert (whole.key, whole.line_count) == (steady.key, 5)
        change_save(change=acts.taken_apart(subscription=whole), by=cast.bob)
        refreshed()
        assert Subscription.objects.filter(customer=books[1]).count() == 2

    def test_what_was_merged_before_goes_along(self, steady: Any, cast: Cast) -> None:
        SubscriptionDecision.objects.create(key="1|n:part|EUR|0", merged_into=steady.key)
        into = Subscription(
            pk=-1, key="target", customer_id=steady.customer_id, currency=steady.currency
        )
        change_save(change=acts.merged(subscription=steady, into=into), by=cast.bob)
        assert set(SubscriptionDecision.objects.values_list("merged_into", flat=True)) == {"target"}
