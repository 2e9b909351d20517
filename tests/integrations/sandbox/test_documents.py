"""Every body has the structure of the contract, and the figures in it agree."""

from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest

from integrations.sandbox import Company, Handle, build_company
from tests.integrations.sandbox import schema
from tests.integrations.sandbox.conftest import ANCHOR
from tests.integrations.sandbox.test_api import Client, walk

CENT = Decimal("0.01")


@pytest.fixture(params=["kuusi", "aalto"])
def company(request: pytest.FixtureRequest) -> Company:
    found: Company = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def client(shared: Handle, company: Company) -> Client:
    return Client(shared, company)


def documents(company: Company) -> list[dict[str, Any]]:
    return [entry["document"] for entry in company.documents()]


@pytest.mark.parametrize(
    ("path", "params", "item"),
    [
        ("/invoices", {}, schema.INVOICE_ITEM),
        ("/businesspartners", {}, schema.PARTNER_ITEM),
        ("/bankaccounts", {}, schema.ACCOUNT),
        ("/bankstatements", {}, schema.STATEMENT),
    ],
)
def test_list_bodies_have_the_known_structure(
    client: Client, path: str, params: dict[str, Any], item: schema.Table
) -> None:
    answer = client.json(path, size=200, **params)
    assert not list(schema.problems(answer, schema.listing(item)))
    for row in walk(client, path, **params):
        assert not list(schema.problems(row, item))


def test_products_have_the_known_structure(client: Client) -> None:
    answer = client.json("/products", size=200)
    assert not list(schema.problems(answer, schema.listing(schema.PRODUCT)))


def test_details_have_the_known_structure(client: Client, company: Company) -> None:
    ids = sorted(company.invoices.heads)
    for place in range(0, len(ids), 200):
        found = client.json("/invoices/" + ",".join(map(str, ids[place : place + 200])))
        assert not list(schema.problems(found, [schema.INVOICE]))
    partners = ",".join(map(str, list(company.partners.heads)[:200]))
    assert not list(schema.problems(client.json(f"/businesspartners/{partners}"), [schema.PARTNER]))


def test_payment_bodies_have_the_known_structure(client: Client, company: Company) -> None:
    ids = list(company.events)[:200]
    bulk = client.json("/payments/paymentevents", invoiceId=",".join(map(str, ids)), size=200)
    assert not list(schema.problems(bulk, schema.listing(schema.PAYMENT)))
    for invoice_id in ids[:30]:
        single = client.json(f"/invoices/{invoice_id}/paymentevents")
        assert not list(schema.problems(single, schema.listing(schema.EVENT)))


def test_single_bodies_have_the_known_structure(client: Client) -> None:
    assert not list(schema.problems(client.json("/sessioninfo"), schema.SESSION))
    assert not list(schema.problems(client.json("/company"), schema.COMPANY))
    rate = client.json(
        "/currencies/exchangerate",
        baseCurrency="EUR",
        currency="USD",
        day="2026-03-31",
        rateType="PROCOUNTOR_ACCOUNTING_EXCHANGE_RATE",
    )
    assert not list(schema.problems(rate, schema.RATE))
    assert client.json("/currencies/company") == {"companyCurrency": "EUR"}


def test_every_text_can_be_stored_in_windows_1252(company: Company) -> None:
    for shelf in (company.invoices, company.partners, company.products, company.statements):
        for raw in [*shelf.items.values(), *shelf.details.values()]:
            raw.decode("utf-8").encode("cp1252")


def test_totals_follow_from_the_rows_to_the_cent(company: Company) -> None:
    for document in documents(company):
        included = document["extraInfo"]["unitPricesIncludeVat"]
        header = 1 - Decimal(document["discountPercent"]) / 100
        net, vat = Decimal(), Decimal()
        for row in document["invoiceRows"]:
            value = Decimal(row["quantity"]) * Decimal(row["unitPrice"]) * header
            value *= 1 - Decimal(row["discountPercent"]) / 100
            rate = Decimal(row["vatPercent"]) / 100
            net += value / (1 + rate) if included else value
            vat += value - value / (1 + rate) if included else value * rate
        info = document["invoiceSumInfo"][0]
        off = abs(info["excludingVatTotal"] - net)
        assert off <= CENT * Decimal("1.5" if included else "0.5")
        assert abs(info["vatSumTotal"] - vat) <= CENT * 2
        assert info["invoiceSumTotal"] == info["excludingVatTotal"] + info["vatSumTotal"]


def test_foreign_documents_carry_a_second_sum_at_the_stated_rate(aalto: Company) -> None:
    foreign = [d for d in documents(aalto) if d["paymentInfo"]["currency"] != "EUR"]
    assert len(foreign) > 100
    for document in foreign:
        theirs, ours = document["invoiceSumInfo"]
        rate = Decimal(document["paymentInfo"]["currencyRate"])
        assert (theirs["inAccountingCurrency"], ours["inAccountingCurrency"]) == (False, True)
        expected = (theirs["excludingVatTotal"] / rate).quantize(CENT, ROUND_HALF_UP)
        assert ours["excludingVatTotal"] == expected


def test_status_agrees_with_the_payment_events(company: Company) -> None:
    for entry in company.documents():
        document, events = entry["document"], entry["events"]
        total = document["invoiceSumInfo"][0]["invoiceSumTotal"]
        paid = sum((event["paidAmount"] for event in events), Decimal())
        status = document["status"]
        if status in {"PAID", "MARKED_PAID"}:
            assert paid == total
        elif status == "PARTLY_PAID":
            assert paid not in {total, Decimal()}
        else:
            assert not events


def test_every_bank_payment_stands_on_a_statement(company: Company) -> None:
    on_statements = sorted(
        (event.invoice_id, event.cents)
        for account in company.bank
        for event in account.events
        if event.invoice_id
    )
    sales = {h.id for h in company.invoices.heads.values() if h.type == "SALES_INVOICE"}
    booked = sorted(
        (
            event["invoiceId"],
            int(event["amount"] * 100) * (1 if event["invoiceId"] in sales else -1),
        )
        for entry in company.documents()
        for event in entry["events"]
        if event["type"] in {"REFERENCEPAYMENT_TO_INVOICE", "BANKSTATEMENT_TO_INVOICE"}
    )
    assert on_statements == booked


def test_nothing_lies_behind_the_anchor(company: Company) -> None:
    edge = f"{ANCHOR}T02:00:00"
    for head in company.invoices.heads.values():
        assert head.date <= str(ANCHOR)
        assert head.created <= edge
        assert head.version <= edge


def test_same_seed_and_anchor_give_the_same_bytes(kuusi: Company) -> None:
    again = build_company("kuusi", anchor=ANCHOR)
    assert again.invoices.details == kuusi.invoices.details
    assert again.invoices.items == kuusi.invoices.items
    assert again.statements.items == kuusi.statements.items
    assert again.truth() == kuusi.truth()


def test_another_seed_gives_another_company(kuusi: Company) -> None:
    other = build_company("kuusi", seed=8, anchor=ANCHOR)
    assert other.invoices.details != kuusi.invoices.details
