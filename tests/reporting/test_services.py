"""Figures are published whole, equal the engine's, and are rewritten only where they differ."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection as database
from django.db import transaction

from calqsync.jobs.models import Job
from calqsync.jobs.services import LostLease, claim, enqueue
from calqsync.tenancy import scope
from calqsync.tenancy.bulk import Incoming
from calqsync.tenancy.models import AuditEvent
from integrations.models import InvoiceLine, Product
from reporting import feed, services
from reporting.domain.movements import Movement
from reporting.domain.periods import month_index
from reporting.domain.report import measure
from reporting.models import (
    CashFigure,
    CustomerFigure,
    InvoiceFigure,
    LineFigure,
    Report,
    Subscription,
)
from reporting.services import Change, acts, change_save
from tests.conftest import Cast
from tests.factories import Row, connection_make, customer_make, invoice_make
from tests.reporting.conftest import NOON, refreshed


def month(text: str) -> int:
    return month_index(date.fromisoformat(f"{text}-01"))


def body() -> Any:
    return Report.objects.get().body


def row_of(rows: list[Any], name: str) -> Any:
    return next(row for row in rows if row["month"] == name)


def mrr_of_lines(index: int) -> int:
    rows = LineFigure.objects.filter(counted=True, from_month__lte=index, to_month__gt=index)
    return sum(rows.values_list("mrr_e4", flat=True))


def test_months_equal_the_engine(books: Any, kuura: Any) -> None:
    refreshed()
    read = feed.books(tenant=kuura, as_of=date(2026, 3, 15))
    report = measure(read.lines, read.bank, read.receivables, read.words, read.settings)
    assert [row["mrr_minor"] for row in body()["months"]] == report.mrr.tolist()
    assert [row["mrr_e4"] for row in body()["months"]] == report.total_e4.tolist()


def test_lines_under_a_month_add_up_to_it(books: Any) -> None:
    refreshed()
    assert body()["months"]
    for row in body()["months"]:
        assert mrr_of_lines(month(row["month"])) == row["mrr_e4"]


def test_adjustments_lift_a_negative_customer_to_zero(books: Any) -> None:
    connection, _, ended, _, _ = books
    credit = Row(net="-80.00", product=Product.objects.get(), service=("2025-12-01", "2026-01-01"))
    invoice_make(ended, "2025-12-20", [credit])
    refreshed()
    december = row_of(body()["months"], "2025-12")
    lifted = [one for one in body()["adjustments"] if one["month"] == "2025-12"]
    assert [one["amount_e4"] for one in lifted] == [3000 * 10_000]
    assert mrr_of_lines(month("2025-12")) + lifted[0]["amount_e4"] == december["mrr_e4"] == 0


def test_each_subscription_has_its_score_its_reasons_and_a_chance_of_renewal(books: Any) -> None:
    refreshed()
    found = list(Subscription.objects.all())
    assert found
    for one in found:
        codes = [sign["code"] for sign in one.evidence]
        assert "dates_found" in codes
        assert 80 <= one.score <= 100
        assert one.renewal_percent == (100 if one.status in ("active", "late", "future") else 0)


def test_a_subscription_is_named_by_its_charge_and_not_by_a_discount_on_it(books: Any) -> None:
    charge = Row(net="80.00", product=Product.objects.get(), service=("2026-03-01", "2026-04-01"))
    invoice_make(books[2], "2026-03-01", [charge, Row(net="-8.00", name="Sopimusalennus")])
    refreshed()
    found = Subscription.objects.get(customer=books[2])
    assert (found.product_name, found.product.name) == ("Alusta", "Alusta")
    assert found.mrr_e4 == 7200 * 10_000


@pytest.mark.parametrize("first", [True, False])
def test_what_was_invoiced_last_names_a_subscription_in_whatever_order_rows_were_read(
    books: Any, first: bool
) -> None:
    product, service = Product.objects.get(), ("2026-03-01", "2026-04-01")
    billed = [("2026-03-01", "Pro"), ("2026-03-02", "Alusta"), ("2026-03-02", "Lisenssi")]
    for on, name in billed if first else reversed(billed):
        invoice = invoice_make(books[2], on, [Row(net="80.00", product=product, service=service)])
        InvoiceLine.objects.filter(invoice=invoice).update(name=name)
    refreshed()
    assert Subscription.objects.get(customer=books[2]).product_name == "Lisenssi"


def test_movements_explain_every_change(books: Any) -> None:
    refreshed()
    rows = body()["months"]
    for before, row in zip([None, *rows], rows, strict=False):
        assert row["start_minor"] == (before["mrr_minor"] if before else 0)
        gained = row["new_minor"] + row["expansion_minor"] + row["reactivation_minor"]
        lost = row["contraction_minor"] + row["churn_minor"]
        assert row["start_minor"] + gained - lost + row["fx_minor"] == row["mrr_minor"]
    assert row_of(rows, "2026-01")["new_minor"] == 10000
    assert row_of(rows, "2026-01")["churn_minor"] == 5000


def test_customers_carry_their_movements(books: Any) -> None:
    refreshed()
    figure = CustomerFigure.objects.get(customer=books[2])
    assert figure.first_month == month("2025-11")
    assert figure.mrr_e4[:3] == [5000 * 10_000, 5000 * 10_000, 0]
    assert figure.moves[:3] == [Movement.NEW, Movement.NONE, Movement.CHURN]
    assert len(figure.mrr_e4) == month("2026-03") + 1 - figure.first_month


def test_revenue_is_split_by_invoice(books: Any) -> None:
    refreshed()
    january = row_of(body()["revenue"], "2026-01")
    assert (january["recurring_minor"], january["non_recurring_minor"]) == (10000, 50000)
    recurring = InvoiceFigure.objects.filter(invoice__date__range=("2026-01-01", "2026-01-31"))
    assert sum(recurring.values_list("recurring_minor", flat=True)) == 10000


def test_receivables_equal_the_invoices_under_them(books: Any) -> None:
    refreshed()
    owed = body()["receivables"]
    figure = InvoiceFigure.objects.get(age="not_due")
    assert (figure.invoice, figure.open_minor) == (books[3], 10000)
    assert owed["total_minor"] == sum(one["minor"] for one in owed["ages"]) == 10000
    assert sum(one["minor"] for one in owed["weeks"]) == 10000
    assert sum(one["minor"] for one in owed["months"]) == 10000


def test_cash_months_add_up_and_open_their_events(books: Any) -> None:
    refreshed()
    for row in body()["cash"]:
        flows = row["money_in_minor"] - row["money_out_minor"] + row["financing_minor"]
        flows += row["own_transfers_minor"] + row["unexplained_minor"]
        assert row["opening_minor"] + flows == row["closing_minor"]
        events = CashFigure.objects.filter(month=month(row["month"]), kind="operating")
        paid_out = [
            amount for amount in events.values_list("amount_minor", flat=True) if amount < 0
        ]
        assert -sum(paid_out) == row["money_out_minor"]
    assert row_of(body()["cash"], "2025-12")["opening_minor"] == 1000000


def test_runway_says_its_parts(books: Any) -> None:
    refreshed()
    runway = body()["runway"]
    assert runway["state"] == "ok"
    assert (runway["cash_minor"], runway["net_burn_minor"]) == (700000, 100000)
    assert (runway["months"], runway["balance_date"]) == ("7.0", "2026-02-28")
    assert runway["months_used"] == ["2025-12", "2026-01", "2026-02"]


def test_second_run_on_the_same_books_writes_nothing(books: Any) -> None:
    assert refreshed().added > 0
    version = Report.objects.get().version
    assert refreshed(NOON + timedelta(minutes=5)).total == 0
    assert Report.objects.get().version == version


def test_only_changed_rows_are_written(books: Any) -> None:
    refreshed()
    untouched = dict(LineFigure.objects.values_list("line_id", "pk"))
    invoice_make(customer_make(books[0]), "2026-03-02", [Row(net="9.00", name="Konsultointi")])
    written = refreshed()
    # The line, its customer and its invoice; the report itself, with two parts that show it.
    assert (written.added, written.changed, written.removed) == (3, 3, 0)
    assert untouched.items() <= dict(LineFigure.objects.values_list("line_id", "pk")).items()


def test_subscriptions_keep_their_public_ids(books: Any) -> None:
    refreshed()
    before = dict(Subscription.objects.values_list("key", "public_id"))
    invoice_make(
        books[1],
        "2026-03-10",
        [Row(net="100.00", product=Product.objects.get(), service=("2026-04-01", "2026-05-01"))],
    )
    refreshed()
    assert dict(Subscription.objects.values_list("key", "public_id")) == before
    assert len(before) == 2


def test_figures_of_a_document_that_is_gone_go_too(books: Any) -> None:
    refreshed()
    invoice = books[3]
    invoice.removed_at = NOON
    invoice.save()
    refreshed()
    assert not InvoiceFigure.objects.filter(invoice=invoice).exists()
    assert not LineFigure.objects.filter(line__invoice=invoice).exists()


def test_deleting_documents_in_sql_takes_their_figures(books: Any) -> None:
    refreshed()
    with database.cursor() as cursor:
        cursor.execute("DELETE FROM integrations_invoiceline WHERE invoice_id = %s", [books[3].pk])
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")
    assert not LineFigure.objects.filter(line__invoice=books[3]).exists()


def test_a_worker_without_the_lease_publishes_nothing(books: Any) -> None:
    job = claim(enqueue(kind=services.KIND).pk)
    assert job is not None
    Job.objects.filter(pk=job.id).update(epoch=job.epoch + 1)
    with pytest.raises(LostLease):
        services.report_refresh(job=job, now=NOON)
    assert not Report.objects.exists()
    assert not LineFigure.objects.exists()


def test_readers_see_the_old_figures_until_all_new_ones_are_there(
    committed_cast: Cast, truth: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def count() -> int:
        truth.execute("SELECT count(*) FROM reporting_customerfigure")
        return int(truth.fetchone()[0])

    replace = Incoming.replace

    def watched(incoming: Incoming, **values: Any) -> Any:
        seen.append(count())
        return replace(incoming, **values)

    with scope.tenant(committed_cast.tenant.pk):
        with transaction.atomic():
            invoice_make(customer_make(connection_make()), "2026-01-01", [Row(net="9.00")])
            job_id = enqueue(kind=services.KIND).pk
        job = claim(job_id)
        assert job is not None
        monkeypatch.setattr(Incoming, "replace", watched)
        services.report_refresh(job=job, now=NOON)
    assert seen
    assert set(seen) == {0}
    assert count() == 1


def test_nothing_of_the_stranger_is_written(books: Any, cast: Cast) -> None:
    refreshed()
    with scope.tenant(cast.stranger_tenant.pk):
        assert not Report.objects.exists()
        assert not Subscription.objects.exists()


def test_a_tenant_without_books_has_an_empty_report(kuura: Any) -> None:
    refreshed()
    assert body()["now"] is None
    assert body()["months"] == []
    assert body()["runway"]["state"] == "no_cash_data"


def test_mrr_waits_for_a_year_of_history_while_the_first_import_loads(books: Any) -> None:
    books[0].first_import_at = None
    books[0].complete_back_to = date(2025, 12, 15)
    books[0].save()
    refreshed()
    assert body()["complete_back_to"] == "2026-01"
    assert body()["now"] is None
    assert [row["month"] for row in body()["revenue"]] == ["2026-01", "2026-02", "2026-03"]


def test_as_of_is_the_company_s_own_day(books: Any) -> None:
    refreshed(NOON.replace(hour=22, minute=30))
    assert Report.objects.get().as_of == date(2026, 3, 16)


def say(change: Change, cast: Cast) -> None:
    change_save(change=change, by=cast.bob)


class TestPeoplesWords:
    def test_rejected_subscription_leaves_mrr(self, books: Any, cast: Cast) -> None:
        refreshed()
        subscription = Subscription.objects.get(customer=books[1])
        say(acts.rejected(subscription=subscription), cast)
        refreshed()
        assert body()["now"]["mrr_minor"] == 0
        assert Subscription.objects.get(customer=books[1]).status == "rejected"

    def test_cleared_subscription_counts_again(self, books: Any, cast: Cast) -> None:
        refreshed()
        subscription = Subscription.objects.get(customer=books[1])
        say(acts.rejected(subscription=subscription), cast)
        say(acts.cleared(subscription=subscription), cast)
        refreshed()
        assert body()["now"]["mrr_minor"] == 10000

    def test_confirming_takes_it_out_of_the_detected_share(self, books: Any, cast: Cast) -> None:
        refreshed()
        assert body()["now"]["detected_minor"] == 10000
        say(acts.confirmed(subscription=Subscription.objects.get(customer=books[1])), cast)
        refreshed()
        assert body()["now"]["detected_minor"] == 0

    def test_all_certain_ones_are_confirmed_at_once(self, books: Any, cast: Cast) -> None:
        refreshed()
        assert acts.certain().counted == {"count": 2}
        say(acts.certain(), cast)
        refreshed()
        assert not Subscription.objects.filter(confirmed=False).exists()

    def test_edited_end_ends_it(self, books: Any, cast: Cast) -> None:
        refreshed()
        subscription = Subscription.objects.get(customer=books[1])
        say(acts.edited(subscription=subscription, end=date(2026, 3, 10)), cast)
        refreshed()
        assert body()["now"]["mrr_minor"] == 0

    def test_an_end_before_the_start_is_refused(self, books: Any, cast: Cast) -> None:
        refreshed()
        with pytest.raises(ValidationError):
            acts.edited(
                subscription=Subscription.objects.first(),
                start=date(2026, 3, 1),
                end=date(2026, 2, 1),
            )

    def test_marked_product_is_obeyed_and_audited(self, books: Any, cast: Cast) -> None:
        say(acts.products_marked(products=[Product.objects.get()], mark="one_off"), cast)
        refreshed()
        assert body()["now"]["mrr_minor"] == 0
        event = AuditEvent.objects.get(act="product.marked")
        assert (event.actor, event.target, event.after["mark"]) == (cast.bob, "Alusta", "one_off")

    def test_unknown_mark_is_refused(self, books: Any, cast: Cast) -> None:
        with pytest.raises(ValidationError):
            say(acts.products_marked(products=[Product.objects.get()], mark="perhaps"), cast)

    def test_financing_leaves_operations(self, books: Any, cast: Cast) -> None:
        refreshed()
        event = CashFigure.objects.get(month=month("2026-01")).event
        services.cash_mark(event=event, financing=True, by=cast.bob)
        refreshed()
        january = row_of(body()["cash"], "2026-01")
        assert (january["money_out_minor"], january["financing_minor"]) == (0, -150000)

    def test_settings_change_the_figures(self, books: Any, cast: Cast) -> None:
        services.settings_change(by=cast.ann, burn_months=1)
        refreshed()
        assert body()["runway"]["months_used"] == ["2026-02"]

    def test_every_word_has_the_figures_recomputed(self, books: Any, cast: Cast) -> None:
        services.settings_change(by=cast.ann, tolerance_bp=100)
        assert Job.objects.filter(kind=services.KIND).count() == 1
