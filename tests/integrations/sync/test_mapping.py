"""Records become rows by rules that can be said in a sentence each."""

import json
from copy import deepcopy
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.procountor import records
from integrations.sync import mapping
from integrations.sync.values import Unusable, clean, converted, half_open, minor, sort_key
from tests.integrations.procountor import examples


def read(kind, document):
    return msgspec.json.decode(json.dumps(document, default=str).encode(), type=kind)


def invoice(rows=None, **changes):
    document = deepcopy(examples.INVOICE)
    if rows is not None:
        document["invoiceRows"] = rows
        document["invoiceSumInfo"] = None
    for name, value in changes.items():
        if isinstance(value, dict) and isinstance(document.get(name), dict):
            document[name] = document[name] | value
        else:
            document[name] = value
    return mapping.invoice(read(records.Invoice, document), home="EUR")


def row(**changes):
    return {
        "product": "Licence",
        "quantity": 1,
        "unit": "MONTH",
        "unitPrice": 100,
        "discountPercent": 0,
        "vatPercent": 25.5,
    } | changes


def sums(net, vat, total, currency="EUR", accounting=True):
    return {
        "currency": currency,
        "inAccountingCurrency": accounting,
        "excludingVatTotal": net,
        "vatSumTotal": vat,
        "invoiceSumTotal": total,
    }


def nets(mapped):
    return [line.net_minor for line in mapped.lines]


def test_an_invoice_as_documented_is_read_whole():
    mapped = invoice()
    one, [line] = mapped.invoice, mapped.lines
    assert (one.net_minor, one.vat_minor, one.total_minor) == (108000, 27540, 135540)
    assert (one.issued, one.is_credit, one.customer_identity) == (True, False, "p:510023")
    assert (line.net_minor, line.start, line.end) == (108000, date(2026, 1, 1), date(2027, 1, 1))
    assert one.delivery_end == date(2027, 1, 1)
    assert one.version == "2026-01-01T09:14:03"


@pytest.mark.parametrize(
    ("status", "issued"),
    [("SENT", True), ("APPROVED", True), ("UNFINISHED", False), ("INVALIDATED", False)]
    + [("RECEIVED", False), ("VERIFIED", False), ("DELETED", False), ("STARTED", False)],
)
def test_only_business_transactions_are_issued(status, issued):
    assert invoice(status=status).invoice.issued is issued


def test_a_status_that_nobody_knows_is_set_aside():
    with pytest.raises(Unusable, match="A_NEW_WORD"):
        invoice(status="A_NEW_WORD")


def test_offers_and_orders_are_never_issued():
    assert not invoice(isOffer=True).invoice.issued
    assert not invoice(type="SALES_ORDER").invoice.issued


def test_a_negative_total_is_a_credit():
    mapped = invoice([row(quantity=-1)])
    assert mapped.invoice.is_credit
    assert nets(mapped) == [-10000]


def test_both_discounts_apply_to_a_row():
    mapped = invoice([row(discountPercent=10)], discountPercent=5)
    assert nets(mapped) == [8550]


def test_vat_is_taken_out_where_prices_include_it():
    mapped = invoice(
        [row(unitPrice=125.5)], extraInfo={"accountingByRow": True, "unitPricesIncludeVat": True}
    )
    assert nets(mapped) == [10000]
    assert mapped.invoice.total_minor == 12550


def test_cents_are_rounded_half_away_from_zero():
    assert nets(invoice([row(unitPrice=0.125)])) == [13]
    assert nets(invoice([row(unitPrice=-0.125)])) == [-13]


def test_d4_the_last_row_takes_the_difference_to_the_documents_total():
    mapped = invoice(
        [row(unitPrice=33.335), row(unitPrice=33.335), row(unitPrice=33.33)],
        invoiceSumInfo=[sums(100.0, 25.5, 125.5)],
    )
    assert nets(mapped) == [3334, 3334, 3332]


def test_d3b_a_foreign_invoice_keeps_both_currencies():
    mapped = invoice(
        [row(unitPrice=100), row(unitPrice=10)],
        paymentInfo={"currency": "USD", "currencyRate": 1.1},
        invoiceSumInfo=[
            sums(110.0, 0, 110.0, "USD", accounting=False),
            sums(100.0, 0, 100.0, "EUR"),
        ],
    )
    assert mapped.invoice.net_minor == 11000
    assert mapped.invoice.net_acc_minor == 10000
    assert [line.net_acc_minor for line in mapped.lines] == [9091, 909]
    assert mapped.invoice.rate == Decimal("1.1")


