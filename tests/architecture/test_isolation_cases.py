"""Two companies in one browser, in one cache, by one clock: what must not cross over."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Callable
from typing import Any
from unittest import mock
from uuid import uuid4

import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Membership, Role, User
from calqsync.tenancy.services import audit
from integrations.models import Connection, Rejection, SyncRun
from reporting.models import ProductMark, SubscriptionDecision
from tests import factories
from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, text_of
from tests.architecture.test_role_matrix import undone
from tests.reporting.conftest import refreshed

PAGES = ("", "growth/", "cashflow/", "customers/", "products/", "subscriptions/", "invoices/")


@pytest.fixture(autouse=True)
def _nothing_outside(settings: Any) -> None:
    settings.PROCOUNTOR_BASE_URL = "http://127.0.0.1:9"


@pytest.fixture
def both(world: worlds.World) -> Any:
    """A person who belongs to both companies, in one browser; forgotten after the test."""
    with undone():
        person = User.objects.create_user("both@example.com", worlds.PASSWORD, name="Both")
        for company in (world.marked, world.neighbour):
            with scope.tenant(company.tenant.pk):
                Membership.objects.create(user=person, role=Role.OWNER)
        yield worlds.signed_in(person)


def in_company(company: worlds.Company, ask: Callable[[], Any]) -> Any:
    with scope.tenant(company.tenant.pk), transaction.atomic():
        return ask()


def marks(company: worlds.Company) -> list[str]:
    return in_company(company, lambda: list(ProductMark.objects.values_list("mark", flat=True)))


def test_i7_a_bookmark_opens_the_company_that_it_names(world, both):
    own, other = world.neighbour, world.marked
    both.get(f"/t/{own.slug}/")
    answer = both.get(f"/t/{other.slug}/customers/{other.id_of('customer')}/")
    assert answer.status_code == 200
    assert answer.wsgi_request.tenant == other.tenant
    assert own.words.word not in text_of(answer)
    # ... and did not switch the other tab.
    assert leaks(text_of(both.get(f"/t/{own.slug}/customers/")), other, directory=True) == []


def test_i7_a_bookmark_of_one_company_is_not_found_in_the_other(world, both):
    own, other = world.neighbour, world.marked
    for page in table.pages():
        if len(page.parameters) < 2 or page.name == "behind":
            continue
        if "GET" in table.PAGES[page.name][1]:
            assert both.get(page.path(other, slug=own.slug)).status_code == 404, page.name


def test_i7_two_tabs_write_into_the_company_of_their_own_address(world, both):
    for company in (world.marked, world.neighbour, world.marked):
        mine = company.id_of("product")
        to = f"/t/{company.slug}/products/mark/"
        word = "usage" if company is world.marked else "ignore"
        assert both.post(to, {"save": mine, f"mark-{mine}": word}).status_code == 302
    assert marks(world.marked) == ["usage"]
    assert marks(world.neighbour) == ["ignore"]


def test_i7_a_form_of_one_company_sent_to_the_other_changes_neither(world, both):
    own, other = world.neighbour, world.marked
    before = marks(own), marks(other)
    product = other.id_of("product")
    form = {"save": product, f"mark-{product}": "ignore"}
    assert both.post(f"/t/{own.slug}/products/mark/", form).status_code == 404
    said = {"say": f"reject:{other.id_of('subscription')}"}
    assert both.post(f"/t/{own.slug}/subscriptions/say/", said).status_code == 404
    assert (marks(own), marks(other)) == before
    for company in (own, other):
        verdicts = in_company(
            company, lambda: set(SubscriptionDecision.objects.values_list("verdict", flat=True))
        )
        assert "rejected" not in verdicts


def test_i7_a_walk_to_procountor_ends_in_the_company_where_it_began(world, both):
    person = both.session["_auth_user_id"]
    flow = world.marked.things["flow"]
    in_company(world.marked, lambda: type(flow).objects.filter(pk=flow.pk).update(user=person))
    path = f"settings/integrations/connect/{flow.public_id}/"
    assert both.post(f"/t/{world.neighbour.slug}/{path}", {"name": "Theirs"}).status_code == 404
    for company in (world.marked, world.neighbour):
        assert not in_company(company, lambda: Connection.objects.filter(name="Theirs").exists())
    assert both.get(f"/t/{world.marked.slug}/{path}").status_code == 200


FILES = (
    "customers/?format=csv",
    "invoices/?format=xlsx",
    "growth/customers/?format=csv",
    "settings/audit/?format=csv",
)


def test_i8_a_file_ends_with_the_membership(world, both):
    company = world.marked
    for path in FILES:
        assert both.get(f"/t/{company.slug}/{path}").status_code == 200, path
    person = both.session["_auth_user_id"]
    in_company(company, lambda: Membership.objects.filter(user=person).delete())
    for path in FILES:
        answer = both.get(f"/t/{company.slug}/{path}")
        assert answer.status_code == 404, path
        assert leaks(text_of(answer), company, sent=[f"/t/{company.slug}/{path}"]) == []


def test_i8_a_copy_of_all_data_opens_for_an_owner_of_its_company_alone(world, both):
    own, other = world.neighbour, world.marked
    copy = f"settings/data/export/{other.id_of('export')}/"
    assert both.post(f"/t/{other.slug}/{copy}").status_code == 200
    assert both.post(f"/t/{own.slug}/{copy}").status_code == 404
    stranger = worlds.signed_in(own.people["owner"])
    assert stranger.post(f"/t/{other.slug}/{copy}").status_code == 404
    assert stranger.post(f"/t/{own.slug}/{copy}").status_code == 404
    person = both.session["_auth_user_id"]
    mine = Membership.unscoped.filter(user=person)
    in_company(other, lambda: mine.filter(tenant=other.tenant).update(role=Role.ADMIN))
    assert both.post(f"/t/{other.slug}/{copy}").status_code == 403
    in_company(other, lambda: mine.filter(tenant=other.tenant).delete())
    assert both.post(f"/t/{other.slug}/{copy}").status_code == 404


@pytest.mark.parametrize(
    "guess",
    ["media/{slug}.zip", "exports/{slug}.zip", "static/{slug}.csv", "{slug}.csv", "files/1"],
)
def test_i8_no_guessed_name_is_a_file(world, guess):
    client = worlds.signed_in(world.neighbour.people["owner"])
    path = "/" + guess.format(slug=world.marked.slug)
    answer = client.get(path)
    assert answer.status_code == 404
    assert leaks(text_of(answer), world.marked, sent=[path]) == []


def test_i10_no_answer_about_a_company_may_be_kept_by_any_cache(world):
    company = world.marked
    client = worlds.signed_in(company.people["owner"])
    paths = [page.path(company) for page in table.pages() if "GET" in table.PAGES[page.name][1]]
    paths += [f"/t/{company.slug}/{path}" for path in FILES]
    paths += ["/?choose", "/account/"]
    wrong = {}
    for path in paths:
        answer = client.get(path)
        control = answer.get("Cache-Control", "")
        kept = "no-store" not in control or "private" not in control
        if kept or answer.has_header("ETag") or answer.has_header("Last-Modified"):
            wrong[path] = answer.status_code, control
    assert wrong == {}


def test_i10_the_same_address_tells_the_next_person_nothing(world):
    own, other = world.neighbour, world.marked
    first, second = (worlds.signed_in(one.people["owner"]) for one in (other, own))
    shared = [
        "/",
        "/?choose",
        "/account/",
        "/accounts/email/",
        "/accounts/2fa/",
        "/accounts/sessions/",
    ]
    for path in [*shared, *(f"/t/{other.slug}/{page}" for page in PAGES)]:
        theirs = first.get(path)
        asked = {"If-None-Match": theirs.get("ETag", "*"), "If-Modified-Since": "0"}
        answer = second.get(path, headers=asked)
        assert answer.status_code != 304, path
        assert leaks(text_of(answer), other, sent=[path]) == [], path


def steady(answer: Any) -> str:
    """A page without what is drawn anew for each request."""
    drawn = r'nonce="[^"]*"|name="csrfmiddlewaretoken" value="[^"]*"|"X-CSRFToken": ?"[^"]*"'
    return re.sub(drawn, "", answer.content.decode())


def test_i11_no_count_of_the_neighbour_moves_with_anothers_volume(world):
    own, other = world.neighbour, world.marked
    shown = [
        page.path(own)
        for page in table.pages()
        # To open a document is on record, so each look adds a line to one's own audit log.
        if "GET" in table.PAGES[page.name][1]
        and page.name not in {"api_figures", "connection_document"}
    ]
    with mock.patch("django.utils.timezone.now", return_value=timezone.now()):
        client = worlds.signed_in(own.people["owner"])
        before = {path: steady(client.get(path)) for path in shown}
        with undone():
            in_company(other, lambda: _much(other))
            after = {path: steady(client.get(path)) for path in shown}
    assert len(shown) > 20
    assert [path for path in shown if before[path] != after[path]] == []


def _much(company: worlds.Company) -> None:
    shop = company.things["connection"]
    customer = factories.customer_make(shop, "Busy")
    for month in ("2026-01", "2026-02", "2026-03"):
        for _invoice in range(10):
            factories.monthly_make(customer, company.things["product"], [month])
    now = timezone.now()
    for _number in range(12):
        SyncRun.objects.create(
            connection=shop,
            mode="full",
            trigger="person",
            state="our_fault",
            started_at=now,
            window_to=now,
        )
        audit(act="connection.renamed", by=company.people["owner"], target="Busy")
    refreshed(worlds.NOON)


def test_i12_logs_of_errors_and_acts_are_ones_own(world):
    own, other = world.neighbour, world.marked
    client = worlds.signed_in(own.people["owner"])
    shop = own.id_of("connection")
    pages = {
        "settings/audit/": own.people["owner"].name,
        f"settings/integrations/{shop}/": own.things["connection"].name,
        f"settings/integrations/{shop}/rejected/": own.words.listed("reason"),
        "settings/security/": own.words.listed("ticket"),
        "settings/integrations/": own.things["connection"].name,
    }
    for path, expected in pages.items():
        text = text_of(client.get(f"/t/{own.slug}/{path}"))
        assert expected in text, path
        assert leaks(text, other) == [], path


def test_i12_the_rows_behind_the_logs_are_ones_own(world):
    for model in (AuditEvent, SyncRun, Rejection):
        for company in (world.marked, world.neighbour):
            tenants = in_company(company, lambda: {row.tenant_id for row in model.objects.all()})  # noqa: B023
            assert tenants == {company.tenant.pk}, model


ASKED = ("customers/{id}/", "settings/integrations/{id}/", "invoices/{id}/")


def _paths(world: worlds.World) -> list[tuple[str, str]]:
    """Addresses that name the other company's thing, each with one that names nothing."""
    own, other = world.neighbour, world.marked
    kinds = ("customer", "connection", "invoice")
    pairs = [
        (
            f"/t/{own.slug}/" + path.format(id=other.id_of(kind)),
            f"/t/{own.slug}/" + path.format(id=uuid4()),
        )
        for path, kind in zip(ASKED, kinds, strict=True)
    ]
    never = other.slug[:-6] + "abcdef"
    return [*pairs, (f"/t/{other.slug}/customers/", f"/t/{never}/customers/")]


