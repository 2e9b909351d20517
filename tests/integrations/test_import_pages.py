"""The pages about imports: history, one run with its timeline, stopping, rejected documents."""

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
from django.utils import timezone

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent
from calqsync.tenancy.secrets import sealer
from integrations import selectors
from integrations.models import (
    Connection,
    Credential,
    Rejection,
    RemovalHold,
    SyncRun,
    SyncStream,
)
from integrations.sync.evidence import sealed_for
from integrations.views.reasons import reason_of
from tests.integrations.conftest import walker

NOW = timezone.now()
STREAMS = ["partners", "products", "invoices", "payments", "bank"]


@pytest.fixture
def eu(cast):
    with scope.tenant(cast.tenant.pk):
        return connection("EU account")


def connection(name, **facts):
    one = Connection.objects.create(
        **{
            "name": name,
            "company_id": name,
            "company_name": f"{name} Oy",
            "data_as_of": NOW - timedelta(hours=2),
            "first_import_at": NOW - timedelta(days=30),
        }
        | facts
    )
    Credential.objects.create(connection=one, kind="api_key", secret=b"sealed")
    return one


def run_of(one, state="complete", *, ago=3600, took=100, mode="incremental", **facts):
    """A run of five streams, each a fifth of its time."""
    start = NOW - timedelta(seconds=ago)
    run = SyncRun.objects.create(
        connection=one,
        mode=mode,
        trigger="schedule",
        state=state,
        started_at=start,
        finished_at=None if took is None else start + timedelta(seconds=took),
        window_to=start,
        requests=31,
        **facts,
    )
    for number, stream in enumerate(STREAMS):
        SyncStream.objects.create(
            run=run,
            stream=stream,
            started_at=start + timedelta(seconds=number * 18),
            finished_at=start + timedelta(seconds=(number + 1) * 18),
            complete=True,
            fetched=1000 + number,
            added=5,
            changed=4,
            unchanged=3,
            rejected=2 if stream == "invoices" else 0,
            removed=1,
        )
    return run


def reject(one, number, reason="no exchange rate from SEK to EUR", **facts):
    raw = sealed_for(sealer(), one.pk, "invoices", str(number), b'{"id": 1}')
    return Rejection.objects.create(
        connection=one,
        stream="invoices",
        external_id=str(number),
        reason=reason,
        raw=raw,
        **{"first_seen_at": NOW - timedelta(days=20), "last_seen_at": NOW} | facts,
    )


def get(cast, name, *ids, user=None, query=""):
    client = walker(user or cast.ann, cast.tenant).client
    answer = client.get(reverse(name, args=[cast.tenant.slug, *ids]) + query)
    assert answer.status_code == 200, answer.status_code
    return re.sub(r"\s+", " ", answer.content.decode())


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


