"""The pages about imports: history, one run with its timeline, stopping; S28."""

import re
import threading
from collections import Counter
from datetime import timedelta
from xml.etree import ElementTree

import pytest
from django.db import connections as databases
from django.db import transaction
from django.test import Client
from django.urls import reverse

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from integrations import selectors
from integrations.models import (
    Connection,
    Credential,
    SyncRun,
    SyncStream,
)
from tests.integrations.conftest import walker
from tests.integrations.imports import NOW, connection, get, queries_of, reject, run_of


@pytest.fixture
def eu(cast):
    with scope.tenant(cast.tenant.pk):
        return connection("EU account")


class TestHistory:
    def test_it_counts_all_that_an_import_did(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run_of(eu, waited_ms=61_000)
        page = get(cast, "connection", eu.public_id).split('id="results"')[1]
        told = re.findall(r'data-label="([^"]+)">(?:<[^>]+>)*([^<]*)', page)
        cells = dict(told) | {"Result": ""}
        assert cells == {
            "Result": "",
            "Took": "1 min 40 s",
            "Fetched": "5,010",
            "New": "25",
            "Changed": "20",
            "Unchanged": "15",
            "Rejected": "2",
            "Removed": "5",
            "Requests": "31",
            "Held back": "1 min 1 s",
        }
        assert "Update · Scheduled" in page

    def test_it_is_paged_and_its_pages_cost_the_same(self, cast, eu, django_assert_num_queries):
        client = walker(cast.ann, cast.tenant).client
        with scope.tenant(cast.tenant.pk):
            for number in range(3):
                run_of(eu, ago=3600 * (number + 1))
        url = reverse("connection", args=[cast.tenant.slug, eu.public_id])
        client.get(url)
        few = queries_of(client, url)
        with scope.tenant(cast.tenant.pk):
            for number in range(30):
                run_of(eu, ago=90_000 * (number + 1))
                reject(eu, number, f"reason {number}")
        assert queries_of(client, url) == few
        page = client.get(url + "?page=4").content.decode()
        assert "Page 4 of 4" in page

    def test_it_can_be_taken_along_and_that_is_on_the_record(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run_of(eu, error_kind="=cmd()")
        client = walker(cast.vera, cast.tenant).client
        answer = client.get(
            reverse("connection", args=[cast.tenant.slug, eu.public_id]), {"format": "csv"}
        )
        lines = answer.content.decode("utf-8-sig").splitlines()
        assert answer["Content-Disposition"].startswith("attachment")
        assert len(lines) == 2
        assert ",100,5010,25,20,15,2,5,31,0," in lines[1]
        assert "'=cmd()" in lines[1], "a spreadsheet must not run it"
        with scope.tenant(cast.tenant.pk):
            assert AuditEvent.objects.filter(act="list.exported").count() == 1


class TestOneRun:
    def picture(self, cast, eu, run, **at):
        page = get(cast, "connection_run", eu.public_id, run.public_id)
        return ElementTree.fromstring(re.search(r"<svg role=\"img\".*?</svg>", page)[0])

    def test_its_picture_has_a_bar_for_each_stream_where_it_was(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(
                eu, applying_at=NOW - timedelta(seconds=3510), busy_ms=80_000, waited_ms=20_000
            )
        svg = self.picture(cast, eu, run)
        bars = {
            kind: [
                (bar.get("x"), bar.get("width"))
                for bar in svg.iter("rect")
                if bar.get("class") == kind
            ]
            for kind in ("read", "apply", "work")
        }
        assert bars == {
            "read": [(f"{n * 18}.00%", "18.00%") for n in range(5)],
            "apply": [("90.00%", "10.00%")],
            "work": [("0.00%", "80.00%")],
        }
        [mark] = svg.iter("line")
        assert mark.get("x1") == mark.get("x2") == "90.00%"

    def test_its_picture_says_in_words_what_it_shows(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu)
        svg = self.picture(cast, eu, run)
        named = {one.get("id"): one.text for one in (*svg.iter("title"), *svg.iter("desc"))}
        assert svg.get("aria-labelledby").split() == list(named)
        assert named["timeline-summary"] == (
            "1 min 40 s from start to end. Customers took longest, 18 s."
        )
        assert not [one for one in svg.iter() if one.get("style")]

    def test_a_run_within_one_minute_says_how_long_it_took_at_its_end(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu)
            began = run.started_at.replace(second=0)
            SyncRun.objects.update(started_at=began, finished_at=began + timedelta(seconds=1))
        ticks = [one.text for one in self.picture(cast, eu, run).iter("text")][-2:]
        assert re.fullmatch(r"\d\d:\d\d", ticks[0])
        assert ticks[1] == "1 s later"

    def test_a_stream_that_an_earlier_import_read_has_no_bar(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, mode="first")
            before = run.started_at - timedelta(hours=1)
            SyncStream.objects.filter(stream="partners").update(
                started_at=before, finished_at=before
            )
            SyncStream.objects.filter(stream="products").update(started_at=before)
            SyncStream.objects.filter(stream="bank").update(started_at=None, finished_at=None)
        svg = self.picture(cast, eu, run)
        words = [text.text for text in svg.iter("text")]
        assert "Read by an earlier import" in words
        assert "Not read" in words
        bars = [bar for bar in svg.iter("rect") if bar.get("class") == "read"]
        assert [bar.get("x") for bar in bars] == ["0.00%", "36.00%", "54.00%"]

    def test_an_import_of_no_time_at_all_has_a_picture_too(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, took=0)
        bars = [b for b in self.picture(cast, eu, run).iter("rect") if b.get("class") == "read"]
        assert {bar.get("width") for bar in bars} <= {"0.60%", "100.00%"}

    def test_it_tells_counts_and_the_moment_of_applying(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, "complete_with_rejects", applying_at=NOW - timedelta(seconds=3510))
        page = get(cast, "connection_run", eu.public_id, run.public_id)
        for words in ("2 rejected", "Applied what it had read", "5,010 documents fetched", "31"):
            assert words in page
        assert "every 3s" not in page

    def test_an_open_one_follows_itself_and_can_be_stopped(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, "queued", took=None)
        page = get(cast, "connection_run", eu.public_id, run.public_id)
        assert 'hx-trigger="every 3s"' in page
        assert "Stop the import" in page
        viewer = get(cast, "connection_run", eu.public_id, run.public_id, user=cast.vera)
        assert "Stop the import" not in viewer

    def test_another_connections_run_is_not_there(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            other = run_of(connection("US account"))
        client = walker(cast.ann, cast.tenant).client
        url = reverse("connection_run", args=[cast.tenant.slug, eu.public_id, other.public_id])
        assert client.get(url).status_code == 404

    def test_its_page_costs_few_queries(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu)
        client = walker(cast.ann, cast.tenant).client
        url = reverse("connection_run", args=[cast.tenant.slug, eu.public_id, run.public_id])
        client.get(url)
        assert queries_of(client, url) <= 12


class TestStopping:
    def test_it_says_first_what_stays(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, "queued", took=None)
        page = get(cast, "connection_cancel", eu.public_id)
        assert "nothing of it reaches your figures" in page
        assert "Your figures as they are, complete up to" in page
        with scope.tenant(cast.tenant.pk):
            assert SyncRun.objects.get(pk=run.pk).state == "queued"
        client = walker(cast.bob, cast.tenant).client
        client.post(reverse("connection_cancel", args=[cast.tenant.slug, eu.public_id]))
        with scope.tenant(cast.tenant.pk):
            assert SyncRun.objects.get(pk=run.pk).state == "cancelled"

    def test_a_first_import_keeps_what_it_brought(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run_of(eu, "queued", took=None, mode="first")
        page = get(cast, "connection_cancel", eu.public_id)
        assert "Every document that was imported so far" in page
        assert "goes on from there" in page

    def test_what_has_ended_cannot_be_stopped(self, cast, eu):
        client = walker(cast.ann, cast.tenant).client
        url = reverse("connection_cancel", args=[cast.tenant.slug, eu.public_id])
        assert client.get(url)["Location"] == reverse(
            "connection", args=[cast.tenant.slug, eu.public_id]
        )
        assert "had ended already" in client.post(url, follow=True).content.decode()


def test_s28_sync_now_twenty_times_and_a_reconnect_are_one_run_and_one_schedule(
    committed_cast, procountor, companies
):
    cast = committed_cast
    person = walker(cast.ann, cast.tenant)
    person.connect(companies[0], "EU account")
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        made = Connection.objects.get()
        SyncRun.objects.all().delete()
        Job.objects.all().delete()
    again = person.walk(companies[0], f"{made.public_id}/reconnect/")["Location"]
    cookies = {name: morsel.value for name, morsel in person.client.cookies.items()}
    calls = [(person.url(f"{made.public_id}/sync/"), {})] * 20 + [(again, {"name": "EU account"})]
    answers, gate = [], threading.Barrier(len(calls))

    def call(url, form):
        client = Client()
        client.cookies.load(cookies)
        gate.wait()
        answers.append(client.post(url, form).status_code)
        databases.close_all()

    threads = [threading.Thread(target=call, args=one) for one in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {302: 21}
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        assert SyncRun.objects.count() == 1
        assert Job.objects.filter(kind=selectors.status.SYNC_KIND).count() == 1
        assert Credential.objects.count() == 1
        started = AuditEvent.objects.filter(act="sync.requested").exclude(after={})
        assert started.count() <= 2, "the first connecting, and one of the twenty-one"
