import json
from datetime import date

import pytest
import responses
from responses import matchers

from integrations.procountor.errors import (
    ClientsNotAllowed,
    KeyRevoked,
    Nonsense,
    OurFault,
    RightMissing,
    WrongCompany,
)
from integrations.procountor.resources import BilledWindow, ChangedWindow, Procountor
from integrations.procountor.transport import Retries, StaticToken, Transport

from . import examples
from .examples import listed, numbered

HOST = "https://api.example.test"
API = f"{HOST}/api"


@pytest.fixture
def books():
    def make(api_path=""):
        transport = Transport(HOST, StaticToken("tok-123456"), retries=Retries(most=0))
        return Procountor(transport, api_path=api_path)

    return make


def query_of(call=0) -> dict[str, str]:
    return dict(responses.calls[call].request.params)


@pytest.mark.parametrize(
    ("api_path", "root"),
    [
        ("", "/api"),
        ("latest", "/latest/api"),
        ("supported", "/supported/api"),
        ("v2602", "/v2602/api"),
    ],
)
@responses.activate
def test_the_release_is_a_segment_before_api(books, api_path, root):
    responses.get(f"{HOST}{root}/sessioninfo", json=examples.SESSION)
    assert books(api_path).session().company_id == 10452


@responses.activate
def test_a_token_for_another_company_stops_everything(books):
    responses.get(f"{API}/sessioninfo", json=examples.SESSION)
    assert books().session(expect_company=10452).name == "Mallifirma Oy"
    with pytest.raises(WrongCompany):
        books().session(expect_company=10453)


@pytest.mark.parametrize("status", [401, 403])
@responses.activate
def test_a_refusal_of_the_first_call_points_to_the_companys_setting(books, status):
    responses.get(f"{API}/sessioninfo", status=status)
    with pytest.raises(ClientsNotAllowed, match=str(status)):
        books().session()


@responses.activate
def test_a_key_that_gives_no_token_is_revoked_and_not_a_setting():
    class Dead:
        def bearer(self):
            raise KeyRevoked("gone", status=401, path="/api/oauth/token")

        renew = bearer

    with pytest.raises(KeyRevoked):
        Procountor(Transport(HOST, Dead())).session()


@responses.activate
def test_company_and_rights_are_read(books):
    responses.get(f"{API}/company", json=examples.COMPANY)
    responses.get(
        f"{API}/users/rights",
        json={"role": "Sale", "rights": {"sales": {"customerRegister": "NO_ACCESS"}}},
    )
    assert books().company().business_identifier.code == "7654321-2"
    assert books().rights().rights.sales.customer_register == "NO_ACCESS"


@responses.activate
def test_a_missing_right_is_told_as_such(books):
    responses.get(f"{API}/company", status=403)
    with pytest.raises(RightMissing):
        books().company()


@responses.activate
def test_an_invoice_list_sends_one_window_one_order_and_no_empty_filters(books):
    responses.get(f"{API}/invoices", json=listed(examples.LIST_ITEM))
    window = ChangedWindow(start="2026-01-01T00:00:00", end="2026-02-01T00:00:00")
    (page,) = books().invoice_list(window)
    assert query_of() == {
        "types": "SALES_INVOICE",
        "versionStartDate": "2026-01-01T00:00:00",
        "versionEndDate": "2026-02-01T00:00:00",
        "orderById": "ASC",
        "size": "200",
    }
    assert (page.ids, page.total) == ([81203344], 1)
    assert page.documents[0].record.status == "SENT"


@responses.activate
def test_a_billing_window_and_statuses_can_be_asked(books):
    responses.get(f"{API}/invoices", json=listed())
    window = BilledWindow(start=date(2026, 1, 1), end=date(2026, 1, 31))
    assert list(books().invoice_list(window, status=("SENT", "PAID"), previous_id=7)) == []
    assert query_of() == {
        "types": "SALES_INVOICE",
        "status": "SENT,PAID",
        "startDate": "2026-01-01",
        "endDate": "2026-01-31",
        "previousId": "7",
        "orderById": "ASC",
        "size": "200",
    }


@responses.activate
def test_lists_go_on_after_the_last_id(books):
    first = [numbered(examples.PARTNER, number) for number in range(1, 201)]
    responses.get(
        f"{API}/businesspartners",
        json=listed(*first, total=201),
        match=[
            matchers.query_param_matcher(
                {"active": "false", "type": "CUSTOMER", "orderById": "ASC", "size": "200"}
            )
        ],
    )
    responses.get(
        f"{API}/businesspartners",
        json=listed(numbered(examples.PARTNER, 900), total=201),
        match=[matchers.query_param_matcher({"previousId": "200"}, strict_match=False)],
    )
    pages = list(books().partners(active=False))
    assert [len(page.documents) for page in pages] == [200, 1]
    assert pages[-1].ids == [900]


