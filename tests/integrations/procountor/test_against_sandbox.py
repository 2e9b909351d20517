"""The client against the stand-in over real HTTP: the two were written apart."""

import re
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

import pytest
import requests

from integrations.procountor import errors
from integrations.procountor.auth import ApiKey, ProcountorAuth
from integrations.procountor.resources import BilledWindow, ChangedWindow, Procountor
from integrations.procountor.rights import gaps
from integrations.procountor.transport import Retries, StaticToken, Transport
from integrations.sandbox import Company, Handle, build_company, start_server
from integrations.sandbox.users import USERS

CALLBACK = "http://app.example/callback/"
QUICK = Retries(most=3, first_wait=0.001, longest_wait=0.01)


@pytest.fixture(scope="module")
def kuusi() -> Company:
    return build_company("kuusi", anchor=date(2026, 11, 1))


@pytest.fixture(scope="module")
def koivu() -> Company:
    return build_company("koivu", anchor=date(2026, 11, 1))


@pytest.fixture(scope="module")
def server(kuusi, koivu) -> Iterator[Handle]:
    with start_server([kuusi, koivu], redirect_uri=CALLBACK) as handle:
        yield handle


@pytest.fixture
def sandbox(server) -> Iterator[Handle]:
    yield server
    server.clear_faults()


@pytest.fixture
def auth(sandbox) -> ProcountorAuth:
    return ProcountorAuth(
        sandbox.base_url,
        client_id="calqsync",
        client_secret="calqsync-secret",
        redirect_uri=CALLBACK,
    )


@pytest.fixture
def books(sandbox, kuusi, auth) -> Procountor:
    tokens = token_of(auth, sandbox.api_key(kuusi))
    return Procountor(Transport(sandbox.base_url, tokens, retries=QUICK))


def token_of(auth: ProcountorAuth, key: str) -> StaticToken:
    return StaticToken(auth.token_from_key(ApiKey(key)).value)


def log_in(url: str, company: Company) -> dict[str, str]:
    """Do in the browser's place what a person does, and return the callback's parameters."""
    form = {"username": USERS[0].username, "password": USERS[0].password}
    choice = requests.post(url, data=form, timeout=5).text
    ticket = re.search(r'name="ticket" value="(\w+)"', choice)
    assert ticket
    back = requests.post(
        url,
        data={"ticket": ticket[1], "company": str(company.id)},
        allow_redirects=False,
        timeout=5,
    ).headers["Location"]
    return {name: values[0] for name, values in parse_qs(urlsplit(back).query).items()}


def invoices_of(company: Company) -> dict[int, dict]:
    return {
        entry["document"]["id"]: entry["document"]
        for entry in company.documents()
        if entry["document"]["type"] == "SALES_INVOICE"
    }


def test_key_login_leads_to_the_chosen_companys_books(auth, sandbox, koivu):
    back = log_in(auth.authorize_url("key", state="st-1"), koivu)
    assert back["state"] == "st-1"
    key = auth.exchange_key(back["code"])
    transport = Transport(sandbox.base_url, StaticToken(auth.token_from_key(key).value))
    assert Procountor(transport).session(expect_company=koivu.id).name == koivu.name


def test_the_authorization_code_gives_tokens_that_can_be_refreshed(auth, sandbox, kuusi):
    back = log_in(auth.authorize_url("code", state="st-2"), kuusi)
    pair = auth.refresh(auth.exchange_code(back["code"]).refresh_token)
    transport = Transport(sandbox.base_url, StaticToken(pair.access.value))
    assert Procountor(transport).session().company_id == kuusi.id


def test_a_code_works_once(auth, kuusi):
    back = log_in(auth.authorize_url("key", state="st-3"), kuusi)
    auth.exchange_key(back["code"])
    with pytest.raises(errors.CodeRefused):
        auth.exchange_key(back["code"])


def test_a_wrong_client_secret_is_our_fault_or_the_owners(sandbox, kuusi):
    wrong = ProcountorAuth(
        sandbox.base_url, client_id="calqsync", client_secret="wrong!", redirect_uri=CALLBACK
    )
    with pytest.raises((errors.OurFault, errors.NeedsOwner)):
        wrong.token_from_key(sandbox.api_key(kuusi))


@pytest.mark.parametrize("api_path", ["", "latest", "supported", "v2602"])
def test_every_release_path_answers(sandbox, auth, kuusi, api_path):
    tokens = token_of(auth, sandbox.api_key(kuusi))
    client = Procountor(Transport(sandbox.base_url, tokens), api_path=api_path)
    assert client.company().company_currency == kuusi.company_json()["companyCurrency"]


def test_a_user_with_all_rights_has_only_payroll_to_hear_about(books):
    assert {gap.severity for gap in gaps(books.rights())} <= {"later"}


def test_a_limited_user_hears_what_is_missing(sandbox, kuusi):
    token = sandbox.access_token(kuusi, user=1)
    found = gaps(Procountor(Transport(sandbox.base_url, StaticToken(token))).rights())
    assert {"products", "bank_statements", "payments", "salaries"} <= {gap.code for gap in found}


