"""The small company as its bookkeeper and two tenants see it, and the engine in this process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calqsync.jobs import services as jobs
from integrations.procountor.limits import NoLimit
from integrations.sandbox import start_server
from integrations.sync import access
from tests.integrations.sync.conftest import CLIENT
from tests.model.bookkeeping import Bookkeeper, pihla


@pytest.fixture
def keeper() -> Iterator[Bookkeeper]:
    """The bookkeeper of a fresh company, served over HTTP."""
    company = pihla()
    with start_server([company], control=True, **CLIENT) as handle:
        yield Bookkeeper(handle, company)


@pytest.fixture
def reachable(keeper: Bookkeeper, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Bookkeeper:
    """The same, with this process's engine pointed at it."""
    settings.PROCOUNTOR_BASE_URL = keeper.sandbox.base_url
    settings.PROCOUNTOR_CLIENT_ID = CLIENT["client_id"]
    settings.PROCOUNTOR_CLIENT_SECRET = CLIENT["client_secret"]
    monkeypatch.setattr(access, "limiter", NoLimit)
    monkeypatch.setattr(jobs, "nudge", lambda *args: True)
    return keeper
