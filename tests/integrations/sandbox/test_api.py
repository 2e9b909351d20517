"""Lists, batches and errors as the contract has them."""

from typing import Any

import pytest
import requests

from integrations.sandbox import Company, Handle, start_server


class Client:
    """Reads one company."""

    def __init__(self, handle: Handle, company: Company, base: str = "api") -> None:
        self.base = f"{handle.base_url}/{base}"
        self.http = requests.Session()
        self.http.headers["Authorization"] = f"Bearer {handle.access_token(company)}"

    def get(self, path: str, **params: Any) -> requests.Response:
        return self.http.get(f"{self.base}{path}", params=params)

    def json(self, path: str, **params: Any) -> Any:
        answer = self.get(path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def client(shared: Handle, kuusi: Company) -> Client:
    return Client(shared, kuusi)


def walk(client: Client, path: str, **params: Any) -> list[dict[str, Any]]:
    """Every row of a list, by page number."""
    rows: list[dict[str, Any]] = []
    while True:
        page = len(rows) // 200
        found = client.json(path, size=200, page=page, **params)["results"]
        rows += found
        if len(found) < 200:
            return rows


@pytest.mark.parametrize("base", ["api", "latest/api", "supported/api", "v2602/api"])
def test_every_version_path_answers_alike(shared: Handle, kuusi: Company, base: str) -> None:
    assert Client(shared, kuusi, base).json("/company")["id"] == kuusi.id


def test_an_unknown_version_is_not_found(shared: Handle, kuusi: Company) -> None:
    assert Client(shared, kuusi, "v1901/api").get("/company").status_code == 404


def test_key_set_paging_finds_every_invoice_once(client: Client, kuusi: Company) -> None:
    seen: list[int] = []
    while True:
        previous = {"previousId": seen[-1]} if seen else {}
        page = client.json(
            "/invoices", types="SALES_INVOICE", orderById="ASC", size=200, **previous
        )
        seen += [row["id"] for row in page["results"]]
        if page["meta"]["resultCount"] < 200:
            break
    assert seen == sorted(set(seen))
    assert len(seen) == page["meta"]["totalCount"]
    assert len(seen) == sum(h.type == "SALES_INVOICE" for h in kuusi.invoices.heads.values())


def test_version_bounds_are_inclusive(client: Client) -> None:
    row = client.json("/invoices", size=1)["results"][0]
    same = client.json("/invoices", versionStartDate=row["version"], versionEndDate=row["version"])[
        "results"
    ]
    assert row["id"] in {found["id"] for found in same}
    assert {found["version"] for found in same} == {row["version"]}


def test_ordering_by_version_is_honoured(client: Client) -> None:
    rows = walk(client, "/invoices", orderByVersion="ASC")
    versions = [row["version"] for row in rows]
    assert versions == sorted(versions)


def test_status_filter_returns_only_those(client: Client) -> None:
    rows = walk(client, "/invoices", status="SENT,PARTLY_PAID", types="SALES_INVOICE")
    assert rows
    assert {row["status"] for row in rows} <= {"SENT", "PARTLY_PAID"}


def test_batch_answers_an_object_for_one_id_and_an_array_for_several(client: Client) -> None:
    first, second = (row["id"] for row in client.json("/invoices", size=2)["results"])
    assert client.json(f"/invoices/{first}")["id"] == first
    assert [d["id"] for d in client.json(f"/invoices/{first},1")] == [first]
    both = client.json(f"/invoices/{first},{second},{first}")
    assert [d["id"] for d in both] == sorted([first, second])
    assert client.get("/invoices/1,2").status_code == 404
    assert client.get("/invoices/" + ",".join(map(str, range(201)))).status_code == 400


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/invoices", {"size": 201}),
        ("/invoices", {"limit": 10}),
        ("/invoices", {"types": "SALES"}),
        ("/invoices", {"orderById": "asc"}),
        ("/invoices", {"startDate": "1.1.2026"}),
        ("/invoices", {"versionStartDate": "2026-01-01T00:00:00Z"}),
        ("/products", {"page": 1}),
        ("/payments/paymentevents", {}),
        ("/bankstatements", {"accountNumber": "FI1"}),
    ],
)
def test_what_the_contract_does_not_know_is_refused(
    client: Client, path: str, params: dict[str, Any]
) -> None:
    answer = client.get(path, **params)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["status"] == 400


def test_without_a_token_the_answer_is_401(shared: Handle) -> None:
    answer = requests.get(f"{shared.base_url}/api/company")
    assert answer.status_code == 401
    assert answer.json()["errors"]


def test_a_get_with_a_body_meets_the_gateway(client: Client) -> None:
    answer = client.http.get(f"{client.base}/company", data="x")
    assert answer.status_code == 403
    assert "json" not in answer.headers["Content-Type"]


def test_partners_are_active_unless_asked_otherwise(client: Client, kuusi: Company) -> None:
    active = walk(client, "/businesspartners", type="CUSTOMER")
    gone = walk(client, "/businesspartners", type="CUSTOMER", active="false")
    assert {row["registryInfo"]["active"] for row in active} == {True}
    everyone = {h.id for h in kuusi.partners.heads.values() if h.type == "CUSTOMER"}
    assert {row["id"] for row in active + gone} == everyone


def test_bulk_payments_hold_what_single_reads_hold_but_no_type(client: Client) -> None:
    paid = client.json("/invoices", status="PAID", types="SALES_INVOICE", size=50)["results"]
    ids = [row["id"] for row in paid]
    bulk = client.json("/payments/paymentevents", invoiceId=",".join(map(str, ids)), size=200)
    assert all("type" not in row for row in bulk["results"])
    single = client.json(f"/invoices/{ids[0]}/paymentevents")["results"]
    assert {row["id"] for row in single} == {
        row["id"] for row in bulk["results"] if row["invoiceId"] == ids[0]
    }


def test_results_go_missing_when_empty_if_switched_on(kuusi: Company) -> None:
    with start_server([kuusi], omit_empty_results=True) as handle:
        empty = Client(handle, kuusi).json(
            "/invoices", startDate="1990-01-01", endDate="1990-01-02"
        )
    assert "results" not in empty
    assert empty["meta"]["totalCount"] == 0


def test_statements_of_an_account_join_without_a_gap(client: Client) -> None:
    for account in client.json("/bankaccounts")["results"]:
        client.http.headers["accountNumber"] = account["iban"]
        rows = walk(client, "/bankstatements", orderByStartDate="ASC")
        assert len(rows) > 24
        for before, after in zip(rows, rows[1:], strict=False):
            assert before["endBalance"] == after["startBalance"]
            assert before["endDate"] < after["startDate"]
        for row in rows:
            assert row["startDate"][:7] == row["endDate"][:7]
            events = sum(round(event["sum"] * 100) for event in row["events"])
            assert events == round((row["endBalance"] - row["startBalance"]) * 100)


def test_ids_overlap_between_companies(kuusi: Company, aalto: Company) -> None:
    assert set(kuusi.invoices.heads) & set(aalto.invoices.heads)
    assert set(kuusi.partners.heads) & set(aalto.partners.heads)