def queries_of(client, url):
    from django.db import connection as database
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(database) as found:
        assert client.get(url).status_code == 200
    return len(found)


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
            for kind in ("read", "apply", "work", "limit")
        }
        assert bars == {
            "read": [(f"{n * 18}.00%", "18.00%") for n in range(5)],
            "apply": [("90.00%", "10.00%")],
            "work": [("0.00%", "60.00%")],
            "limit": [("60.00%", "20.00%")],
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


TROUBLES = [
    ("waiting", "rate_limited", "waits for Procountor", "Procountor is busy", "sync"),
    ("waiting", "timed_out", "waits for Procountor", "did not answer in time", "sync"),
    ("waiting", "client_suspended", "Procountor has suspended our access", "suspended our", ""),
    ("needs_you", "key_revoked", "needs you", "no longer accepts our key", "reconnect"),
    ("needs_you", "clients_not_allowed", "needs you", "invoiceable API clients", "reconnect"),
    ("needs_you", "right_missing", "needs you", "viewing rights", "sync"),
    ("our_fault", "KeyError", "stopped by a fault of ours", "We have been told", "sync"),
]


class TestTroubles:
    @pytest.mark.parametrize(("family", "kind", "title", "told", "button"), TROUBLES)
    def test_each_family_says_what_happened_and_what_to_do(
        self, cast, eu, family, kind, title, told, button
    ):
        with scope.tenant(cast.tenant.pk):
            Connection.objects.update(trouble=family, trouble_kind=kind, trouble_since=NOW)
            run = run_of(eu, family, took=None if family == "waiting" else 5, error_kind=kind)
        page = get(cast, "connection", eu.public_id)
        card = page.split('id="problem"')[1].split('id="progress"')[0]
        assert title in card
        assert told in card
        assert "Figures are complete up to" in card
        assert re.findall(r'action="[^"]+/(\w+)/"', card) == ([button] if button else [])
        # The run's page says it in the same words; nobody is offered what they may not do.
        shown = get(cast, "connection_run", eu.public_id, run.public_id)
        assert title in shown
        assert told in shown
        viewer = get(cast, "connection", eu.public_id, user=cast.vera)
        assert title in viewer
        assert '<form method="post"' not in viewer.split("<main")[1].split("</main")[0]

    def test_an_interrupted_run_is_no_dead_end(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            run = run_of(eu, "running", took=None)
            Job.objects.create(
                kind="integrations.sync",
                key=str(eu.pk),
                queue="sync",
                state="leased",
                lease_until=NOW - timedelta(seconds=5),
            )
        for page in (
            get(cast, "connection", eu.public_id),
            get(cast, "connection_run", eu.public_id, run.public_id),
        ):
            assert "was interrupted" in page
            assert "Interrupted, retrying" in page
            assert ">Sync now</button>" in page


class TestRejected:
    def test_they_are_grouped_by_reason_the_largest_first(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            reject(eu, 1, "a payment without a date", attempts=9)
            for number in range(2, 9):
                reject(eu, number)
            reject(eu, 99, ignored_at=NOW, ignored_reason="A test")
        page = get(cast, "connection_rejected", eu.public_id)
        assert page.index("No exchange rate from SEK to EUR") < page.index("without a date")
        assert "Invoices: 7 rejected" in page
        assert "Retry all 7" in page
        assert "See 2 more with this reason" in page
        assert "Tried up to 9 times" in page
        assert ">99<" not in page
        [key] = set(re.findall(r"reason=(\w{32})", page))
        alone = get(cast, "connection_rejected", eu.public_id, query=f"?reason={key}")
        assert all(f">{number}</a>" in alone for number in range(2, 9))
        assert "without a date" not in alone

    def test_growth_shows_on_the_connection(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            reject(eu, 1)
            reject(eu, 2, first_seen_at=NOW - timedelta(hours=1))
        page = get(cast, "connection", eu.public_id)
        assert "2 documents were rejected" in page
        assert "1 came in the last week" in page
        assert ">2 rejected</a>" in get(cast, "integrations")

    def test_what_is_done_to_all_touches_no_other_reason_or_connection(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            us = connection("US account")
            for one in (eu, us):
                reject(one, 1)
                reject(one, 2, "a payment without a date")
        page = get(cast, "connection_rejected", eu.public_id)
        part = page.split("No exchange rate", 1)[1]
        key = re.search(r'name="reason" value="(\w+)"', part)[1]
        client = walker(cast.bob, cast.tenant).client
        client.post(
            reverse("connection_ignore", args=[cast.tenant.slug, eu.public_id]),
            {"reason": key, "why": "Test"},
        )
        with scope.tenant(cast.tenant.pk):
            ignored = Rejection.objects.exclude(ignored_at=None)
            assert [(r.connection_id, r.external_id) for r in ignored] == [(eu.pk, "1")]
            assert ignored.get().ignored_by == cast.bob

    @pytest.mark.parametrize("form", [{}, {"document": "x"}, {"reason": "x"}, {"reason": "0" * 32}])
    def test_a_form_that_names_nothing_changes_nothing(self, cast, eu, form):
        with scope.tenant(cast.tenant.pk):
            reject(eu, 1)
        client = walker(cast.bob, cast.tenant).client
        for name in ("connection_retry", "connection_ignore", "connection_unignore"):
            url = reverse(name, args=[cast.tenant.slug, eu.public_id])
            assert client.post(url, {**form, "why": "Test"}).status_code == 302
        with scope.tenant(cast.tenant.pk):
            assert not Rejection.objects.exclude(ignored_at=None).exists()
            assert not SyncRun.objects.exists()

    def test_a_document_whose_seal_is_broken_says_so(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            document = reject(eu, 1)
            Rejection.objects.update(raw=b"broken")
        page = get(cast, "connection_document", eu.public_id, document.public_id)
        assert "Why it was rejected" in page
        assert "<pre></pre>" not in page

    def test_pages_cost_the_same_however_many_there_are(self, cast, eu):
        client = walker(cast.ann, cast.tenant).client
        with scope.tenant(cast.tenant.pk):
            reject(eu, 1)
        url = reverse("connection_rejected", args=[cast.tenant.slug, eu.public_id])
        client.get(url)
        few = queries_of(client, url)
        with scope.tenant(cast.tenant.pk):
            for number in range(2, 60):
                reject(eu, number, f"reason {number % 15}")
        assert queries_of(client, url) == few <= 14
        assert len(client.get(url).content) < 100_000

    @pytest.mark.parametrize(
        ("stored", "words"),
        [
            ("Object missing required field `paymentInfo`", "A field is missing: paymentInfo"),
            (
                "Expected `int`, got `str` - at `$.invoiceRows[...].vatPercent`",
                "A field has an unknown form: invoiceRows[...].vatPercent",
            ),
            ("'XXQ' is no currency", "Unknown currency: XXQ"),
            ("a VAT of 300 percent", "A VAT of 300 percent"),
            ("something new", "something new"),
        ],
    )
    def test_a_reason_is_told_in_words(self, stored, words):
        reason = reason_of(stored)
        assert reason.words == words
        assert reason.advice


class TestLists:
    def test_the_list_costs_the_same_and_tells_what_waits(self, cast, eu):
        client = walker(cast.ann, cast.tenant).client
        url = reverse("integrations", args=[cast.tenant.slug])
        with scope.tenant(cast.tenant.pk):
            reject(eu, 1)
            hold(eu)
        client.get(url)
        few = queries_of(client, url)
        with scope.tenant(cast.tenant.pk):
            for number in range(12):
                one = connection(f"Account {number}")
                run_of(one)
                reject(one, number)
                hold(one)
        assert queries_of(client, url) == few
        page = client.get(url).content.decode()
        assert page.count("Were 2,300 invoices deleted?") == 13
        assert page.count("1 rejected") == 13

    def test_only_admins_may_say_that_documents_were_deleted(self, cast, eu):
        with scope.tenant(cast.tenant.pk):
            held = hold(eu)
        told = {
            name: get(cast, "connection", eu.public_id, user=getattr(cast, name))
            for name in ("ann", "bob", "vera")
        }
        assert "remove them" in told["ann"]
        assert "Look again" in told["bob"]
        assert "remove them</a>" not in told["bob"]
        assert "Look again" not in told["vera"]
        url = reverse("connection_removals", args=[cast.tenant.slug, eu.public_id, held.public_id])
        assert walker(cast.bob, cast.tenant).client.post(url).status_code == 403


def hold(one, **facts):
    return RemovalHold.objects.create(
        connection=one, stream="invoices", found_at=NOW, missing=2300, stored=2500, **facts
    )


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
