"""Faults on demand, edits while serving, and counters that tell what was asked."""

import concurrent.futures
import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from integrations.sandbox import Company, Handle, start_server
from tests.integrations.sandbox.test_api import Client


@pytest.fixture
def handle(koivu: Company, kuusi: Company) -> Iterator[Handle]:
    with start_server([koivu, kuusi], control=True) as running:
        yield running


@pytest.fixture
def client(handle: Handle, koivu: Company) -> Client:
    return Client(handle, koivu)


def control(handle: Handle, name: str, **options: Any) -> requests.Response:
    answer = requests.post(f"{handle.base_url}/_sandbox/{name}", json=options)
    assert answer.status_code == 200, answer.text
    return answer


def test_429_comes_as_often_as_asked_with_its_retry_after(handle: Handle, client: Client) -> None:
    handle.fault("status", status=429, times=2, retry_after="3")
    answers = [client.get("/company") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [429, 429, 200]
    assert answers[0].headers["Retry-After"] == "3"
    assert answers[0].json()["errors"][0]["status"] == 429


def test_a_server_failure_is_not_json(handle: Handle, client: Client) -> None:
    handle.fault("status", status=503)
    answer = client.get("/company")
    assert answer.status_code == 503
    assert "html" in answer.headers["Content-Type"]


def test_a_cut_answer_breaks_off_in_the_body(handle: Handle, client: Client) -> None:
    handle.fault("cut", path="^/invoices")
    assert client.get("/company").status_code == 200
    with pytest.raises(requests.exceptions.RequestException):
        client.get("/invoices")
    assert client.get("/invoices").status_code == 200


def test_the_fault_starts_after_the_requests_it_lets_pass(handle: Handle, client: Client) -> None:
    handle.fault("status", status=500, after=2)
    codes = [client.get("/company").status_code for _ in range(4)]
    assert codes == [200, 200, 500, 200]


def test_a_wrong_company_answers_for_another(
    handle: Handle, client: Client, kuusi: Company
) -> None:
    handle.fault("wrong_company", to_company=kuusi.id)
    assert client.json("/sessioninfo")["companyId"] == kuusi.id
    assert client.json("/sessioninfo")["companyId"] != kuusi.id


def test_a_revoked_key_and_its_tokens_are_refused(
    handle: Handle, client: Client, koivu: Company, kuusi: Company
) -> None:
    key = handle.api_key(koivu)
    handle.revoke(koivu)
    assert client.get("/company").status_code == 401
    form = {
        "grant_type": "client_credentials",
        "client_id": "calqsync",
        "client_secret": "calqsync-secret",
        "api_key": key,
    }
    url = f"{handle.base_url}/api/oauth/token"
    assert requests.post(url, data=form).status_code == 401
    assert Client(handle, kuusi).get("/company").status_code == 200
    assert requests.post(url, data={**form, "api_key": handle.api_key(koivu)}).status_code == 200


def test_chargeable_clients_may_be_forbidden(handle: Handle, client: Client) -> None:
    handle.fault("not_allowed", times=None)
    assert client.get("/sessioninfo").status_code == 403
    handle.clear_faults()
    assert client.get("/sessioninfo").status_code == 200


def test_slow_answers_do_not_hold_up_others(handle: Handle, client: Client) -> None:
    handle.fault("slow", path="^/users", seconds=0.4)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        slow = pool.submit(client.get, "/users")
        while not (handle.app.busy.now or slow.done()):
            pass
        assert Client(handle, handle.control.company("koivu")).get("/company").status_code == 200
        assert not slow.done()
        assert slow.result().status_code == 200
    assert handle.app.busy.most == 2


def test_the_limit_holds_over_any_sliding_second_and_counts_violations(koivu: Company) -> None:
    with start_server([koivu], max_rps=5) as handle:
        client = Client(handle, koivu)
        codes = [client.get("/company").status_code for _ in range(8)]
        assert codes == [200] * 5 + [429] * 3
        assert handle.counts["violations"] == 3
        assert handle.counts["max_in_a_second"] == 8


def test_sixteen_connections_are_served_at_once(handle: Handle, koivu: Company) -> None:
    handle.fault("slow", times=None, seconds=0.2)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: Client(handle, koivu).get("/company"), range(16)))
    assert {answer.status_code for answer in answers} == {200}
    assert handle.app.busy.most == 16


def test_an_edit_changes_totals_and_version(handle: Handle, client: Client) -> None:
    row = client.json("/invoices", types="SALES_INVOICE", size=1)["results"][0]
    before = client.json(f"/invoices/{row['id']}")
    control(
        handle,
        "edit",
        company="koivu",
        action="edit_invoice",
        invoice_id=row["id"],
        row_fields={"quantity": "7"},
    )
    after = client.json(f"/invoices/{row['id']}")
    assert after["invoiceRows"][0]["quantity"] == 7
    assert after["version"] > before["version"]
    listed = client.json("/invoices", versionStartDate=after["version"])["results"]
    assert [item["id"] for item in listed] == [row["id"]]
    assert listed[0]["invoiceSumInfo"] == after["invoiceSumInfo"]


def test_a_new_invoice_a_payment_and_a_deletion_show_at_once(
    handle: Handle, client: Client
) -> None:
    like = client.json("/invoices", types="SALES_INVOICE", size=1)["results"][0]["id"]
    made = control(
        handle, "edit", company="koivu", action="create_invoice", like=like, day="2025-02-03"
    ).json()
    assert client.json("/invoices", size=1)["results"][0]["id"] == made["id"]
    paid = {"company": "koivu", "action": "add_payment", "invoice_id": made["id"]}
    control(handle, "edit", **paid, day="2025-02-20")
    assert client.json(f"/invoices/{made['id']}")["status"] == "PAID"
    assert client.json(f"/invoices/{made['id']}/paymentevents")["meta"]["totalCount"] == 1
    control(handle, "edit", company="koivu", action="delete_invoice", invoice_id=made["id"])
    assert client.get(f"/invoices/{made['id']}").status_code == 404


def test_a_customer_can_be_deactivated(handle: Handle, client: Client) -> None:
    partner = client.json("/businesspartners", type="CUSTOMER", size=1)["results"][0]["id"]
    control(
        handle, "edit", company="koivu", action="change_partner", partner_id=partner, active=False
    )
    gone = client.json("/businesspartners", active="false")["results"]
    assert partner in {row["id"] for row in gone}


def test_the_ledger_is_every_document_as_it_is_now(
    handle: Handle, client: Client, koivu: Company
) -> None:
    text = requests.get(f"{handle.base_url}/_sandbox/ledger?company=koivu").text
    entries = [json.loads(line) for line in text.splitlines()]
    assert len(entries) == len(koivu.invoices.heads)
    sample = entries[len(entries) // 2]["document"]
    assert client.json(f"/invoices/{sample['id']}") == sample


def test_control_is_closed_unless_asked_for(kuusi: Company) -> None:
    with start_server([kuusi]) as handle:
        assert requests.get(f"{handle.base_url}/_sandbox/counts").status_code == 404
