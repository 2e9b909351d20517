"""The API for programs: what a token opens, how lists are paged, how it is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from drf_spectacular.validation import validate_schema
from jsonschema import Draft202012Validator, FormatChecker

from calqsync.tenancy import scope
from calqsync.tenancy.models import ApiToken, Membership, Role, Tenant
from calqsync.tenancy.services import member_change_role, member_remove
from calqsync.tenancy.tokens.scopes import CUSTOMERS, FIGURES, SCOPES
from calqsync.tenancy.tokens.text import new_token
from calqsync.tenancy.web import limits
from integrations.models import Customer
from reporting.api import base
from reporting.api.routes import RESOURCES
from reporting.api.schema import document
from reporting.models import Report, ReportPart
from tests.factories import Row, customer_make, invoice_make, monthly_make
from tests.reporting.conftest import NOON, refreshed
from tests.tenancy.test_api_tokens import made

LISTS = [name for name in RESOURCES if hasattr(RESOURCES[name], "rows") and "<" not in name]


class Program:
    """A program that sends its token with each request."""

    def __init__(self, text: str) -> None:
        self.text, self.client = text, Client(raise_request_exception=False)

    def get(self, path: str, query: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.text}"} if self.text else {}
        return self.client.get(f"/api/v1/{path}", query, headers={**sent, **headers})


@pytest.fixture
def program(cast: Any) -> Callable[..., Program]:
    """`program("vera", FIGURES)` holds a token of this person with these scopes, all by default."""

    def make(who: str = "vera", *scopes: str, **more: Any) -> Program:
        with scope.tenant(cast.tenant.pk):
            role = Membership.objects.get(user=getattr(cast, who))
            allowed = [name for name in SCOPES if role.may(SCOPES[name].min_role)]
        _token, text = made(cast, who, scopes=scopes or allowed, **more)
        return Program(text)

    return make


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


# -- the door --------------------------------------------------------------------------------------


def test_a_token_opens_its_company_and_says_how_far(cast: Any, program: Any) -> None:
    said = program("vera", FIGURES).get("company").json()
    assert (said["name"], said["role"]) == ("Kuura Oy", "viewer")
    assert said["token"]["scopes"] == [FIGURES]
    assert said["id"] == str(cast.tenant.public_id)


def test_what_no_token_opens_is_said_with_a_way_on(cast: Any, program: Any) -> None:
    answer = Program("").get("company")
    assert code(answer) == (401, "token_missing")
    assert answer["WWW-Authenticate"] == 'Bearer realm="CalqSync"'
    assert answer["Content-Type"] == "application/problem+json"
    assert answer.json()["advice"]
    assert answer.json()["reference"] == answer["X-Request-ID"]
    for text in ("calqsync_short", new_token()):
        assert code(Program(text).get("company")) == (401, "token_unknown")


def test_an_expired_token_is_told_so(cast: Any, program: Any) -> None:
    asking = program("vera")
    with scope.tenant(cast.tenant.pk):
        ApiToken.objects.update(expires_at=timezone.now())
    assert code(asking.get("company")) == (401, "token_expired")


def test_a_token_without_the_scope_is_refused_by_its_name(program: Any) -> None:
    answer = program("vera", FIGURES).get("customers")
    assert code(answer) == (403, "scope_missing")
    assert "customers:read" in answer.json()["detail"]


def test_a_fallen_role_and_a_lost_membership_close_what_they_opened(
    cast: Any, program: Any
) -> None:
    asking = program("bob")
    assert asking.get("customers").status_code == 200
    with scope.tenant(cast.tenant.pk):
        member = Membership.objects.select_related("user").get(user=cast.bob)
        member_change_role(membership=member, role=Role.INVESTOR, by=cast.alice)
    assert code(asking.get("customers")) == (403, "scope_missing")
    with scope.tenant(cast.tenant.pk):
        member_remove(membership=member, by=cast.alice)
    assert code(asking.get("company")) == (401, "token_unknown")


def test_a_disabled_person_s_token_opens_nothing(cast: Any, program: Any) -> None:
    asking = program("vera")
    cast.vera.is_active = False
    cast.vera.save()
    assert code(asking.get("company")) == (401, "person_disabled")


def test_a_company_that_leaves_or_asks_for_two_steps_is_closed(cast: Any, program: Any) -> None:
    asking = program("vera")
    with scope.tenant(cast.tenant.pk):
        Tenant.objects.update(mfa_required=True)
        assert code(asking.get("company")) == (403, "second_step_missing")
        Tenant.objects.update(deletes_at=timezone.now() + timedelta(days=7))
    assert code(asking.get("company")) == (403, "company_leaving")


def test_a_token_s_use_is_noted_by_day_and_kept_under_the_newest_key(
    cast: Any, program: Any, settings: Any
) -> None:
    asking = program("vera")
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
    assert asking.get("company").status_code == 200
    settings.SECRET_KEY_FALLBACKS = []
    assert asking.get("company").status_code == 200
    with scope.tenant(cast.tenant.pk):
        assert ApiToken.objects.get().last_used_on == timezone.now().date()


def test_only_reading_is_offered(program: Any) -> None:
    asking = program("alice")
    for method in ("post", "put", "patch", "delete"):
        send = getattr(asking.client, method)
        answer = send("/api/v1/company", headers={"Authorization": f"Bearer {asking.text}"})
        assert code(answer)[0] == 405
    assert (
        asking.client.head(
            "/api/v1/company", headers={"Authorization": f"Bearer {asking.text}"}
        ).status_code
        == 200
    )


@pytest.fixture
def _counted(settings: Any) -> Iterator[None]:
    settings.LIMITS_STORAGE = "memory://"
    limits._shared.cache_clear()
    yield
    limits._shared.cache_clear()


@pytest.mark.usefixtures("_counted")
def test_a_token_and_a_company_have_their_limits(program: Any, settings: Any) -> None:
    settings.LIMITS = {"api": ("2/minute", "3/minute")}
    first, second = program("vera"), program("bob")
    assert [first.get("company").status_code for _ in range(3)] == [200, 200, 429]
    refused = second.get("company"), second.get("company")
    assert [answer.status_code for answer in refused] == [200, 429]
    assert 1 <= int(refused[1]["Retry-After"]) <= 60
    assert code(refused[1]) == (429, "too_many_requests")


@pytest.mark.usefixtures("_counted")
def test_who_guesses_is_stopped_by_address_and_right_tokens_do_not_count(
    program: Any, settings: Any
) -> None:
    settings.LIMITS = {"token": ("2/minute", "9/hour")}
    right = program("vera")
    assert [right.get("company").status_code for _ in range(4)] == [200] * 4
    guesses = [Program(new_token()).get("company").status_code for _ in range(3)]
    assert guesses == [401, 401, 429]
    assert right.get("company").status_code == 200, "a neighbour of the guesser goes on"


# -- figures ---------------------------------------------------------------------------------------


def test_the_report_is_the_published_one_to_the_letter(shop: Any, program: Any) -> None:
    asking, report = program("vera"), Report.objects.get()
    said = asking.get("report").json()
    assert said["data"] == report.body
    assert (said["version"], said["currency"]) == (report.version, "EUR")
    assert {row["name"] for row in said["freshness"]} == {"EU account", "US account"}
    assert asking.get("report/months").json()["data"] == report.body["months"]
    assert asking.get("report/cash").json()["data"]["months"] == report.body["cash"]


@pytest.mark.parametrize(("who", "scopes"), [("ivan", [FIGURES]), ("alice", [FIGURES])])
def test_figures_name_nobody_without_the_scope_for_customers(
    shop: Any, program: Any, who: str, scopes: list[str]
) -> None:
    asking = program(who, *scopes)
    for path in ("report", "report/months", "report/cash", "freshness", "restatements"):
        answer = asking.get(path)
        assert answer.status_code == 200
        for name in (b"Aalto", b"Berg", b"Cedar", b"EU account"):
            assert name not in answer.content, path
    assert asking.get("report/months").json()["data"] == Report.objects.get().body["months"]


def test_segments_that_name_products_take_the_scope_for_names(shop: Any, program: Any) -> None:
    ReportPart.objects.filter(name__startswith="segments").delete()
    for name in ("product", "connection", "country"):
        body = {"dimension": name, "months": [], "segments": []}
        ReportPart.objects.create(name=f"segments.{name}", body=body)
    assert program("vera").get("segments/product").status_code == 200
    sums = program("vera", FIGURES)
    assert code(sums.get("segments/connection")) == (403, "scope_missing")
    assert sums.get("segments/country").status_code == 200
    ivan = program("ivan")
    assert code(ivan.get("segments/product")) == (403, "role_missing")
    assert ivan.get("segments/country").status_code == 200
    assert ivan.get("segments/shoe-size").status_code == 404


def test_a_tag_answers_nothing_that_the_token_may_not_read(shop: Any, program: Any) -> None:
    sums = program("ivan", FIGURES)
    sent = {"If-None-Match": sums.get("report")["ETag"]}
    assert code(sums.get("segments/product", **sent)) == (403, "role_missing")
    assert sums.get("segments/shoe-size", **sent).status_code == 404


def test_a_subscription_says_the_currency_of_its_bills_and_of_its_mrr(
    shop: Any, program: Any
) -> None:
    abroad = customer_make(shop["eu"], "Zephyr Inc")
    row = Row(
        net="110.00", acc="100.00", product=shop["plan"], service=("2026-03-01", "2026-04-01")
    )
    invoice_make(abroad, "2026-03-01", [row], currency="USD")
    refreshed(NOON + timedelta(hours=1))
    asked = {"customer": str(abroad.public_id)}
    found = program("vera").get("subscriptions", asked).json()["data"][0]
    assert [found[name] for name in ("currency", "mrr_currency", "mrr_minor")] == [
        "USD",
        "EUR",
        10_000,
    ]


def test_before_the_first_import_the_way_on_is_said(program: Any) -> None:
    answer = program("vera").get("report")
    assert code(answer) == (404, "not_published")
    assert "import" in answer.json()["advice"]


def test_an_unchanged_report_is_not_sent_again(shop: Any, program: Any) -> None:
    asking = program("vera")
    tag = asking.get("report")["ETag"]
    again = asking.get("report", **{"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")
    assert asking.get("report", **{"If-None-Match": '"other"'}).status_code == 200
    monthly_make(shop["berg"], shop["plan"], ["2026-03"])
    refreshed(NOON + timedelta(hours=1))
    assert asking.get("report", **{"If-None-Match": tag}).status_code == 200


def test_after_a_new_release_figures_are_sent_again(
    shop: Any, program: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = program("vera")
    tag = asking.get("report")["ETag"]
    monkeypatch.setattr(base, "release", lambda: "another program")
    assert asking.get("report", **{"If-None-Match": tag}).status_code == 200


def test_a_reader_of_fewer_figures_shares_no_tag_with_one_of_more(shop: Any, program: Any) -> None:
    full, less = program("vera"), program("vera", FIGURES)
    tag = full.get("report")["ETag"]
    assert less.get("report", **{"If-None-Match": tag}).status_code == 200


def test_a_list_s_tag_changes_with_what_it_says(shop: Any, program: Any) -> None:
    asking = program("vera")
    tag = asking.get("customers")["ETag"]
    assert asking.get("customers", **{"If-None-Match": tag}).status_code == 304
    Customer.objects.filter(name="Aalto Oy").update(name="Aalto Group Oy")
    assert asking.get("customers", **{"If-None-Match": tag}).status_code == 200


def test_figures_open_as_they_were_known_on_a_day(shop: Any, program: Any) -> None:
    asking, before = program("vera"), Report.objects.get().body["months"]
    later = NOON + timedelta(days=2)
    monthly_make(shop["berg"], shop["plan"], ["2026-02"])
    refreshed(later)
    now = asking.get("report/months").json()["data"]
    known = asking.get("report/months", {"known_on": f"{NOON:%Y-%m-%d}"})
    assert known.json()["data"] == before != now
    assert known["ETag"] != asking.get("report/months")["ETag"]


@pytest.mark.parametrize("path", ["report", "cohorts", "customers", "invoices", "subscriptions"])
def test_an_answer_takes_few_queries(shop: Any, program: Any, path: str) -> None:
    asking = program("vera")
    asking.get(path)
    with CaptureQueriesContext(connection) as captured:
        asking.get(path)
    asked = [one["sql"] for one in captured.captured_queries if "set_config" not in one["sql"]]
    assert len([one for one in asked if "SAVEPOINT" not in one]) <= 8


# -- lists -----------------------------------------------------------------------------------------


def walked(asking: Program, path: str, between: Callable[[], Any] = lambda: None) -> list[str]:
    """The ids of a list read one row a page; `between` happens after the first page."""
    ids, query = [], {"limit": "1"}
    while True:
        said = asking.get(path, query).json()
        ids += [row["id"] for row in said["data"]]
        assert said["has_more"] == (said["next_cursor"] is not None)
        if len(ids) == 1:
            between()
        if not said["has_more"]:
            return ids
        query["cursor"] = said["next_cursor"]


@pytest.mark.parametrize("path", LISTS)
def test_pages_hold_each_row_once(shop: Any, program: Any, path: str) -> None:
    asking = program("vera")
    whole = [row["id"] for row in asking.get(path, {"limit": "200"}).json()["data"]]
    assert walked(asking, path) == whole
    assert len(set(whole)) == len(whole)


def test_rows_that_come_while_pages_are_read_move_none_out_of_place(
    shop: Any, program: Any
) -> None:
    asking = program("vera")
    before = [row["id"] for row in asking.get("customers").json()["data"]]
    found = walked(asking, "customers", lambda: customer_make(shop["eu"], "Dahl Oy"))
    assert [one for one in found if one in before] == before
    assert len(found) == len(set(found))


def test_an_invoice_stands_with_its_rows_and_what_they_count(shop: Any, program: Any) -> None:
    asking, invoice = program("vera"), shop["invoices"][0]
    invoice.refresh_from_db()
    said = asking.get(f"invoices/{invoice.public_id}").json()
    (line,) = said["lines"]
    assert (said["net_minor"], said["paid_minor"], said["open_minor"]) == (9999, 9999, 0)
    assert (line["net_minor"], line["mrr_e4"], line["counted"]) == (9999, 99_990_000, True)
    assert (line["start"], line["end"]) == ("2026-01-01", "2026-02-01")
    assert line["quantity"] == "1.000000"


def test_a_customer_stands_with_its_months(shop: Any, program: Any) -> None:
    shop["aalto"].refresh_from_db()
    said = program("vera", CUSTOMERS).get(f"customers/{shop['aalto'].public_id}").json()
    assert said["mrr_minor"] == 9999
    assert [(row["month"], row["movement"]) for row in said["months"]][0] == ("2026-01", "new")


def test_lists_are_narrowed_by_customer_and_day(shop: Any, program: Any) -> None:
    asking = program("vera")
    shop["aalto"].refresh_from_db()
    query = {"customer": str(shop["aalto"].public_id), "from": "2026-02-01", "to": "2026-02-28"}
    found = asking.get("invoices", query).json()["data"]
    assert [row["date"] for row in found] == ["2026-02-01"]


@pytest.mark.parametrize(
    ("path", "query", "wanted"),
    [
        ("invoices", {"form": "2026-01-01"}, "parameter_unknown"),
        ("invoices", {"from": "yesterday"}, "parameter_invalid"),
        ("customers", {"limit": "0"}, "parameter_invalid"),
        ("customers", {"limit": "201"}, "parameter_invalid"),
        ("customers", {"cursor": "%%%"}, "parameter_invalid"),
        ("customers", {"cursor": "ä"}, "parameter_invalid"),
        ("subscriptions", {"status": "sleeping"}, "parameter_invalid"),
        ("subscriptions", {"customer": "7"}, "parameter_invalid"),
        ("restatements", {"month": "2026-13"}, "parameter_invalid"),
    ],
)
def test_a_mistake_in_the_address_is_said_and_not_passed_over(
    shop: Any, program: Any, path: str, query: dict[str, str], wanted: str
) -> None:
    answer = program("vera").get(path, query)
    assert code(answer) == (422, wanted)
    assert answer.json()["advice"]


# -- the description -------------------------------------------------------------------------------


def described() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(document())
    return found


def test_the_description_is_valid_openapi_and_anybody_may_read_it(client: Any) -> None:
    answer = client.get("/api/v1/openapi.json")
    validate_schema(answer.json())
    assert len(answer.json()["paths"]) == len(RESOURCES)


def strict() -> dict[str, Any]:
    """The components, none of which may hold what is not described."""
    components = described()["components"]
    for schema in components["schemas"].values():
        if "properties" in schema:
            schema["additionalProperties"] = False
            assert set(schema.get("required", ())) == set(schema["properties"])
    return components


def mistakes(answer: Any, name: str) -> list[str]:
    """Where the answer is not as the component of this name says."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": strict()}
    found = Draft202012Validator(schema, format_checker=FormatChecker())
    return [f"{one.json_path}: {one.message}" for one in found.iter_errors(answer.json())]


def test_every_answer_is_as_described(shop: Any, program: Any) -> None:
    asking, wrong, answered = program("vera"), {}, 0
    ids = {"customers": shop["aalto"], "products": shop["plan"], "invoices": shop["due"]}
    for one in ids.values():
        one.refresh_from_db()
    subscription = asking.get("subscriptions").json()["data"][0]["id"]
    for address, view in RESOURCES.items():
        kind = address.partition("/")[0]
        one = str(ids[kind].public_id) if kind in ids else subscription
        path = address.replace("<uuid:public_id>", one).replace("<str:dimension>", "currency")
        answer = asking.get(path)
        name = view.answers.__name__ if answer.status_code == 200 else "Problem"
        answered += answer.status_code == 200
        if answer.status_code not in {200, 404} or mistakes(answer, name):
            wrong[path] = answer.status_code, mistakes(answer, name)
    assert wrong == {}
    assert answered >= 17, "hardly anything was published"
