"""How much one person and one company may ask for, and what the others notice of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

import pytest

from calqsync import settings as shipped
from calqsync.tenancy.web import limits
from tests.web.conftest import Server, signed_in
from tests.web.world import World

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _fresh_counts(settings: Any) -> Iterator[None]:
    settings.LIMITS_STORAGE = "memory://"
    limits._shared.cache_clear()
    limits._own.cache_clear()
    yield
    limits._shared.cache_clear()


def exports(client: Any, url: str, times: int) -> list[int]:
    return [client.get(url, {"format": "csv"}).status_code for _ in range(times)]


def test_w17_a_person_who_exports_too_often_is_told_when_to_go_on(
    cast: Any, client: Any, settings: Any
) -> None:
    settings.LIMITS = {"export": ("2/minute", "100/minute")}
    client.force_login(cast.alice)
    url = cast.url("customers/")
    assert exports(client, url, 2) == [200, 200]
    refused = client.get(url, {"format": "csv"})
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 120
    assert "A little too fast" in refused.content.decode()
    assert client.get(url).status_code == 200, "pages stay open"


def test_w17b_a_company_shares_its_limit_and_no_other_notices(
    cast: Any, client: Any, settings: Any
) -> None:
    settings.LIMITS = {"export": ("2/minute", "3/minute")}
    url = cast.url("customers/")
    client.force_login(cast.alice)
    assert exports(client, url, 2) == [200, 200]
    client.force_login(cast.bob)
    assert exports(client, url, 2) == [200, 429]
    client.force_login(cast.mallory)
    theirs = f"/t/{cast.stranger_tenant.slug}/customers/"
    assert exports(client, theirs, 2) == [200, 200]


def test_a_kind_that_nothing_limits_is_refused_when_the_view_is_made() -> None:
    with pytest.raises(ValueError, match="'exports' is no kind of limit"):
        limits.limited("exports")


def test_a_kind_that_nothing_limits_is_refused_in_a_view() -> None:
    with pytest.raises(ValueError, match="'exports' is no kind of limit"):
        limits.consume("exports", user_id=1, tenant_id=1)
    with pytest.raises(ValueError, match="'exports' is no kind of limit"):
        limits.one_at_a_time("exports", tenant_id=1)


def test_each_kind_is_limited_as_shipped() -> None:
    assert set(limits.KINDS) == set(shipped.LIMITS)


@pytest.mark.parametrize(
    ("kind", "method", "path", "data"),
    [
        ("search", "get", "customers/", {"q": "a"}),
        ("figures", "get", "api/figures/", {}),
        ("token_made", "post", "settings/tokens/new/", {}),
        ("connect", "post", "settings/integrations/connect/", {}),
        ("connect", "post", "settings/integrations/connect/key/", {"key": ""}),
        ("sync", "post", f"settings/integrations/{UUID(int=1)}/sync/", {}),
        ("sync", "post", f"settings/integrations/{UUID(int=1)}/rejected/retry/", {}),
        ("sync", "post", f"settings/integrations/{UUID(int=1)}/removals/{UUID(int=2)}/again/", {}),
    ],
)
def test_w17c_everything_that_costs_much_is_limited(
    cast: Any, client: Any, settings: Any, kind: str, method: str, path: str, data: dict[str, str]
) -> None:
    settings.LIMITS = {kind: ("1/minute", "9/minute")}
    client.force_login(cast.alice)
    first, second = (getattr(client, method)(cast.url(path), data) for _ in range(2))
    assert first.status_code != 429
    assert second.status_code == 429
    assert second["Retry-After"]
    if kind == "figures":
        assert second.json()["detail"]


def test_w17d_one_export_of_a_company_runs_at_a_time(committed_cast: Any, truth: Any) -> None:
    from django.db import transaction

    tenant = committed_cast.tenant.pk
    with transaction.atomic():
        limits.one_at_a_time("export", tenant_id=tenant)
        with ThreadPoolExecutor(1) as pool:
            assert pool.submit(_busy, tenant).result() is True
            assert pool.submit(_busy, committed_cast.stranger_tenant.pk).result() is False
    assert _busy(tenant) is False


def _busy(tenant_id: int) -> bool:
    from django.db import connection, transaction

    try:
        with transaction.atomic():
            limits.one_at_a_time("export", tenant_id=tenant_id)
    except limits.LimitReached:
        return True
    finally:
        connection.close()
    return False


def test_w17e_the_limit_holds_while_redis_is_away(cast: Any, client: Any, settings: Any) -> None:
    settings.LIMITS = {"export": ("2/minute", "9/minute")}
    settings.LIMITS_STORAGE = NOWHERE
    client.force_login(cast.alice)
    assert exports(client, cast.url("customers/"), 3) == [200, 200, 429]


def test_w17f_a_flood_of_one_company_leaves_the_others_their_pages(
    server: Server, world: World
) -> None:
    flood, calm = signed_in(world.cast.alice), signed_in(world.cast.mallory)
    export = f"/t/{world.cast.tenant.slug}/customers/?format=csv"
    page = f"/t/{world.cast.stranger_tenant.slug}/customers/"
    with ThreadPoolExecutor(12) as pool:
        floods = [pool.submit(server.ask, export, session=flood) for _ in range(60)]
        calms = [server.ask(page, session=calm).status_code for _ in range(10)]
        answers = [one.result().status_code for one in floods]
    assert calms == [200] * 10
    assert set(answers) <= {200, 429}
    assert 1 <= answers.count(200) <= 10


def test_a_form_with_too_many_fields_is_refused_in_words(client: Any, db: None) -> None:
    answer = client.post("/accounts/login/", {f"f{n}": "x" for n in range(1_001)})
    assert answer.status_code == 400
    assert "This request cannot be read" in answer.content.decode()
