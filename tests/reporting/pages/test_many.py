"""What a change does to many customers is shown a few times a minute; it can be saved anyway."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.test import Client

from calqsync.tenancy.web import limits
from reporting.models import ProductMark
from tests.conftest import Cast
from tests.reporting.pages.conftest import text


@pytest.fixture(autouse=True)
def _one_a_minute(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.LIMITS, settings.LIMITS_STORAGE = {"preview": ("1/minute", "9/minute")}, "memory://"
    limits._shared.cache_clear()
    monkeypatch.setattr("reporting.services.deciding.previewing.MANY", 0)
    yield
    limits._shared.cache_clear()


def marked(client: Client, cast: Cast, shop: Any, **more: str) -> Any:
    product = str(shop["plan"].public_id)
    data = {"save": product, f"mark-{product}": "one_off", **more}
    return client.post(cast.url("products/mark/"), data)


def test_who_had_many_looked_through_is_told_when_to_look_again(
    cast: Cast, bob: Client, shop: Any
) -> None:
    assert "This is what it does to MRR" in text(marked(bob, cast, shop))
    refused = marked(bob, cast, shop)
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert "or save it without looking" in text(refused)
    assert not ProductMark.objects.exists()


def test_a_change_can_be_saved_without_looking(cast: Cast, bob: Client, shop: Any) -> None:
    marked(bob, cast, shop)
    kept = dict(marked(bob, cast, shop).context["fields"])
    bob.post(cast.url("products/mark/"), kept | {"seen": "yes"})
    assert ProductMark.objects.get().mark == "one_off"


def test_a_change_of_few_customers_is_shown_as_often_as_it_is_asked(
    cast: Cast, bob: Client, shop: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("reporting.services.deciding.previewing.MANY", 20)
    assert [marked(bob, cast, shop).status_code for _ in range(3)] == [200] * 3


def test_the_next_of_a_company_waits_while_one_is_looked_through(
    cast: Cast, bob: Client, shop: Any
) -> None:
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(_hold, cast.tenant.pk).result()
        try:
            assert marked(bob, cast, shop).status_code == 429
        finally:
            pool.submit(_let_go, held).result()
    assert marked(bob, cast, shop).status_code == 200, "what waited was not counted"


def _hold(tenant_id: int) -> Any:
    """The company's turn, taken on a connection of its own."""
    from django.db import connection, transaction

    held = transaction.atomic()
    held.__enter__()
    limits.one_at_a_time("preview", tenant_id=tenant_id)
    return held, connection


def _let_go(held: Any) -> None:
    block, connection = held
    block.__exit__(None, None, None)
    connection.close()
