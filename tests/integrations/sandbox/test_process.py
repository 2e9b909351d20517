"""The sandbox as its own process, and large companies from disk."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import requests

from integrations.sandbox import PROFILES, Company, build_company, start_server
from integrations.sandbox.http import Request
from tests.integrations.sandbox.conftest import ANCHOR
from tests.integrations.sandbox.test_api import Client

ROOT = Path(__file__).parents[3]
COMMAND = [sys.executable, "-m", "integrations.sandbox"]


@pytest.fixture
def larger(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> tuple[Company, Company]:
    """A cut-down large company: as made, and as read back from disk."""
    profile = replace(PROFILES["medium"], slug="larger", target_invoices=900, months=14)
    monkeypatch.setitem(PROFILES, "larger", profile)
    made = build_company("larger", anchor=ANCHOR)
    build_company("larger", anchor=ANCHOR, data_dir=tmp_path)
    return made, build_company("larger", anchor=ANCHOR, data_dir=tmp_path)


def test_the_process_serves_the_named_companies_until_it_is_told_to_stop() -> None:
    command = [*COMMAND, "--port", "0", "--companies", "koivu", "--anchor", "2026-11-01"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        made = process.stdout.readline()
        address = process.stdout.readline().split()[-1]
        assert "Koivu Software Oy" in requests.get(address).text
        process.terminate()
        assert process.wait(timeout=10) == 0
    assert made.startswith("koivu: Koivu Software Oy")


def test_the_process_imports_no_django() -> None:
    code = "import sys, integrations.sandbox.__main__; sys.exit('django' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT).returncode == 0


def test_an_unknown_company_ends_in_one_sentence() -> None:
    done = subprocess.run(
        [*COMMAND, "--companies", "kusi"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr.startswith("sandbox: unknown company kusi")
    assert done.stderr.count("\n") == 1


def test_a_company_from_disk_is_the_company_that_was_made(
    larger: tuple[Company, Company],
) -> None:
    made, mapped = larger
    for name in ("invoices", "partners", "products", "accounts", "statements"):
        ours, theirs = getattr(made, name), getattr(mapped, name)
        assert ours.heads == theirs.heads
        assert dict(ours.items) == dict(theirs.items)
        assert dict(ours.details) == dict(theirs.details)
    assert made.events == mapped.events
    assert made.truth() == mapped.truth()


def test_a_target_is_met_exactly(larger: tuple[Company, Company]) -> None:
    heads = larger[0].invoices.heads.values()
    assert sum(head.type == "SALES_INVOICE" for head in heads) == 900


def test_a_company_from_disk_can_be_edited(larger: tuple[Company, Company]) -> None:
    made, mapped = larger
    with start_server([mapped], control=True) as handle:
        client = Client(handle, mapped)
        first = client.json("/invoices", orderById="ASC", size=1)["results"][0]["id"]
        edit = {"company": "larger", "action": "invalidate_invoice", "invoice_id": first}
        assert requests.post(f"{handle.base_url}/_sandbox/edit", json=edit).status_code == 200
        assert client.json(f"/invoices/{first}")["status"] == "INVALIDATED"
        edit["action"] = "delete_invoice"
        requests.post(f"{handle.base_url}/_sandbox/edit", json=edit)
        assert client.get(f"/invoices/{first}").status_code == 404
    assert first in made.invoices.details


def test_an_answer_of_two_hundred_documents_copies_bytes_only(
    larger: tuple[Company, Company], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is rendered per request would make the sandbox the thing that gets measured."""
    company = larger[1]
    with start_server([company]) as handle:
        headers = {"authorization": f"Bearer {handle.access_token(company)}"}
        monkeypatch.setattr("integrations.sandbox.api.encode", None)
        monkeypatch.setattr("integrations.sandbox.errors.encode", None)
        ids = ",".join(map(str, sorted(company.invoices.heads)[:200]))
        for path, query in (
            (f"/api/invoices/{ids}", ""),
            ("/api/payments/paymentevents", f"invoiceId={ids}"),
            ("/api/invoices", "size=200"),
            ("/api/bankstatements", "size=200"),
        ):
            assert handle.app(Request("GET", path, query, headers)).status == 200
