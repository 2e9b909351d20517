"""What a publication changes in closed months is written down with the documents behind it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from integrations.models import Connection, Invoice, InvoiceLine, Product
from reporting import services
from reporting.models import (
    InvoiceFigure,
    LineFigure,
    Report,
    ReportSettings,
    ReportVersion,
    Restatement,
    Subscription,
)
from tests.conftest import Cast
from tests.factories import (
    Row,
    connection_make,
    customer_make,
    invoice_make,
    monthly_make,
    payment_make,
)
from tests.reporting.conftest import NOON, refreshed
from tests.reporting.restated import causes, index, of, restated

LATER = NOON + timedelta(hours=1)


@pytest.fixture
def published(books: Any) -> Any:
    """The books of the fixture, published at noon."""
    refreshed()
    return books


def year(customer: Any, product: Any, net: str = "1200.00", **more: Any) -> Any:
    row = Row(net=net, product=product, service=("2025-11-01", "2026-11-01"))
    return invoice_make(customer, "2025-11-01", [row], **more)


def test_the_first_publication_restates_nothing(published: Any) -> None:
    assert not Restatement.objects.exists()


def test_what_only_the_running_month_gains_restates_nothing(published: Any) -> None:
    invoice_make(
        published[1],
        "2026-03-02",
        [Row(net="30.00", product=Product.objects.get(), service=("2026-03-01", "2026-04-01"))],
    )
    refreshed(LATER)
    assert Report.objects.get().body["months"][-1]["expansion_minor"] == 3000
    assert not Restatement.objects.exists()


def test_a_month_that_ends_restates_nothing(published: Any) -> None:
    refreshed(datetime(2026, 4, 1, 10, tzinfo=UTC))
    months = Report.objects.get().body["months"]
    assert [row["month"] for row in months if row["complete"]][-1] == "2026-03"
    assert not Restatement.objects.exists()


def test_a_credit_note_restates_the_months_it_takes_back(published: Any) -> None:
    credit = invoice_make(
        published[1],
        "2026-03-10",
        [Row(net="-40.00", product=Product.objects.get(), service=("2026-01-01", "2026-02-01"))],
    )
    refreshed(LATER)
    assert restated() == {
        "2026-01": {"accrued": -4000, "mrr": -4000, "new": -4000, "recognised": -4000},
        # The credit note itself is of March.
        "2026-02": {"accrued": -4000, "expansion": 4000},
    }
    assert causes("mrr", "2026-01") == [("credit_note", credit.number, -4000)]
    assert of("mrr", "2026-01").at == LATER
    assert causes("new", "2026-01") == [("credit_note", credit.number, -4000)]
    assert of("mrr", "2026-01").causes[0]["params"]["invoice"] == str(credit.public_id)


def test_a_late_invoice_restates_customers_movements_and_revenue(published: Any) -> None:
    late = year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
    refreshed(LATER)
    changed = restated()
    bought = {"recurring": 120000, "revenue": 120000, "recognised": 10000, "deferred": 110000}
    assert changed["2025-11"] == {"customers": 1, "mrr": 10000, "new": 10000, **bought}
    earned = {"recognised": 10000, "deferred": 80000}
    assert changed["2026-02"] == {"customers": 1, "mrr": 10000, **earned}
    for metric, amount in (("customers", 1), ("recurring", 120000), ("new", 10000)):
        assert causes(metric, "2025-11") == [("late_invoice", late.number, amount)]


def test_an_edited_amount_names_its_invoice(published: Any) -> None:
    line = InvoiceLine.objects.filter(invoice__date=date(2026, 2, 1)).get()
    line.net_minor = line.net_acc_minor = 8000
    line.save()
    refreshed(LATER)
    assert causes("mrr", "2026-02") == [("invoice_edited", line.invoice.number, -2000)]
    assert causes("recurring", "2026-02") == [("invoice_edited", line.invoice.number, -2000)]
    assert causes("contraction", "2026-02") == [("invoice_edited", line.invoice.number, 2000)]
    restated()


def test_a_removed_invoice_is_named_although_it_is_gone(published: Any) -> None:
    gone = Invoice.objects.get(customer=published[2], date=date(2025, 11, 1))
    gone.removed_at = NOON
    gone.save()
    refreshed(LATER)
    assert ("invoice_removed", gone.number, -5000) in causes("recurring", "2025-11")
    assert "2025-11" in restated()


def test_a_row_taken_out_of_an_invoice_leaves_no_remainder(kuura: Any) -> None:
    connection = connection_make()
    customer = customer_make(connection)
    two = [
        Row(net=net, name=name, service=("2026-01-01", "2026-02-01"))
        for net, name in (("100.00", "Alusta"), ("30.00", "Lisenssi"))
    ]
    invoice = invoice_make(customer, "2026-01-01", two)
    refreshed()
    InvoiceLine.objects.filter(invoice=invoice, position=1).delete()
    assert not LineFigure.objects.filter(line__position=1).exists()
    refreshed(LATER)
    assert causes("mrr", "2026-01") == [("invoice_edited", invoice.number, -3000)]
    restated()


def test_grace_that_runs_out_names_the_last_invoice(kuura: Any) -> None:
    customer = customer_make(connection_make())
    last = invoice_make(
        customer, "2026-01-01", [Row(net="100.00", service=("2026-01-28", "2026-02-28"))]
    )
    refreshed(datetime(2026, 3, 2, 10, tzinfo=UTC))
    assert Report.objects.get().body["months"][-2]["mrr_minor"] > 0, "the line is not late"
    refreshed(datetime(2026, 5, 2, 10, tzinfo=UTC))
    assert [cause[:2] for cause in causes("mrr", "2026-02")] == [("grace_ended", last.number)]
    assert restated()["2026-02"]["customers"] == -1


def test_a_paid_invoice_that_no_other_follows_is_not_called_unpaid(kuura: Any) -> None:
    ReportSettings.objects.create(overdue_days=10)
    last = invoice_make(
        customer_make(connection_make()),
        "2026-01-01",
        [Row(net="100.00", service=("2026-01-28", "2026-02-28"))],
    )
    payment_make(last, "2026-01-05", "100.00")
    refreshed(datetime(2026, 3, 2, 10, tzinfo=UTC))
    refreshed(datetime(2026, 5, 2, 10, tzinfo=UTC))
    assert causes("mrr", "2026-02") == [("grace_ended", last.number, -10000)]


def test_what_is_unpaid_too_long_names_its_invoice_and_so_does_its_payment(books: Any) -> None:
    ReportSettings.objects.create(overdue_days=30)
    unpaid = year(customer_make(books[0], "Kuusi Oy"), Product.objects.get(), due="2025-12-10")
    paid = payment_make(unpaid, "2025-12-10", "1200.00")
    refreshed()
    paid.removed_at = LATER
    paid.save()
    refreshed(LATER)
    assert causes("mrr", "2026-01") == [("overdue", unpaid.number, -10000)]
    # It counted until thirty days after it fell due.
    assert "2025-12" not in restated()
    Restatement.objects.all().delete()
    payment_make(unpaid, "2026-03-14", "1200.00")
    refreshed(LATER + timedelta(hours=1))
    assert causes("mrr", "2026-01") == [("paid", unpaid.number, 10000)]
    assert "2025-12" not in restated()


def test_the_invoice_that_was_awaited_explains_what_it_replaces(kuura: Any) -> None:
    connection = connection_make()
    customer, january = customer_make(connection), ("2026-01-01", "2026-02-01")
    invoice_make(customer, "2026-01-01", [Row(net="100.00", service=january)])
    refreshed(datetime(2026, 3, 2, 10, tzinfo=UTC))
    came = invoice_make(
        customer, "2026-03-02", [Row(net="130.00", service=("2026-02-01", "2026-03-01"))]
    )
    refreshed(datetime(2026, 3, 3, 10, tzinfo=UTC))
    assert causes("mrr", "2026-02") == [("late_invoice", came.number, 3000)]
    restated()


def test_a_person_s_word_is_named_with_its_act(published: Any, cast: Cast) -> None:
    from reporting.services.deciding import acts, change_save

    subscription = Subscription.objects.get(customer=published[2])
    edit = change_save(change=acts.rejected(subscription=subscription), by=cast.bob)
    assert edit is not None
    refreshed(datetime.now(UTC).replace(year=2026, month=3, day=15))
    params = of("mrr", "2025-12").causes[0]["params"]
    assert of("mrr", "2025-12").causes[0]["code"] == "word"
    assert (params["edit"], params["act"]) == (str(edit.public_id), "subscription.rejected")
    restated()


def test_a_change_of_settings_is_one_cause(published: Any, cast: Cast) -> None:
    services.settings_change(by=cast.bob, tolerance_bp=10_000)
    refreshed(LATER)
    assert {code for row in Restatement.objects.all() for code in [row.causes[0]["code"]]} <= {
        "settings",
        "rounding",
    }
    restated()


def test_another_window_restates_movements_of_customers_whose_mrr_stays(
    books: Any, cast: Cast
) -> None:
    back = customer_make(books[0], "Kuusi Oy")
    monthly_make(back, Product.objects.get(), ["2025-03", "2025-04", "2025-11", "2025-12"])
    refreshed()
    services.settings_change(by=cast.bob, reactivation_months=2)
    refreshed(LATER)
    assert restated() == {"2025-11": {"new": 10000, "reactivation": -10000}}
    assert causes("new", "2025-11") == [("settings", None, 10000)]


def test_a_second_account_is_one_cause_not_a_thousand_documents(published: Any) -> None:
    other = connection_make("US account")
    for name in ("Cedar Inc", "Dune Inc"):
        year(customer_make(other, name), None)
    refreshed(LATER)
    assert {cause[0] for cause in causes("mrr", "2025-11")} == {"account_added"}
    for metric, amount in (("recurring", 240000), ("recognised", 20000)):
        assert causes(metric, "2025-11") == [("account_added", None, amount)]
    restated()


def test_an_account_deleted_with_its_books_leaves_its_share_behind(published: Any) -> None:
    other = connection_make("US account")
    year(customer_make(other, "Cedar Inc"), None)
    refreshed(LATER)
    Restatement.objects.all().delete()
    Connection.objects.filter(pk=other.pk)._raw_delete("default")
    refreshed(LATER + timedelta(hours=1))
    assert causes("mrr", "2026-01") == [("documents_deleted", None, -10000)]
    restated()


def test_an_edited_one_off_is_not_told_for_recurring_rows_that_are_gone(published: Any) -> None:
    fee = InvoiceLine.objects.get(name="Käyttöönotto")
    fee.net_minor = fee.net_acc_minor = 45000
    fee.save()
    Invoice.objects.filter(customer=published[1], date="2026-02-01")._raw_delete("default")
    refreshed(LATER)
    assert causes("mrr", "2026-02") == [("documents_deleted", None, -10000)]
    restated()


def test_a_customer_lifted_to_zero_loses_no_more_than_it_had(published: Any) -> None:
    credit = invoice_make(
        published[2],
        "2026-03-10",
        [Row(net="-80.00", product=Product.objects.get(), service=("2025-12-01", "2026-01-01"))],
    )
    refreshed(LATER)
    assert causes("mrr", "2025-12") == [("credit_note", credit.number, -5000)]
    restated()


def test_while_the_first_import_loads_nothing_is_restated(books: Any) -> None:
    books[0].first_import_at, books[0].complete_back_to = None, date(2025, 1, 15)
    books[0].save()
    refreshed()
    year(customer_make(books[0], "Kuusi Oy"), Product.objects.get())
    books[0].first_import_at = LATER
    books[0].save()
    refreshed(LATER)
    assert Report.objects.get().body["complete_back_to"] is None
    assert not Restatement.objects.exists()


def test_books_that_are_loaded_again_restate_nothing(published: Any) -> None:
    """Months from before what is complete are hidden meanwhile, and not empty."""
    Connection.objects.update(first_import_at=None, complete_back_to=date(2026, 1, 15))
    refreshed(LATER)
    assert Report.objects.get().body["complete_back_to"]
    assert not Restatement.objects.exists()


def test_figures_in_another_currency_are_not_restated(published: Any) -> None:
    report = Report.objects.get()
    report.body["currency"] = "SEK"
    report.save()
    year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
    refreshed(LATER)
    assert not Restatement.objects.exists()


def test_the_mrr_of_the_newest_month_is_written_last_for_lists_begin_with_it(
    published: Any,
) -> None:
    year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
    refreshed(LATER)
    newest = Restatement.objects.order_by("-pk").values_list("metric", "month")[:2]
    assert list(newest) == [("mrr", index("2026-02")), ("customers", index("2026-02"))]


class TestRevenue:
    """What is invoiced once is restated like what recurs."""

    def test_a_late_one_off_names_its_invoice(self, published: Any) -> None:
        late = invoice_make(published[1], "2026-01-20", [Row(net="70.00", name="Koulutus")])
        refreshed(LATER)
        assert restated() == {
            "2026-01": {"non_recurring": 7000, "recognised": 7000, "revenue": 7000}
        }
        for metric in ("non_recurring", "revenue"):
            assert causes(metric, "2026-01") == [("late_invoice", late.number, 7000)]
        assert of("revenue", "2026-01").currency == "EUR"

    def test_an_edited_one_off_names_its_invoice_although_it_moves_no_mrr(
        self, published: Any
    ) -> None:
        line = InvoiceLine.objects.get(name="Käyttöönotto")
        line.net_minor = line.net_acc_minor = 45000
        line.save()
        refreshed(LATER)
        assert restated() == {
            "2026-01": {"non_recurring": -5000, "recognised": -5000, "revenue": -5000}
        }
        assert causes("revenue", "2026-01") == [("invoice_edited", line.invoice.number, -5000)]

    def test_an_invoice_deleted_outright_is_not_laid_to_another_one(self, published: Any) -> None:
        invoice_make(published[1], "2026-01-20", [Row(net="70.00", name="Koulutus")])
        refreshed(LATER)
        Restatement.objects.all().delete()
        line = InvoiceLine.objects.get(name="Koulutus")
        line.net_minor = line.net_acc_minor = 8000
        line.save()
        fee = InvoiceLine.objects.get(name="Käyttöönotto").invoice
        Invoice.objects.filter(pk=fee.pk)._raw_delete("default")
        refreshed(LATER + timedelta(hours=1))
        assert causes("revenue", "2026-01") == [
            ("documents_deleted", None, -50000),
            ("invoice_edited", line.invoice.number, 1000),
        ]

    def test_an_invoice_dated_anew_leaves_one_month_for_the_other(self, published: Any) -> None:
        fee = InvoiceLine.objects.get(name="Käyttöönotto").invoice
        fee.date = date(2025, 12, 20)
        fee.save()
        refreshed(LATER)
        assert causes("revenue", "2026-01") == [("invoice_edited", fee.number, -50000)]
        assert causes("revenue", "2025-12") == [("invoice_edited", fee.number, 50000)]
        restated()

    def test_a_word_on_a_product_moves_revenue_between_its_parts(
        self, published: Any, cast: Cast
    ) -> None:
        from reporting.services.deciding import acts, change_save

        change = acts.products_marked(products=[Product.objects.get()], mark="one_off")
        edit = change_save(change=change, by=cast.bob)
        assert edit is not None
        refreshed(datetime.now(UTC).replace(year=2026, month=3, day=15))
        changed = restated()["2025-12"]
        assert (changed["recurring"], changed["non_recurring"]) == (-5000, 5000)
        assert "revenue" not in changed
        assert [cause[0] for cause in causes("non_recurring", "2025-12")] == ["word"]

    def test_figures_of_an_earlier_program_do_not_look_edited(self, published: Any) -> None:
        InvoiceFigure.objects.update(net_minor=None, month=None)
        late = invoice_make(published[1], "2026-01-20", [Row(net="70.00", name="Koulutus")])
        refreshed(LATER)
        assert causes("revenue", "2026-01") == [("late_invoice", late.number, 7000)]


class TestRecognition:
    """What is earned, deferred and accrued is restated by the method that the company chose."""

    def test_each_document_has_its_own_share(self, published: Any) -> None:
        late = year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
        line = InvoiceLine.objects.filter(invoice__date=date(2026, 2, 1)).get()
        line.net_minor = line.net_acc_minor = 8000
        line.save()
        refreshed(LATER)
        assert causes("recognised", "2026-02") == [
            ("late_invoice", late.number, 10000),
            ("invoice_edited", line.invoice.number, -2000),
        ]
        assert causes("deferred", "2026-02") == [("late_invoice", late.number, 80000)]
        restated()

    def test_it_follows_the_method_and_the_method_restates_nothing(
        self, published: Any, cast: Cast
    ) -> None:
        services.settings_change(by=cast.bob, recognition="daily")
        refreshed(LATER)
        assert not Restatement.objects.exists()
        late = year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
        refreshed(LATER + timedelta(hours=1))
        # 1,200.00 over 365 days, 30 of which are November's.
        assert causes("recognised", "2025-11") == [("late_invoice", late.number, 9863)]
        restated()

    def test_a_one_off_dated_anew_is_earned_in_its_new_month(self, published: Any) -> None:
        fee = InvoiceLine.objects.get(name="Käyttöönotto").invoice
        fee.date = date(2025, 12, 20)
        fee.save()
        refreshed(LATER)
        assert causes("recognised", "2026-01") == [("invoice_edited", fee.number, -50000)]
        assert causes("recognised", "2025-12") == [("invoice_edited", fee.number, 50000)]

    def test_what_it_was_earned_in_is_not_laid_to_what_came_meanwhile(self, published: Any) -> None:
        fee = InvoiceLine.objects.get(name="Käyttöönotto").invoice
        fee.date = date(2025, 12, 20)
        fee.save()
        late = invoice_make(published[1], "2026-01-20", [Row(net="70.00", name="Koulutus")])
        refreshed(LATER)
        assert causes("recognised", "2026-01") == [
            ("invoice_edited", fee.number, -50000),
            ("late_invoice", late.number, 7000),
        ]

    def test_a_period_that_the_next_invoice_ends_sooner_is_that_invoice_s_doing(
        self, books: Any
    ) -> None:
        customer = customer_make(books[0], "Kuusi Oy")
        row = Row(net="1200.00", name="Vuosilisenssi", unit="YEAR")
        invoice_make(customer, "2025-02-20", [row])
        refreshed()
        late = invoice_make(customer, "2026-01-30", [row])
        refreshed(LATER)
        assert restated()["2025-03"]["recognised"] == 909
        assert causes("recognised", "2025-03") == [("late_invoice", late.number, 909)]

    def test_a_word_says_over_which_months_a_line_is_earned(
        self, published: Any, cast: Cast
    ) -> None:
        from reporting.services.deciding import acts, change_save

        late = year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
        refreshed(LATER)
        Restatement.objects.all().delete()
        change = acts.products_marked(products=[Product.objects.get()], mark="one_off")
        assert change_save(change=change, by=cast.bob) is not None
        refreshed(datetime.now(UTC).replace(year=2026, month=3, day=15))
        restated()
        (found,) = of("recognised", "2025-11").causes
        assert (found["code"], found["params"]["number"]) == ("word", late.number)
        assert found["amount_minor"] == 110000

    def test_books_without_any_line_have_earned_nothing(self, published: Any) -> None:
        Invoice.objects.update(removed_at=NOON)
        refreshed(LATER)
        changed = restated()["2026-01"]
        assert (changed["revenue"], changed["recognised"]) == (-60000, -60000)
        assert {cause[0] for cause in causes("recognised", "2026-01")} == {"invoice_removed"}

    def test_many_lines_at_once_are_one_cause(
        self, published: Any, cast: Cast, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from reporting.services import schedule_tracing

        monkeypatch.setattr(schedule_tracing, "MANY", 1)
        for name in ("Cedar Inc", "Dune Inc"):
            year(customer_make(published[0], name), Product.objects.get())
        refreshed(LATER)
        assert causes("recognised", "2025-11") == [("late_invoice", None, 20000)]
        restated()

    def test_rows_without_an_amount_are_counted_among_many(
        self, published: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Fewer may be read than there are; what those say alone is not told."""
        from reporting.services import schedule_tracing

        monkeypatch.setattr(schedule_tracing, "MANY", 3)
        free = [Row(net="0.00", name=name) for name in ("Kivi", "Lumi", "Maa", "Niitty")]
        for net in ("70.00", "90.00"):
            invoice_make(published[1], "2026-01-20", [*free, Row(net=net, name="Koulutus")])
        refreshed(LATER)
        assert causes("recognised", "2026-01") == [("late_invoice", None, 16000)]

    def test_lines_are_looked_at_in_portions(
        self, published: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from reporting.services import schedule_tracing

        monkeypatch.setattr(schedule_tracing, "CELLS", 4)
        made = [
            invoice_make(published[1], "2026-01-20", [Row(net=net, name="Koulutus")])
            for net in ("70.00", "50.00", "90.00")
        ]
        refreshed(LATER)
        assert causes("recognised", "2026-01") == [
            ("late_invoice", invoice.number, amount)
            for invoice, amount in zip((made[2], made[0], made[1]), (9000, 7000, 5000), strict=True)
        ]


class TestVersions:
    def test_each_day_keeps_what_was_known_at_its_end(self, published: Any) -> None:
        year(customer_make(published[0], "Kuusi Oy"), Product.objects.get())
        refreshed(LATER)
        refreshed(NOON + timedelta(days=1))
        kept = dict(ReportVersion.objects.values_list("day", "published_at"))
        assert kept == {date(2026, 3, 15): LATER, date(2026, 3, 16): NOON + timedelta(days=1)}
        assert ReportVersion.objects.first().body["months"] == Report.objects.get().body["months"]

    def test_no_customer_is_named_in_them(self, published: Any) -> None:
        refreshed(NOON + timedelta(days=1))
        body = ReportVersion.objects.get(day=NOON.date()).body
        assert Report.objects.get().body["top_customers"]
        assert [set(row) & {"name"} for row in body["top_customers"]] == [set(), set()]
        assert "Aalto" not in str(body)
        assert "Berg" not in str(body)

    def test_old_months_keep_their_last_day_alone(self, kuura: Any) -> None:
        days = [date(2024, 1, 30), date(2024, 1, 31), date(2024, 2, 3), date(2026, 3, 1)]
        days.append(date(2026, 3, 2))
        for day in days:
            ReportVersion.objects.create(day=day, published_at=NOON, body={})
        assert services.versions_thin(today=date(2026, 3, 15)) == 1
        assert set(ReportVersion.objects.values_list("day", flat=True)) == set(days[1:])
