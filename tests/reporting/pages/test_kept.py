"""Pages whose pieces are kept: equal to the page made anew, and never shown for another one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import timezone, translation

from billing.models import Account
from calqsync.local.home import free_port
from calqsync.tenancy import pieces
from calqsync.tenancy.models import Membership, Tenant, User
from calqsync.tenancy.pieces import Pieces
from calqsync.tenancy.services import tenant_create
from integrations.models import Connection, Customer, SyncRun
from reporting.domain.periods import month_number
from reporting.models import Report, ReportSettings, Restatement
from reporting.services import keeping
from reporting.views import dashboards
from tests.conftest import Cast
from tests.reporting.conftest import refreshed
from tests.reporting.pages.conftest import text

PATHS = [
    *("", "growth/", "growth/?view=quarters", "cashflow/", "retention/", "segments/", "board/"),
    *("unit-economics/", "recognition/", "overdue/", "segments/?by=country&period=24"),
]
# Drawn anew for each request.
_TOKENS = re.compile(r'(name="csrfmiddlewaretoken" value="|X-CSRFToken"?: ?"?|nonce=")[^"]*')


@pytest.fixture(autouse=True)
def kept(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Pieces are kept in this process, no two pages in one place."""
    monkeypatch.setattr(pieces, "PLACES", 2**32)
    memory = {"BACKEND": "django.core.cache.backends.locmem.LocMemCache", "LOCATION": "pieces"}
    settings.CACHES = {**settings.CACHES, "pages": memory}
    caches["pages"].clear()
    yield caches["pages"]
    caches["pages"].clear()


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the pages of figures that were made anew."""
    paths, anew = [], dashboards._page

    def noted(request: Any, page_of: Any) -> Any:
        paths.append(request.get_full_path())
        return anew(request, page_of)

    monkeypatch.setattr(dashboards, "_page", noted)
    return paths


@pytest.fixture
def told(books: Any) -> Any:
    """The computed company; its tenant stays in scope."""
    refreshed()
    return books


def steady(response: Any) -> str:
    assert response.status_code == 200
    return _TOKENS.sub(r"\1", text(response))


@pytest.fixture
def framed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The addresses of the pages whose frame was made anew."""
    paths, anew = [], Pieces.framed

    def noted(self: Pieces, request: Any, *args: Any) -> Any:
        paths.append(request.path)
        return anew(self, request, *args)

    monkeypatch.setattr(Pieces, "framed", noted)
    return paths


@pytest.fixture
def unkept(monkeypatch: pytest.MonkeyPatch) -> Callable[[Client, str], str]:
    """A page as it is where nothing of it is kept."""

    def page(client: Client, url: str) -> str:
        with monkeypatch.context() as patch:
            patch.setattr(dashboards, "_state", lambda request: None)
            return steady(client.get(url))

    return page


@pytest.mark.parametrize("person", ["alice", "vera", "ivan"])
def test_a_kept_page_is_the_page_made_anew(
    told: Any,
    cast: Cast,
    as_person: Callable[[str], Client],
    made: list[str],
    framed: list[str],
    unkept: Callable[[Client, str], str],
    person: str,
) -> None:
    client, shown = as_person(person), {}
    for path in PATHS:
        shown[path] = steady(client.get(cast.url(path)))
    assert made == [cast.url(path) for path in PATHS]
    differing = [path for path in PATHS if steady(client.get(cast.url(path))) != shown[path]]
    assert (differing, len(made), len(framed)) == ([], len(PATHS), len(PATHS))
    assert [path for path in PATHS if unkept(client, cast.url(path)) != shown[path]] == []


def _trouble(cast: Cast, client: Client) -> None:
    Connection.objects.update(trouble="needs_you", trouble_kind="SecretUnreadable")


def _import_runs(cast: Cast, client: Client) -> None:
    now = timezone.now()
    one = Connection.objects.get()
    _trouble_ends(cast, client)
    SyncRun.objects.create(
        connection=one, mode="full", trigger="person", started_at=now, window_to=now
    )


def _trouble_ends(cast: Cast, client: Client) -> None:
    Connection.objects.update(trouble="", trouble_kind="")


def _trial_ends(cast: Cast, client: Client) -> None:
    Account.objects.update(trial_ends_at=timezone.now())


def _company_leaves(cast: Cast, client: Client) -> None:
    Tenant.objects.filter(pk=cast.tenant.pk).update(deletes_at=timezone.now() + timedelta(days=9))


def _one_company_more(cast: Cast, client: Client) -> None:
    tenant_create(name="Lumi Oy", owner=cast.alice)


def _another_mail_address(cast: Cast, client: Client) -> None:
    User.objects.filter(pk=cast.alice.pk).update(email="alice@kuura.example")


def _dark(cast: Cast, client: Client) -> None:
    client.cookies["theme"] = "dark"


def _month_restated(cast: Cast, client: Client) -> None:
    Restatement.objects.create(
        at=timezone.now(), month=month_number("2024-01"), metric="mrr", before_minor=0,
        after_minor=500, causes=[{"code": "rounding", "params": {}}],
    )  # fmt: skip


