"""Everything that the neighbour, staff and strangers can read, searched for the other's markers."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.cache import cache
from django.db import transaction
from django.utils import timezone

from calqsync.jobs.models import Job, JobState
from calqsync.jobs.tasks import MAIL
from calqsync.jobs.tasks import mail as mail_task
from calqsync.tenancy import scope
from calqsync.tenancy.models import Role
from calqsync.tenancy.support import console
from tests.architecture import routes as table
from tests.architecture import world as worlds
from tests.architecture.answers import leaks, numbers_of, text_of
from tests.architecture.test_role_matrix import undone

_LINK = re.compile(r'(?:href|hx-get|src|action)="([^"#]+)"')
_AWAY = ("/accounts/logout", "/static/", "/admin/logout")
_MOST = 800


@pytest.fixture(autouse=True)
def _nothing_outside(settings: Any) -> None:
    settings.PROCOUNTOR_BASE_URL = "http://127.0.0.1:9"


@pytest.fixture
def printed() -> Iterator[io.StringIO]:
    """What the product's own log handler writes meanwhile."""
    [handler] = [one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler]
    written = io.StringIO()
    before = handler.setStream(written)
    yield written
    handler.setStream(before)


def starts(company: worlds.Company, role: str) -> list[str]:
    """The pages below a company's address that this role may open, and the person's own."""
    allowed = [
        page.path(worlds.seen_by(company, role))
        for page in table.pages()
        if "GET" in table.PAGES[page.name][1] and Role(role).allows(Role(table.PAGES[page.name][0]))
    ]
    return ["/", "/?choose", "/account/", "/accounts/email/", "/accounts/2fa/", *allowed]


def crawled(client: Any, begin: list[str], *, links: bool = True) -> dict[str, str]:
    """The text of every page from `begin` on: with its links, or with its files alone."""
    waiting, seen, found = list(begin), {_shape(path) for path in begin}, {}
    while waiting:
        path = waiting.pop()
        answer = client.get(path)
        assert answer.status_code < 500, path
        found[path] = text_of(answer)
        if "text/html" not in answer.get("Content-Type", ""):
            continue
        for link in _LINK.findall(found[path]):
            to = urljoin(path, link.replace("&amp;", "&"))
            here = to.startswith("/") and not to.startswith((*_AWAY, "//"))
            shape = _shape(to)
            if here and shape not in seen and (links or "format=" in to):
                seen.add(shape)
                waiting.append(to)
        assert len(found) < _MOST, "the crawl does not end"
    return found


def _shape(address: str) -> tuple[str, tuple[str, ...]]:
    """Addresses that differ by the order or period of one list alone are walked once."""
    parts = urlsplit(address)
    asked = parse_qsl(parts.query)
    return parts.path, tuple(sorted(v if k == "format" else k for k, v in asked))


def told(pages: dict[str, str], company: worlds.Company, **more: bool) -> dict[str, list[str]]:
    """The pages that tell something of the company, with what they tell."""
    return {
        path: found
        for path, text in pages.items()
        if (found := leaks(text, company, sent=[path], **more))
    }


@pytest.mark.parametrize("role", worlds.ROLES)
def test_i1b_no_page_or_file_of_the_neighbour_holds_a_marker(world, role):
    own = world.neighbour
    client = worlds.signed_in(own.people[role])
    pages = crawled(client, starts(own, role), links=role == "owner")
    assert told(pages, world.marked) == {}
    assert len(pages) > (60 if role == "owner" else 5 if role == "investor" else 20)


def test_the_markers_are_found_by_those_whose_they_are(world):
    own = world.marked
    client = worlds.signed_in(own.people["owner"])
    pages = crawled(client, starts(own, "owner"), links=False)
    marked = {path for path, text in pages.items() if worlds.BOOKS in text}
    amounts = {path for path, found in told(pages, own).items() if numbers_of(own) & set(found)}
    assert len(marked) > 15
    assert len(amounts) > 10
    for ending in ("csv", "xlsx", "parquet"):
        assert any(f"format={ending}" in path for path in marked & amounts), ending
    assert any("/api/" in path for path in amounts)


def test_i1c_nobody_signed_out_reads_a_marker(world):
    pages = crawled(worlds.signed_in(None), ["/", "/terms/", "/accounts/login/", "/healthz"])
    pages |= crawled(worlds.signed_in(None), [page.path(world.marked) for page in table.pages()])
    assert told(pages, world.marked) == {}
    assert len(pages) > 60


