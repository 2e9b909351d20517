"""The books are the same by whichever way a document came to be what it is."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integrations.sync.conftest import Books, connect
from tests.model.bookkeeping import OPEN, Bookkeeper
from tests.model.books import books as shown
from tests.model.books import differences

pytestmark = pytest.mark.django_db(transaction=True)
PAID = {"share": 100, "kind": "REFERENCEPAYMENT_TO_INVOICE", "silently": False}


@pytest.fixture
def imported(committed_cast: Any, reachable: Bookkeeper) -> Books:
    found = connect(committed_cast, reachable.company, reachable.sandbox)
    assert found.sync().state == "complete"
    return found


def test_a_payment_of_an_invoice_that_was_voided_before_it_was_read(
    imported: Books, reachable: Bookkeeper, truth: Any
) -> None:
    paid = reachable.pick(0, OPEN)
    reachable.pay(0, **PAID)
    reachable.edit("invalidate_invoice", invoice_id=paid)
    imported.sync()
    assert differences(reachable.ledger(), shown(truth, imported.connection.pk)) == []


def test_a_payment_that_was_taken_back_is_gone_after_a_full_run(
    imported: Books, reachable: Bookkeeper, truth: Any
) -> None:
    reachable.take_back(0, silently=False)
    truth.execute(
        "UPDATE integrations_syncstream SET finished_at = finished_at - interval '8 days'"
    )
    assert imported.sync().mode == "full"
    assert differences(reachable.ledger(), shown(truth, imported.connection.pk)) == []
