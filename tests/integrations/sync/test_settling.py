"""Only where the bulk read cannot tell what a payment was is the invoice asked itself."""

from decimal import Decimal

import pytest

from integrations.procountor.records import PaymentEvent
from integrations.sync.settling import Standing, needs_types


def event(paid, status="PAID", currency="EUR", number=1):
    return PaymentEvent(
        id=number,
        amount=Decimal(paid),
        paid_amount=Decimal(paid),
        paid_currency=currency,
        status=status,
    )


def asks(status, *events, total="100", unknown=None):
    standing = Standing(status, Decimal(total), "EUR")
    return needs_types(standing, events, events if unknown is None else unknown)


@pytest.mark.parametrize(
    ("status", "paid"), [("PAID", ["100"]), ("PAID", ["40", "60"]), ("PARTLY_PAID", ["40"])]
)
def test_sums_that_fit_the_status_are_enough(status, paid):
    assert not asks(status, *map(event, paid))


@pytest.mark.parametrize(
    ("status", "paid"), [("PAID", ["90"]), ("PARTLY_PAID", ["100"]), ("SENT", ["10"])]
)
def test_sums_that_contradict_the_status_are_looked_into(status, paid):
    assert asks(status, *map(event, paid))


def test_a_payment_made_by_hand_may_be_a_credit_loss():
    assert asks("MARKED_PAID", event("100", status="MARKED_PAID"))


def test_what_an_earlier_run_learnt_is_not_asked_again():
    assert not asks("MARKED_PAID", event("100", status="MARKED_PAID"), unknown=())


def test_an_invoice_without_events_is_never_asked():
    assert not asks("PAID")


def test_sums_in_another_currency_are_not_compared():
    assert not asks("PAID", event("90", currency="USD"))


def test_an_overpaid_invoice_reads_as_partly_paid_and_is_no_contradiction():
    assert not asks("PARTLY_PAID", event("110"))
