"""Erasing a contact by hand-made books: names in texts, in bank events, as identities."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from calqsync.privacy.services import contacts
from calqsync.tenancy import scope
from calqsync.tenancy.audit.trail import naming
from calqsync.tenancy.models import AuditEvent
from calqsync.tenancy.secrets import sealer
from calqsync.tenancy.services import audit
from integrations.models import BankEvent, Customer, InvoiceLine
from integrations.sync.erased import Erased, without_words
from reporting.models import Subscription, SubscriptionDecision
from reporting.services import acts, change_save, edit_undo
from tests import factories
from tests.reporting.conftest import refreshed


@pytest.fixture
def made(cast):
    """A small book by hand: a payer without a partner number, who also stands in texts."""
    with scope.tenant(cast.tenant.pk):
        connection = factories.connection_make()
        customer = factories.customer_make(
            connection, "Matti Meikäläinen", identity="t:matti meikäläinen", external_id=""
        )
        row = factories.Row(net="10.00", text="Konsultointi 1.1.-31.1.2026, Matti Meikäläinen")
        factories.invoice_make(customer, "2026-01-31", [row])
        account = factories.account_make(connection)
        factories.statement_make(
            account,
            "2026-02-01",
            "2026-02-28",
            "0.00",
            [("2026-02-03", "10.00")],
            counterparty="MATTI MEIKÄLÄINEN",
            message="Lasku 1 / Matti Meikäläinen",
        )
        return cast, customer


def test_a_payer_known_by_name_alone_loses_it_in_identity_texts_and_bank_events(made):
    cast, customer = made
    with scope.tenant(cast.tenant.pk):
        contacts.contact_erase(
            tenant=cast.tenant, customer=customer, by=cast.alice, now=timezone.now()
        )
        line, event = InvoiceLine.objects.get(), BankEvent.objects.get()
        erased = Customer.objects.get()
        for text in (line.text, event.counterparty, event.message, erased.identity):
            assert "meikäläinen" not in text.casefold()
        assert line.text.startswith("Konsultointi 1.1.-31.1.2026, Erased contact ")
        assert event.counterparty_iban == ""
        known = Erased.of(sealer(), erased.connection_id)
        raw = json.dumps(
            {
                "id": 9,
                "events": [
                    {"id": 1, "name": "Matti  MEIKÄLÄINEN", "accountNumber": "FI1", "sum": 1.10},
                    {"id": 2, "name": "Toinen Oy", "accountNumber": "FI2", "sum": 2.0},
                ],
            }
        ).encode()
        first, second = json.loads(known.blanked("bank", raw))["events"]
        assert first["name"] == erased.name
        assert "accountNumber" not in first
        assert second["name"] == "Toinen Oy"
        assert b'"sum":1.1' in known.blanked("bank", raw)


def test_words_on_rows_that_carry_the_name_lose_it_and_still_stand(made):
    cast, customer = made
    with scope.tenant(cast.tenant.pk):
        row = factories.Row(net="10.00", name="Valmennus, Matti Meikäläinen")
        invoice = factories.invoice_make(customer, "2026-02-28", [row])
        line = InvoiceLine.objects.select_related("invoice").get(invoice=invoice)
        edit = change_save(change=acts.made_of_all_like(line=line, period_months=1), by=cast.bob)
        contacts.contact_erase(
            tenant=cast.tenant, customer=customer, by=cast.alice, now=timezone.now()
        )
        line.refresh_from_db()
        again = acts.made_of_all_like(line=line, period_months=1)
        assert list(again.rows["subscriptions"]) == [SubscriptionDecision.objects.get().key]
        assert change_save(change=again, by=cast.bob) is None, "it is said already"
        edit.refresh_from_db()
        said = json.dumps([edit.before, edit.after], ensure_ascii=False)
        assert "meikäläinen" not in said.casefold()
        edit_undo(edit=edit, by=cast.bob)
        assert not SubscriptionDecision.objects.exists()


def test_what_people_say_of_rows_and_bank_events_is_logged_without_their_words(made):
    cast, customer = made
    with scope.tenant(cast.tenant.pk):
        row = factories.Row(net="90.00", name="Valmennus Matti Meikäläinen", unit="MONTH")
        for day in ("2026-01-31", "2026-02-28"):
            factories.invoice_make(customer, day, [row])
        refreshed()
        line, other = InvoiceLine.objects.filter(name=row.name).order_by("pk")
        sold = Subscription.objects.get(product_name=row.name)
        for act in (
            lambda: acts.confirmed(subscription=sold),
            lambda: acts.moved(lines=[other], into=sold),
            lambda: acts.line_said(line=line, type="usage"),
            lambda: acts.made(line=line, period_months=1),
            lambda: acts.made_of_all_like(line=line),
            lambda: acts.cash_marked(event=BankEvent.objects.get(), financing=True),
        ):
            edit = change_save(change=act(), by=cast.bob)
            edit_undo(edit=edit, by=cast.bob)
        assert AuditEvent.objects.count() >= 12
        assert naming(["meikäläinen"]) == 0


@pytest.mark.parametrize(
    "name", ['Matti "Masa" Meikäläinen', "Meikäläinen\\Toinen", "o'Malli, 100%_"]
)
def test_the_log_is_searched_for_a_name_whatever_signs_it_has(made, name):
    cast, _customer = made
    with scope.tenant(cast.tenant.pk):
        audit(act="cash.marked", by=cast.bob, target=name)
        audit(act="subscription.edited", by=cast.bob, before={"x": f"1|n:{name}|EUR"})
        audit(act="subscription.edited", by=cast.bob, after={"x": [name.upper()]})
        audit(act="subscription.edited", by=cast.bob, after={"x": "Matti Masa Meikäläinen"})
        assert naming([name]) == 3


def test_an_erasure_tells_how_often_the_log_names_the_contact_from_earlier_days(client, made):
    cast, customer = made
    with scope.tenant(cast.tenant.pk):
        audit(act="cash.marked", by=cast.bob, target="Matti Meikäläinen")
        audit(act="subscription.edited", by=cast.bob, after={"x": "1|n:matti meikäläinen|EUR|0"})
        audit(act="cash.marked", by=cast.bob, target="Toinen Oy")
    client.force_login(cast.ann)
    url = cast.url(f"customers/{customer.public_id}/erase/")
    page = client.post(url, follow=True).content.decode()
    assert "2 entries of the audit log still name it" in page


def test_words_are_replaced_whatever_their_case():
    assert without_words("An ANNA Virtanen", ["anna virtanen"], "AB") == "An Erased contact AB"


def test_the_page_asks_first_and_is_for_admins(client, made):
    cast, customer = made
    url = cast.url(f"customers/{customer.public_id}/erase/")
    client.force_login(cast.bob)
    assert client.get(url).status_code == 403
    client.force_login(cast.mallory)
    assert client.post(url).status_code == 404
    client.force_login(cast.ann)
    assert "Matti Meikäläinen" in client.get(url).content.decode()
    assert client.post(url).status_code == 302
    assert "Nothing is left to erase" in client.get(url).content.decode()
    client.force_login(cast.ann, recently=False)
    assert "/reauthenticate/" in client.post(url)["Location"]