@responses.activate
def test_one_bad_element_leaves_the_rest_of_its_page(books):
    bad = numbered(examples.PRODUCT, 2, price="free")
    responses.get(f"{API}/products", json=listed(numbered(examples.PRODUCT, 1), bad))
    (page,) = books().products()
    assert [one.external_id for one in page.documents] == ["1"]
    assert [one.external_id for one in page.rejected] == ["2"]
    assert page.ids == [1, 2]


@responses.activate
def test_a_failed_page_never_looks_like_the_end(books):
    responses.get(f"{API}/products", body="<html>maintenance</html>")
    with pytest.raises(Nonsense):
        list(books().products())


@responses.activate
def test_s37_a_batch_tells_what_is_missing(books):
    found = [numbered(examples.INVOICE, 1), numbered(examples.INVOICE, 3)]
    responses.get(f"{API}/invoices/1,2,3", json=found)
    page = books().invoice_details([1, 2, 3])
    assert [one.record.id for one in page.documents] == [1, 3]
    assert page.missing == (2,)


@responses.activate
def test_s37b_one_id_is_answered_by_a_bare_object(books):
    responses.get(f"{API}/invoices/5", json=numbered(examples.INVOICE, 5))
    page = books().invoice_details([5])
    assert page.documents[0].external_id == "5"
    assert json.loads(page.documents[0].raw)["id"] == 5


@responses.activate
def test_s37c_none_found_is_all_missing(books):
    responses.get(f"{API}/invoices/5,6", status=404)
    page = books().invoice_details([5, 6])
    assert (page.documents, page.missing) == ((), (5, 6))


@responses.activate
def test_a_rejected_detail_is_not_missing(books):
    responses.get(f"{API}/invoices/5,6", json=[numbered(examples.INVOICE, 5, date="never")])
    page = books().invoice_details([5, 6])
    assert ([one.external_id for one in page.rejected], page.missing) == (["5"], (6,))


@responses.activate
def test_s11e_an_empty_array_where_documents_were_asked_for_is_nonsense(books):
    responses.get(f"{API}/invoices/5,6", json=[])
    with pytest.raises(Nonsense):
        books().invoice_details([5, 6])


@responses.activate
def test_documents_that_nobody_asked_for_are_nonsense(books):
    responses.get(f"{API}/invoices/5,6", json=[numbered(examples.INVOICE, 7)])
    with pytest.raises(Nonsense):
        books().invoice_details([5, 6])


@pytest.mark.parametrize("count", [201, 500])
def test_a_batch_that_is_too_large_is_never_sent(books, count):
    with pytest.raises(ValueError, match="200"):
        books().invoice_details(range(count))
    with pytest.raises(ValueError, match="200"):
        books().payment_events(range(count))


def test_an_empty_batch_costs_no_request(books):
    assert books().invoice_details([]).documents == ()


@responses.activate
def test_payment_events_of_many_invoices_come_without_their_type(books):
    responses.get(f"{API}/payments/paymentevents", json=listed(examples.BULK_EVENT))
    (page,) = books().payment_events([1, 2])
    assert query_of() == {"invoiceId": "1,2", "orderById": "ASC", "size": "200"}
    assert "invoiceId=1,2&" in responses.calls[-1].request.url
    assert page.documents[0].record.type is None


@responses.activate
def test_payment_events_of_one_invoice_come_with_their_type(books):
    responses.get(f"{API}/invoices/9/paymentevents", json=listed(examples.EVENT))
    (page,) = books().invoice_payment_events(9)
    assert page.documents[0].record.type == "REFERENCEPAYMENT_TO_INVOICE"


@responses.activate
def test_bank_accounts_and_statements_are_read(books):
    responses.get(f"{API}/bankaccounts", json=listed(examples.BANK_ACCOUNT))
    responses.get(f"{API}/bankstatements", json=listed(examples.STATEMENT))
    (accounts,) = books().bank_accounts()
    (statements,) = books().bank_statements(start=date(2026, 1, 1), end=date(2026, 1, 31))
    assert accounts.documents[0].record.iban == "FI2112345600000785"
    assert len(statements.documents[0].record.events) == 2
    assert query_of(1) == {
        "startDate": "2026-01-01",
        "endDate": "2026-01-31",
        "orderById": "ASC",
        "page": "0",
        "size": "200",
    }


@responses.activate
def test_a_refused_request_is_our_fault(books):
    responses.get(f"{API}/invoices", status=400)
    with pytest.raises(OurFault):
        list(books().invoice_list(ChangedWindow()))