def _first_steps_put_away(cast: Cast, client: Client) -> None:
    ReportSettings.objects.filter(tenant=cast.tenant).update(checklist_done_at=timezone.now())


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (_trouble, "Reconnect"),
        (_import_runs, "It is being imported now."),
        (_trial_ends, "Your trial has ended."),
        (_company_leaves, "is erased on"),
        (_one_company_more, "Lumi Oy"),
        (_another_mail_address, "alice@kuura.example"),
        (_dark, 'data-theme="dark"'),
        (_month_restated, "was restated by"),
    ],
)
def test_what_changes_beside_the_figures_is_shown_at_once(
    told: Any,
    cast: Cast,
    as_person: Callable[[str], Client],
    made: list[str],
    unkept: Callable[[Client, str], str],
    change: Callable[[Cast, Client], None],
    says: str,
) -> None:
    alice, url = as_person("alice"), cast.url("growth/")
    before = steady(alice.get(url))
    assert says not in before
    change(cast, alice)
    after = steady(alice.get(url))
    assert says in after
    assert len(made) == 1, "the pieces stayed"
    assert after == unkept(alice, url)


def test_a_first_step_that_is_done_is_no_longer_asked_for(
    told: Any, cast: Cast, as_person: Callable[[str], Client]
) -> None:
    ann, url = as_person("ann"), cast.url("")
    ReportSettings.objects.get_or_create(tenant=cast.tenant)
    assert all("First steps" in text(ann.get(url)) for _twice in range(2))
    _first_steps_put_away(cast, ann)
    assert "First steps" not in text(ann.get(url))


def test_a_trouble_that_is_over_is_no_longer_told(
    told: Any, cast: Cast, as_person: Callable[[str], Client]
) -> None:
    alice, url = as_person("alice"), cast.url("growth/")
    before = steady(alice.get(url))
    _trouble(cast, alice)
    assert all("Reconnect" in text(alice.get(url)) for _twice in range(2))
    _trouble_ends(cast, alice)
    assert steady(alice.get(url)) == before


def test_each_person_is_named_on_their_own_pages_alone(
    told: Any, cast: Cast, as_person: Callable[[str], Client], made: list[str]
) -> None:
    Membership.objects.filter(user=cast.bob).update(role="viewer")
    for _twice in range(2):
        for name, other in (("vera", "bob"), ("bob", "vera")):
            page = text(as_person(name).get(cast.url("growth/")))
            assert f"{name}@example.com" in page
            assert f"{other}@example.com" not in page
    assert len(made) == 1, "the figures are those of their role"


def test_a_kept_page_has_the_tokens_of_its_own_answer(
    told: Any, cast: Cast, as_person: Callable[[str], Client], framed: list[str]
) -> None:
    alice, seen = as_person("alice"), set()
    alice.handler.enforce_csrf_checks = True
    for _again in range(3):
        answer = alice.get(cast.url("growth/"))
        (nonce,) = set(re.findall(r'nonce="([^"]+)"', text(answer)))
        assert f"'nonce-{nonce}'" in answer.headers["Content-Security-Policy"]
        (token,) = set(re.findall(r'name="csrfmiddlewaretoken" value="([^"]+)"', text(answer)))
        seen |= {nonce, token}
    assert (len(seen), len(framed)) == (6, 1)
    assert alice.post("/accounts/logout/").status_code == 403
    assert alice.post("/accounts/logout/", {"csrfmiddlewaretoken": token}).status_code == 302


def test_a_message_is_shown_once(told: Any, cast: Cast, vera: Client, framed: list[str]) -> None:
    url = cast.url("growth/")
    before = steady(vera.get(url))
    session = vera.session
    session["_messages"] = '[["__json_message",0,25,"Kept it."]]'
    session.save()
    assert "Kept it." in text(vera.get(url))
    assert steady(vera.get(url)) == before
    assert len(framed) == 1