def test_i12b_staff_without_a_grant_read_the_directory_and_no_books(world):
    client = worlds.signed_in(world.staff)
    console = [
        route.path(world.marked)
        for route in table.routes()
        if route.pattern.startswith(table.CONSOLE) and "logout" not in route.pattern
    ]
    searches = [
        f"{path}?q={word}"
        for path in console
        if path.count("/") == 4
        for word in (worlds.WORD, worlds.DIRECTORY)
    ]
    pages = crawled(client, [*console, *searches], links=False)
    assert told(pages, world.marked, directory=True) == {}
    shown = [path for path, text in pages.items() if worlds.DIRECTORY in text]
    assert len(shown) > 5, "the console shows no directory, so nothing was walked"


def test_i12c_no_act_of_staff_without_a_grant_shows_books(world):
    client, company = worlds.signed_in(world.staff), world.marked
    targets = {company.id_of("invitation"), company.id_of("grant"), company.things["job"].pk}
    targets |= {company.things["connection"].pk, company.id_of("connection"), company.tenant.pk}
    paths = [
        f"/admin/tenancy/tenant/{company.tenant.pk}/act/{name}/{target}/"
        for name in console.actions
        for target in targets
    ]
    assert len(console.actions) > 4, "the console offers hardly any act, so nothing was tried"
    form = {"reason": "Because", "ticket": "T-2", "days": "3", "person": company.id_of("member")}
    wrong, opened = {}, 0
    for path in paths:
        for method in (client.get, client.post):
            with undone():
                answer = method(path, form)
                found = leaks(text_of(answer), company, sent=[path], directory=True)
            opened += answer.status_code == 200
            if answer.status_code >= 500 or found:
                wrong[path] = answer.status_code, found
    assert wrong == {}
    assert opened > 3


def test_i1d_error_pages_hold_no_marker(world, monkeypatch):
    own, other = world.neighbour, world.marked
    owner, viewer = (worlds.signed_in(own.people[role]) for role in ("owner", "viewer"))
    asked = {
        404: owner.get(f"/t/{other.slug}/"),
        403: viewer.get(f"/t/{own.slug}/settings/company/"),
        405: owner.generic("DELETE", f"/t/{own.slug}/customers/"),
    }

    def breaks(**_given: Any) -> Any:
        raise RuntimeError(other.words.text("in a traceback"), other.words.month)

    monkeypatch.setattr("reporting.views.customers.customers_list", breaks)
    asked[500] = owner.get(f"/t/{own.slug}/customers/")
    for status, answer in asked.items():
        assert answer.status_code == status
        assert leaks(text_of(answer), other, sent=[other.slug]) == [], status


def test_i1e_no_log_line_of_the_neighbour_holds_a_marker(world, printed):
    own = world.neighbour
    client = worlds.signed_in(own.people["owner"])
    for page in table.pages():
        client.get(page.path(own))
        client.get(page.path(world.marked, slug=own.slug))
    lines = printed.getvalue()
    assert lines.count("Not Found") > 10, "nothing was logged, so nothing was searched"
    sent = [page.path(world.marked, slug=own.slug) for page in table.pages()]
    assert leaks(lines, world.marked, sent=sent) == []


def test_i1f_no_mail_to_the_neighbour_holds_a_marker(world, mailoutbox):
    for company in (world.marked, world.neighbour):
        with scope.tenant(company.tenant.pk), transaction.atomic():
            due = Job.objects.filter(kind=MAIL, state=JobState.QUEUED)
            due.update(run_after=timezone.now())
            ids = list(due.values_list("pk", flat=True))
        for job_id in ids:
            mail_task(company.tenant.pk, job_id)
    to = {letter: "".join(letter.to) for letter in mail.outbox}
    theirs = [one for one, address in to.items() if world.marked.words.host in address]
    assert any(worlds.DIRECTORY in one.body for one in theirs), "no mail was marked"
    others = [one for one in mail.outbox if one not in theirs]
    assert others, "the neighbour got no mail, so nothing was searched"
    for letter in others:
        assert leaks(str(letter.message()), world.marked) == []


def test_i10b_no_cache_entry_and_no_session_of_others_holds_a_marker(world):
    people = [(world.marked, "owner"), (world.neighbour, "owner"), (world.neighbour, "viewer")]
    for company, role in people:
        client = worlds.signed_in(company.people[role])
        for path in starts(company, role):
            client.get(path)
    kept = {**cache._cache}  # the test's cache is this process's memory
    assert leaks(repr(kept), world.marked) == []
    theirs = {str(person.pk) for person in world.marked.people.values()}
    sessions = [one.get_decoded() for one in Session.objects.all()]
    others = [one for one in sessions if one.get("_auth_user_id") not in theirs]
    assert others, "there was no session to search"
    assert [found for one in others if (found := leaks(repr(one), world.marked))] == []
