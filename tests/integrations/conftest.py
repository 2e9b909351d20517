"""A Procountor to connect to: the sandbox over real HTTP, and walks through its login."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from django.conf import settings as configured
from django.contrib.messages import get_messages
from django.utils import timezone

from calqsync.tenancy import scope
from integrations.models import Connection, Credential
from integrations.procountor.limits import NoLimit
from integrations.sandbox import Company, Handle, build_company, start_server
from tests.conftest import SignedInClient

NOW = timezone.now()
ANCHOR = date(2026, 11, 1)
CALLBACK = "/integrations/procountor/callback/"
LOGIN = {"username": "maija.malli", "password": "malli-2026", "action": "login"}
LIMITED = {"username": "risto.rajattu", "password": "malli-2026", "action": "login"}


@pytest.fixture(scope="session")
def companies() -> list[Company]:
    return [build_company("kuusi", anchor=ANCHOR), build_company("aalto-us", anchor=ANCHOR)]


@pytest.fixture
def kuusi(companies: list[Company]) -> Company:
    return companies[0]


@pytest.fixture
def aalto(companies: list[Company]) -> Company:
    return companies[1]


@pytest.fixture(scope="session")
def procountor_server(companies: list[Company]) -> Iterator[Handle]:
    handle = start_server(
        companies,
        client_id=configured.PROCOUNTOR_CLIENT_ID,
        client_secret=configured.PROCOUNTOR_CLIENT_SECRET,
    )
    with handle:
        yield handle


@pytest.fixture
def procountor(procountor_server: Handle, settings: Any, monkeypatch: Any) -> Iterator[Handle]:
    """The running sandbox that our settings point at, without faults and without a rate limit."""
    settings.PROCOUNTOR_BASE_URL = procountor_server.base_url
    settings.PROCOUNTOR_API_PATH = ""
    for user in ("integrations.services.identity", "integrations.sync.access"):
        monkeypatch.setattr(f"{user}.limiter", NoLimit)
    procountor_server.clear_faults()
    yield procountor_server
    procountor_server.clear_faults()


@dataclass
class Walker:
    """One person's browser: our pages, and Procountor's login in between."""

    slug: str
    client: SignedInClient

    def url(self, path: str = "") -> str:
        return f"/t/{self.slug}/settings/integrations/{path}"

    def start(self, path: str = "connect/", **form: str) -> str:
        """Press Connect now; the address of Procountor's login comes back."""
        answer = self.client.post(self.url(path), form)
        assert answer.status_code == 302, answer.content
        return str(answer["Location"])

    def log_in(self, url: str, company: Company, *, person: dict[str, str] = LOGIN) -> str:
        """Log in at Procountor and choose a company; our callback's address comes back."""
        session = requests.Session()
        choice = session.post(url, data=person).text
        ticket = choice.split('name="ticket" value="')[1].split('"')[0]
        form = {"ticket": ticket, "company": str(company.id), "action": "choose"}
        back = session.post(url, data=form, allow_redirects=False).headers["Location"]
        parts = urlsplit(back)
        assert parts.path == CALLBACK
        return f"{parts.path}?{parts.query}"

    def walk(self, company: Company, path: str = "connect/", **form: str) -> Any:
        """From Connect now to what the callback answers."""
        return self.client.get(self.log_in(self.start(path, **form), company))

    def connect(self, company: Company, name: str) -> Any:
        """All the way: a connection of that name."""
        confirm = self.walk(company)["Location"]
        answer = self.client.post(confirm, {"name": name})
        assert answer.status_code == 302, answer.content
        return answer


def state_of(url: str) -> str:
    return parse_qs(urlsplit(url).query)["state"][0]


def said(response: Any) -> str:
    """The messages that the next page shows."""
    return " ".join(str(message) for message in get_messages(response.wsgi_request))


@pytest.fixture
def ann(cast: Any, procountor: Handle) -> Walker:
    """An admin at our pages."""
    return walker(cast.ann, cast.tenant)


def walker(user: Any, tenant: Any) -> Walker:
    client = SignedInClient()
    client.force_login(user)
    return Walker(tenant.slug, client)


@pytest.fixture
def eu(cast: Any) -> Connection:
    """A connection whose last import is two hours old, with one gap in its rights."""
    with scope.tenant(cast.tenant.pk):
        one = Connection.objects.create(
            name="EU account",
            company_id="1",
            company_name="Kuusi Data Oy",
            business_id="2458113-1",
            data_as_of=NOW - timedelta(hours=2),
            rights={"gaps": [{"code": "x", "severity": "degrades", "words": "Bank: no access"}]},
        )
        Credential.objects.create(connection=one, kind="api_key", secret=b"sealed")
    return one