def test_every_invoice_is_listed_once_and_read_whole(books, kuusi):
    pages = list(books.invoice_list(BilledWindow()))
    ids = [one.record.id for page in pages for one in page.documents]
    details = [books.invoice_details(ids[at : at + 200]) for at in range(0, len(ids), 200)]
    read = {one.record.id: one.record for page in details for one in page.documents}
    truth = invoices_of(kuusi)
    assert [page.rejected for page in (*pages, *details) if page.rejected] == []
    assert [page.missing for page in details if page.missing] == []
    assert len(ids) == len(set(ids))
    assert set(ids) == set(read) == set(truth)
    assert len(ids) > 200
    for number, invoice in read.items():
        rows = truth[number]["invoiceRows"]
        assert [row.quantity * row.unit_price for row in invoice.invoice_rows] == [
            Decimal(str(row["quantity"])) * Decimal(str(row["unitPrice"])) for row in rows
        ]


def test_lists_by_id_resume_after_any_document(books):
    whole = [one.record.id for page in books.invoice_list(BilledWindow()) for one in page.documents]
    rest = books.invoice_list(BilledWindow(), previous_id=whole[250])
    assert [one.record.id for page in rest for one in page.documents] == whole[251:]


def test_a_version_window_holds_what_changed_in_it(books):
    every = [one.record for page in books.invoice_list(ChangedWindow()) for one in page.documents]
    stamps = sorted(item.version for item in every if item.version)
    start, end = stamps[len(stamps) // 3], stamps[len(stamps) // 2]
    window = ChangedWindow(start=start.isoformat(), end=end.isoformat())
    found = {one.record.id for page in books.invoice_list(window) for one in page.documents}
    assert found == {item.id for item in every if start <= item.version <= end}


def test_registers_bank_and_payments_are_read_whole(books, kuusi):
    lists = [
        books.partners(active=True),
        books.partners(active=False),
        books.products(),
        books.bank_accounts(),
        books.bank_statements(start=date(2024, 1, 1), end=date(2026, 12, 31)),
        books.payment_events(sorted(invoices_of(kuusi))[:200]),
    ]
    for pages in lists:
        found = list(pages)
        assert sum(len(page.documents) for page in found) > 0
        assert [page.rejected for page in found if page.rejected] == []


def test_the_bulk_read_of_payments_agrees_with_the_read_of_one_invoice(books, kuusi):
    paid = [number for number, one in invoices_of(kuusi).items() if one["status"] == "PAID"][:3]
    bulk = {
        one.record.id: one.record.amount
        for page in books.payment_events(paid)
        for one in page.documents
    }
    single = {
        one.record.id: one.record
        for number in paid
        for page in books.invoice_payment_events(number)
        for one in page.documents
    }
    assert bulk == {number: event.amount for number, event in single.items()}
    assert all(event.type for event in single.values())


def test_ids_that_nobody_has_are_missing(books, kuusi):
    known = min(invoices_of(kuusi))
    assert books.invoice_details([known, 1]).missing == (1,)
    assert books.invoice_details([1]).missing == (1,)


def test_a_cut_answer_and_a_bad_gateway_are_read_again(books, sandbox):
    sandbox.fault("cut", path="/products")
    sandbox.fault("status", path="/products", status=502)
    assert sum(len(page.documents) for page in books.products()) > 0
    assert books.usage.retries == 2


@pytest.mark.parametrize(
    ("fault", "options", "failure"),
    [
        ("status", {"status": 429, "retry_after": "7"}, errors.RateLimited),
        ("html", {}, errors.Nonsense),
        ("status", {"status": 400}, errors.OurFault),
    ],
)
def test_a_fault_that_does_not_pass_quickly_is_raised(books, sandbox, fault, options, failure):
    sandbox.fault(fault, path="/products", times=None, **options)
    with pytest.raises(failure):
        list(books.products())


def test_a_token_of_another_company_is_noticed_before_anything_is_read(
    books, sandbox, kuusi, koivu
):
    sandbox.fault("wrong_company", times=None, to_company=koivu.id)
    with pytest.raises(errors.WrongCompany):
        books.session(expect_company=kuusi.id)


def test_a_company_that_lets_no_clients_in_is_told_which_box_to_tick(books, sandbox):
    sandbox.fault("not_allowed", times=None, path="sessioninfo")
    with pytest.raises(errors.ClientsNotAllowed):
        books.session()


def test_a_revoked_key_needs_its_owner(auth):
    koivu = build_company("koivu", anchor=date(2026, 11, 1))
    with start_server([koivu], redirect_uri=CALLBACK) as own:
        auth_there = ProcountorAuth(
            own.base_url,
            client_id="calqsync",
            client_secret="calqsync-secret",
            redirect_uri=CALLBACK,
        )
        key = own.api_key(koivu)
        tokens = token_of(auth_there, key)
        client = Procountor(Transport(own.base_url, tokens, retries=QUICK))
        client.session()
        own.revoke(koivu)
        with pytest.raises(errors.KeyRevoked):
            list(client.products())
        with pytest.raises(errors.KeyRevoked):
            auth_there.token_from_key(key)