def test_d3c_without_totals_the_rate_converts_and_lines_still_add_up():
    mapped = invoice(
        [row(unitPrice=10), row(unitPrice=10), row(unitPrice=10)],
        paymentInfo={"currency": "USD", "currencyRate": 1.3},
    )
    assert mapped.invoice.net_acc_minor == 2308
    assert sum(line.net_acc_minor for line in mapped.lines) == 2308


def test_a_foreign_invoice_without_any_rate_is_set_aside():
    with pytest.raises(Unusable, match="exchange rate"):
        invoice([row()], paymentInfo={"currency": "USD", "currencyRate": 0})


def test_yen_have_no_cents():
    mapped = invoice([row(unitPrice=1500)], paymentInfo={"currency": "JPY", "currencyRate": 150})
    assert mapped.invoice.net_minor == 1500
    assert mapped.invoice.net_acc_minor == 1000


@pytest.mark.parametrize(
    ("party", "identity"),
    [
        ({"identifier": "FI 1234567-1", "customerNumber": "7"}, "b:FI1234567-1"),
        ({"customerNumber": "7"}, "n:7"),
        ({"counterPartyAddress": {"name": "  Kuusi   DATA oy "}}, "t:kuusi data oy"),
        ({}, "t:?"),
    ],
)
def test_a_customer_without_a_partner_is_known_by_what_the_document_has(party, identity):
    mapped = invoice(partnerId=None, counterParty={"counterPartyAddress": None} | party)
    document = deepcopy(examples.INVOICE) | {"partnerId": None, "counterParty": party}
    mapped = mapping.invoice(read(records.Invoice, document), home="EUR")
    assert mapped.invoice.customer_identity == mapped.customer.identity == identity


def test_an_amount_without_a_row_is_set_aside_and_an_empty_draft_is_not():
    with pytest.raises(Unusable):
        invoice(invoiceRows=[])
    assert invoice([], status="UNFINISHED").invoice.net_minor == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"quantity": "1e14"},
        {"unitPrice": 10**14},
        {"discountPercent": 10**6},
        {"vatPercent": 10**5},
        {"quantity": 10**9, "unitPrice": 10**9},
    ],
)
def test_numbers_that_no_column_holds_are_set_aside(changes):
    with pytest.raises(Unusable):
        invoice([row(**changes)])


@pytest.mark.parametrize("day", ["0001-01-01", "1899-12-31", "2200-01-01", "9999-12-31"])
def test_d11b_a_day_that_no_books_have_is_set_aside(day):
    for changes in ({"date": day}, {"paymentInfo": {"dueDate": day}}):
        with pytest.raises(Unusable, match="out of bounds"):
            invoice(**changes)
    with pytest.raises(Unusable, match="out of bounds"):
        invoice([row(startDate="0001-01-01", endDate="2026-12-31")])


def test_d11c_the_last_day_of_the_calendar_is_no_end():
    [line] = invoice([row(startDate="2026-01-01", endDate="9999-12-31")]).lines
    assert (line.start, line.end) == (date(2026, 1, 1), None)


def test_a_day_before_its_beginning_is_no_period():
    assert half_open(date(2026, 2, 1), date(2026, 1, 1)) == (None, None)
    assert half_open(date(2026, 2, 1), date(2026, 2, 1)) == (date(2026, 2, 1), date(2026, 2, 2))
    assert half_open(None, date(2026, 1, 31)) == (None, date(2026, 2, 1))
    assert half_open(date(2026, 2, 1), date.max) == (date(2026, 2, 1), None)


def test_the_newer_due_day_wins():
    assert invoice().invoice.due_date == date(2026, 1, 15)
    later = invoice(paymentInfo={"newDueDate": "2026-02-15"})
    assert later.invoice.due_date == date(2026, 2, 15)


