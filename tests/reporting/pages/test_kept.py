"""Pages whose pieces are kept: equal to the page made anew, and never shown for another one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import pytest
from django.core.cache import caches
from django.test import Client
from django.utils import translation

from calqsync.local.home import free_port
from calqsync.tenancy import pieces
from calqsync.tenancy.models import Tenant
from calqsync.tenancy.pieces import Pieces
from integrations.models import Customer
from reporting.models import Report, ReportSettings
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


@pytest.mark.parametrize("person", ["alice", "vera", "ivan"])
def test_a_kept_page_is_the_page_made_anew(
    told: Any, cast: Cast, as_person: Callable[[str], Client], made: list[str], person: str
) -> None:
    client, shown = as_person(person), {}
    for path in PATHS:
        shown[path] = steady(client.get(cast.url(path)))
    assert made == [cast.url(path) for path in PATHS]
    differing = [path for path in PATHS if steady(client.get(cast.url(path))) != shown[path]]
    assert (differing, len(made)) == ([], len(PATHS))


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