def test_i26_anothers_id_costs_the_same_statements_as_none(world):
    client = worlds.signed_in(world.neighbour.people["owner"])
    for theirs, never in _paths(world):
        counts = []
        for path in (theirs, never):
            client.get(path)
            with CaptureQueriesContext(connection) as captured:
                assert client.get(path).status_code == 404
            counts.append([re.sub(r"'[^']*'|\d+", "?", one["sql"]) for one in captured])
        assert counts[0] == counts[1], theirs


def test_i26b_anothers_id_takes_the_same_time_as_none(world):
    client = worlds.signed_in(world.neighbour.people["owner"])
    for theirs, never in _paths(world):
        # A busy machine may spoil a sample; a difference that is there spoils all three.
        assert any(_as_quick(client, theirs, never) for _try in range(3)), theirs


def _as_quick(client: Any, theirs: str, never: str) -> bool:
    """Whether the medians of interleaved tries differ by no more than their noise."""
    spent: dict[str, list[float]] = {theirs: [], never: []}
    for turn in range(40):
        for path in (theirs, never) if turn % 2 else (never, theirs):
            began = time.perf_counter()
            client.get(path)
            spent[path].append(time.perf_counter() - began)
    middle = {path: statistics.median(times) for path, times in spent.items()}
    spread = max(
        statistics.median(abs(one - middle[path]) for one in times) for path, times in spent.items()
    )
    return abs(middle[theirs] - middle[never]) <= max(0.1 * middle[never], spread)