def test_finnish_and_swedish_letters_come_last():
    names = ["Öljy", "Zeta", "Äiti", "Åbo", "aalto", "Éclair", "Fazer", "3D Oy"]
    wanted = ["3D Oy", "aalto", "Éclair", "Fazer", "Zeta", "Åbo", "Äiti", "Öljy"]
    assert sorted(names, key=sort_key) == wanted


def test_d10b_text_that_no_column_holds_is_cleaned():
    assert clean("  a\x00b\ud800\x1bc ", 10) == "abc"
    assert clean("a\tb\nc", 10) == "a\tb\nc"
    assert clean("A\u030avik", 10) == "\u00c5vik"
    assert clean("x" * 300, 200) == "x" * 200
    assert clean(None, 5) == ""


def payment(**changes):
    record = read(records.PaymentEvent, examples.BULK_EVENT | changes)
    return mapping.payment(record, home="EUR", kind=changes.get("kind"))


def test_a_payment_without_a_type_is_plain_money():
    assert payment().kind == ""
    assert payment().is_cash


def test_a_credit_loss_and_a_set_off_are_no_cash():
    assert not payment(kind="CREDITLOSS").is_cash
    assert not payment(kind="INVOICE_TO_INVOICE").is_cash
    assert payment(kind="REFERENCEPAYMENT_TO_INVOICE").is_cash


def test_a_payment_without_a_date_is_set_aside():
    with pytest.raises(Unusable):
        payment(paymentDate=None)


def statement(events, start=100.0, end=100.0):
    document = deepcopy(examples.STATEMENT)
    document |= {"startBalance": start, "endBalance": end, "events": events}
    return mapping.bank_statement(read(records.BankStatement, document))


def event(number, amount, **more):
    return {"id": number, "payDate": "2026-01-14", "sum": amount} | more


def test_a_collective_line_gives_way_to_its_lines():
    parts = [event(2, 30.0), event(3, 20.0)]
    _row, events = statement([event(1, 50.0, event=parts)], end=150.0)
    assert [(e.external_id, e.amount_minor) for e in events] == [("2", 3000), ("3", 2000)]


def test_a_collective_line_that_its_lines_do_not_add_up_to_stays():
    _row, events = statement([event(1, 50.0, event=[event(2, 30.0)])], end=150.0)
    assert [e.external_id for e in events] == ["1"]


def test_a_statement_whose_events_contradict_its_balances_is_set_aside():
    with pytest.raises(Unusable):
        statement([event(1, 50.0)], end=50.0)


def test_a_statement_without_events_is_a_balance():
    row, events = statement(None, end=50.0)
    assert (row.start_minor, row.end_minor, events) == (10000, 5000, ())


amounts = st.decimals(-9999, 9999, places=4)


@settings(deadline=None)
@given(
    st.lists(st.tuples(amounts, amounts, st.sampled_from([0, 10, 33, 100])), max_size=6),
    st.sampled_from(["0.5", "1", "1.0873", "11.3"]),
    st.booleans(),
    st.sampled_from([0, 7, 50]),
)
def test_lines_always_add_up_to_their_invoice(rows, rate, included, header):
    mapped = invoice(
        [row(quantity=float(q), unitPrice=float(p), discountPercent=d) for q, p, d in rows],
        paymentInfo={"currency": "USD", "currencyRate": float(rate)},
        extraInfo={"accountingByRow": True, "unitPricesIncludeVat": included},
        discountPercent=header,
    )
    one = mapped.invoice
    assert sum(nets(mapped)) == one.net_minor
    assert sum(line.net_acc_minor for line in mapped.lines) == one.net_acc_minor
    assert one.net_minor + one.vat_minor == one.total_minor
    assert one.net_acc_minor + one.vat_acc_minor == one.total_acc_minor


@settings(deadline=None)
@given(st.integers(-(10**12), 10**12), st.decimals("0.0001", 1000, places=4))
def test_conversion_errs_by_less_than_a_unit(units, rate):
    assert abs(converted(units, "USD", "EUR", rate) - units / rate) <= Decimal("0.5000001")


@settings(deadline=None)
@given(st.decimals(allow_nan=False, allow_infinity=False))
def test_any_amount_is_a_number_of_cents_or_unusable(amount):
    try:
        found = minor(amount, "EUR")
    except Unusable:
        assert abs(amount) > 10**15
    else:
        assert abs(found - amount * 100) <= Decimal("0.5")
