"""The companies hold the cases they promise, and the truth about rows agrees with the documents."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from decimal import Decimal

import pytest

from integrations.sandbox import Company, RowTruth
from tests.integrations.sandbox.conftest import ANCHOR


def active_on(rows: list[RowTruth], day: date) -> list[RowTruth]:
    return [
        row
        for row in rows
        if row.counts and row.kind == "subscription" and row.start and row.end
        if row.start <= day < row.end
    ]


def test_every_row_has_a_truth_and_nets_add_up_to_the_document(kuusi: Company) -> None:
    nets: dict[int, int] = defaultdict(int)
    for row in kuusi.truth():
        nets[row.invoice_id] += row.net_minor
    for entry in kuusi.documents():
        document = entry["document"]
        info = document["invoiceSumInfo"][0]
        assert nets[document["id"]] == info["excludingVatTotal"] * 100


def test_written_periods_are_the_true_ones(kuusi: Company) -> None:
    truths = {row.row_id: row for row in kuusi.truth()}
    seen = 0
    for entry in kuusi.documents():
        for row in entry["document"]["invoiceRows"]:
            if "startDate" not in row:
                continue
            truth = truths[row["id"]]
            assert truth.start == date.fromisoformat(row["startDate"])
            assert truth.end == date.fromisoformat(row["endDate"]) + timedelta(days=1)
            seen += 1
    assert seen > 200


def test_subscription_rows_have_a_key_a_cadence_and_a_period(kuusi: Company) -> None:
    for row in kuusi.truth():
        complete = None not in (row.key, row.cadence_months, row.start, row.end)
        assert complete == (row.kind == "subscription")


def test_all_kinds_and_cadences_are_there(kuusi: Company) -> None:
    rows = kuusi.truth()
    assert {row.kind for row in rows} == {"subscription", "one_off", "usage", "ignore"}
    assert {1, 2, 3, 6, 12} <= {row.cadence_months for row in rows}


def test_periods_are_written_on_rows_on_documents_in_text_and_nowhere(kuusi: Company) -> None:
    where: Counter[str] = Counter()
    for entry in kuusi.documents():
        document = entry["document"]
        row = document["invoiceRows"][0]
        if "startDate" in row:
            where["row"] += 1
        elif "deliveryStartDate" in document:
            where["invoice"] += 1
        elif "comment" in row:
            where["text"] += 1
        else:
            where["nowhere"] += 1
    assert min(where[place] for place in ("row", "invoice", "text", "nowhere")) > 50


def test_texts_come_in_three_languages(kuusi: Company) -> None:
    words = " ".join(
        row.get("comment", "")
        for entry in kuusi.documents()
        for row in entry["document"]["invoiceRows"]
    )
    for word in ("Laskutuskausi", "Avtalsperiod", "Service period"):
        assert word in words


@pytest.mark.parametrize(
    "status",
    ["SENT", "NOT_SENT", "PARTLY_PAID", "PAID", "MARKED_PAID", "UNFINISHED", "INVALIDATED"],
)
def test_every_status_of_a_sales_invoice_occurs(kuusi: Company, status: str) -> None:
    heads = kuusi.invoices.heads.values()
    assert any(head.type == "SALES_INVOICE" and head.status == status for head in heads)


def test_documents_that_are_no_sales_do_not_count(kuusi: Company) -> None:
    for row in kuusi.truth():
        head = kuusi.invoices.heads[row.invoice_id]
        dead = head.status in {"UNFINISHED", "INVALIDATED"}
        assert row.counts == (head.type == "SALES_INVOICE" and not dead)


def test_the_traps_are_there(kuusi: Company) -> None:
    documents = [entry["document"] for entry in kuusi.documents()]
    rows = [row for document in documents for row in document["invoiceRows"]]
    assert any(document["partnerId"] is None for document in documents)
    assert any(document["factoringContractId"] for document in documents)
    assert any(document["extraInfo"]["unitPricesIncludeVat"] for document in documents)
    assert any(Decimal(document["discountPercent"]) for document in documents)
    assert any(document["isOffer"] for document in documents)
    assert any("newDueDate" in document["paymentInfo"] for document in documents)
    assert any(row["product"] == "Pyöristys" for row in rows)
    assert any(row["product"] == "Sopimusalennus" and row["unitPrice"] < 0 for row in rows)
    assert any(row["quantity"] < 0 for row in rows)
    assert any(row["productId"] is None for row in rows)
    assert {document["paymentInfo"]["currency"] for document in documents} >= {"EUR", "USD", "SEK"}
    names: dict[int, set[str]] = defaultdict(set)
    for document in documents:
        if document["partnerId"]:
            name = document["counterParty"]["counterPartyAddress"]["name"]
            names[document["partnerId"]].add(name)
    assert any(len(found) == 2 for found in names.values())


def test_one_business_id_stands_in_the_register_twice(kuusi: Company) -> None:
    ids = Counter(kuusi.invoices.heads[row.invoice_id].partner for row in kuusi.truth())
    assert ids
    partners = [kuusi.partners.details[p] for p in kuusi.partners.heads]
    found = Counter(raw.split(b'"identifier":"')[1].split(b'"')[0] for raw in partners)
    assert max(found.values()) == 2


def test_the_company_grows_over_two_years(kuusi: Company) -> None:
    rows = kuusi.truth()

    def monthly(day: date) -> float:
        return sum(row.net_minor / (row.cadence_months or 1) for row in active_on(rows, day))

    assert monthly(date(2026, 9, 30)) > 1.2 * monthly(date(2024, 10, 31)) > 0
    customers = {row.partner_id for row in active_on(rows, date(2026, 9, 30))}
    assert 30 <= len(customers) <= 70


def test_cash_of_the_demo_companies_lasts_between_eight_and_twenty_months(
    kuusi: Company, aalto: Company
) -> None:
    accounts = [*kuusi.bank, *aalto.bank]
    last = ANCHOR - timedelta(days=1)
    since = date(2026, 7, 31)
    cash = sum(account.balance(last) for account in accounts)
    burn = (sum(account.balance(since) for account in accounts) - cash) / 3
    assert burn > 0
    assert 8 <= cash / burn <= 20


def test_no_account_is_ever_overdrawn(kuusi: Company, aalto: Company) -> None:
    for company in (kuusi, aalto):
        for raw in company.statements.items.values():
            assert b'"endBalance":-' not in raw


def test_own_transfers_name_the_other_own_account_and_cancel_out(kuusi: Company) -> None:
    own = {account.iban for account in kuusi.bank}
    transfers = [e for account in kuusi.bank for e in account.events if e.account in own]
    assert transfers
    assert sum(event.cents for event in transfers) == 0


def test_exactly_one_financing_round_comes_in(kuusi: Company) -> None:
    rounds = [e for account in kuusi.bank for e in account.events if "Osakeanti" in e.message]
    assert len(rounds) == 1