def test_pages_that_share_a_place_are_not_mistaken_for_each_other(
    told: Any, cast: Cast, vera: Client, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = {path: steady(vera.get(cast.url(path))) for path in PATHS}
    monkeypatch.setattr(pieces, "PLACES", 1)
    kept.clear()
    for _twice in range(2):
        assert {path: steady(vera.get(cast.url(path))) for path in PATHS} == shown
    assert len(kept._cache) == 2


def test_no_role_sees_what_was_kept_for_another(
    told: Any, cast: Cast, as_person: Callable[[str], Client], made: list[str]
) -> None:
    pages = [steady(as_person(one).get(cast.url("growth/"))) for one in ("alice", "vera", "ivan")]
    assert len(made) == 3
    assert "Berg Oy" in pages[0]
    assert "Berg Oy" in pages[1]
    assert "Berg Oy" not in pages[2]


def test_another_query_day_language_or_setting_is_another_page(
    told: Any, cast: Cast, vera: Client, made: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = cast.url("growth/?view=quarters")
    for _twice in range(2):
        vera.get(url)
        vera.get(f"{url}&period=24")
    assert len(made) == 2
    with translation.override("fi"):
        assert "€150" not in text(vera.get(url))
    assert len(made) == 3
    monkeypatch.setattr(dashboards, "business_day", lambda tenant, now: date(2031, 1, 1))
    vera.get(url)
    assert len(made) == 4
    ReportSettings.objects.update_or_create(tenant=cast.tenant, defaults={"period_view": "summed"})
    assert "Sum of months" in text(vera.get(url))
    Tenant.objects.filter(pk=cast.tenant.pk).update(name="Kuura & Co")
    vera.get(url)
    assert len(made) == 6


def test_what_a_change_concerns_is_shown_at_once_and_after_its_publication(
    told: Any, cast: Cast, vera: Client, made: list[str]
) -> None:
    _connection, _steady, ended, *_rest = told
    url, version = cast.url("growth/?from=2025-11&to=2026-02"), Report.objects.get().version
    assert "Berg Oy" in text(vera.get(url))
    Customer.objects.filter(pk=ended.pk).update(name="Removed")
    keeping.change_note(customers=[ended.pk], bank=False)
    for _twice in range(2):
        assert "Berg Oy" not in text(vera.get(url))
    refreshed()
    assert Report.objects.get().version > version
    assert "Berg Oy" not in text(vera.get(url))


def test_an_address_that_asks_for_more_is_not_kept(
    told: Any, cast: Cast, vera: Client, made: list[str], kept: Any
) -> None:
    for query in ("?known=2026-03-01", "?theme=dark", "?next=/x"):
        vera.get(cast.url(f"growth/{query}"))
    assert len(made) == 3
    assert not kept._cache


def test_an_address_that_is_read_in_another_charset_is_another_page(
    told: Any, cast: Cast, vera: Client, made: list[str]
) -> None:
    url = cast.url("growth/?view=quar%74ers")
    garbled = vera.get(url, headers={"Content-Type": "text/plain; charset=utf-16"})
    assert "Q1 2026" not in text(garbled)
    assert "Q1 2026" in text(vera.get(url))
    assert len(made) == 2


def test_a_company_fills_so_many_places_however_many_addresses_are_thought_up(
    kuura: Tenant, kept: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "PLACES", 3)
    for number in range(40):
        page = Pieces(tenant=kuura, facts=("growth", number))
        assert not page.kept
        page.text("content", lambda number=number: str(number))  # type: ignore[misc]
        page.keep()
        again = Pieces(tenant=kuura, facts=("growth", number))
        assert (again.kept, again.text("content", str)) == (True, str(number))
    assert len(kept._cache) == 3


def test_support_is_shown_nothing_that_was_kept(told: Any, cast: Cast, rf: Any) -> None:
    request = rf.get(cast.url("growth/"))
    request.support_grant = None
    assert dashboards._state(request) is not None
    request.support_grant = object()
    assert dashboards._state(request) is None


def test_what_is_kept_can_be_read_by_its_company_alone_and_not_once_its_key_is_gone(
    kuura: Tenant, cast: Cast, kept: Any
) -> None:
    mine = Pieces(tenant=kuura, facts=("growth", 1))
    assert mine.text("content", lambda: "Aalto Oy") == "Aalto Oy"
    mine.keep()
    (stored,) = kept._cache.values()
    assert b"Aalto" not in stored
    assert Pieces(tenant=kuura, facts=("growth", 1)).text("content", str) == "Aalto Oy"
    assert not Pieces(tenant=kuura, facts=("growth", 2)).kept
    (key,) = kept._cache
    other = Pieces(tenant=cast.stranger_tenant, facts=("growth", 1))
    assert not other.kept
    kept.set(other._key, kept.get(mine._key))
    assert not Pieces(tenant=cast.stranger_tenant, facts=("growth", 1)).kept, key
    kuura.data_key_wrapped = b""
    gone = Pieces(tenant=kuura, facts=("growth", 1))
    assert not gone.kept
    gone.text("content", str)
    gone.keep()


def test_pages_are_made_anew_while_redis_is_away(
    told: Any, cast: Cast, vera: Client, made: list[str], settings: Any
) -> None:
    address = f"redis://127.0.0.1:{free_port()}/0"
    away = {"BACKEND": "calqsync.tenancy.web.cache.ForgetfulRedisCache", "LOCATION": address}
    settings.CACHES = {**settings.CACHES, "pages": away}
    url = cast.url("growth/")
    assert steady(vera.get(url)) == steady(vera.get(url))
    assert len(made) == 2


def test_pages_are_kept_in_redis(
    told: Any, cast: Cast, vera: Client, made: list[str], settings: Any
) -> None:
    cache = {
        "BACKEND": "calqsync.tenancy.web.cache.ForgetfulRedisCache",
        "LOCATION": settings.REDIS_URL,
        "KEY_PREFIX": f"test-{cast.tenant.public_id}",
        "TIMEOUT": 30,
    }
    settings.CACHES = {**settings.CACHES, "pages": cache}
    url = cast.url("growth/")
    assert steady(vera.get(url)) == steady(vera.get(url))
    assert len(made) == 1
