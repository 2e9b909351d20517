"""What stands in the way of an import, on the pages: failures, rejected and vanished documents."""

import re
from datetime import timedelta

import pytest
from django.urls import reverse

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from integrations.models import Connection, Rejection, SyncRun
from integrations.views.reasons import reason_of
from tests.integrations.conftest import walker
from tests.integrations.imports import NOW, connection, get, hold, queries_of, reject, run_of


@pytest.fixture
def eu(cast):
    with scope.tenant(cast.tenant.pk):
        return connection("EU account")


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
        assert "Retry asks Procountor for it again" in page
        assert "Reconnect" not in page
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
