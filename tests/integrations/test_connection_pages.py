"""What the pages of Settings > Integrations say of a connection, its imports and the plan."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing.services import trial_extend
from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.models import Tenant
from integrations import selectors
from integrations.models import Connection, Rejection, SyncRun
from tests.integrations.conftest import NOW, walker
from tests.integrations.pages import address, page_of, run_of


def test_the_empty_page_says_what_is_imported_and_which_rights_are_needed(cast):
    page = walker(cast.ann, cast.tenant).client.get(cast.url("settings/integrations/"))
    text = page.content.decode()
    for words in (
        "Connect now",
        "Sales invoices and credit notes",
        "customer register",
        "Allow the usage of invoiceable API clients",
        "Management/Auditor",
    ):
        assert words in text


def test_the_list_tells_status_company_and_last_import(cast, eu):
    page = page_of(cast, eu, "integrations")
    for words in ("EU account", "Kuusi Data Oy", "2458113-1", "Active", "2 hours ago"):
        assert words in page


def test_names_are_shown_as_text(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(name="<b>EU</b>", company_name="<script>alert(1)</script>")
    for name in ("integrations", "connection", "connection_disconnect"):
        page = page_of(cast, eu, name)
        assert "<b>EU" not in page
        assert "<script>alert" not in page


def test_an_open_run_shows_progress_that_asks_again(cast, eu):
    run_of(cast.tenant, eu, "queued")
    page = page_of(cast, eu)
    assert 'hx-trigger="every 2s"' in page
    assert "1,500 of about 2,000 documents" in page
    assert "Stop the import" in page
    assert "Sync now" not in page


def test_progress_alone_is_a_fragment_while_the_state_is_the_same(cast, eu):
    run_of(cast.tenant, eu, "queued")
    client = walker(cast.vera, cast.tenant).client
    url = address(cast.tenant, "connection_progress", eu, True)
    answer = client.get(f"{url}?state=queued")
    part = answer.content.decode()
    assert part.lstrip().startswith("<section")
    assert "hx-get" in part
    assert "hx-swap-oob" not in part
    assert "no-store" in answer["Cache-Control"]


def test_progress_turns_into_the_final_status_without_a_reload(cast, eu):
    run_of(cast.tenant, eu, "complete", finished_at=NOW)
    client = walker(cast.ann, cast.tenant).client
    url = address(cast.tenant, "connection_progress", eu, True)
    part = client.get(f"{url}?state=running").content.decode()
    assert "every 2s" not in part
    assert 'id="connection-facts"' in part
    assert part.count("hx-swap-oob") == 3
    assert "Active" in part
    assert "Sync now" in part


def test_an_abandoned_run_is_shown_as_interrupted(cast, eu):
    run_of(cast.tenant, eu, "running")
    with scope.tenant(cast.tenant.pk):
        Job.objects.create(
            kind="integrations.sync",
            key=str(eu.pk),
            queue="sync",
            state="leased",
            lease_until=NOW - timedelta(seconds=5),
        )
    page = page_of(cast, eu)
    assert "Interrupted" in page
    assert "Waiting" in page


def test_a_connection_in_trouble_says_what_happened_what_it_means_and_what_to_do(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(
            trouble="needs_you", trouble_kind="key_revoked", trouble_since=NOW
        )
    page = page_of(cast, eu)
    for words in (
        "EU account needs you",
        "no longer accepts our key",
        "Figures are complete up to",
        "Reconnect to keep your figures fresh",
        f"{eu.public_id}/reconnect/",
    ):
        assert words in page


def test_after_the_trial_the_page_stays_and_leads_to_the_plans(cast, eu):
    with scope.tenant(cast.tenant.pk):
        trial_extend(until=NOW - timedelta(days=1), by=None)
    page = page_of(cast, eu)
    assert "Imports are paused" in page
    assert cast.url("settings/subscription/") in page
    client = walker(cast.ann, cast.tenant).client
    answer = client.post(address(cast.tenant, "connection_sync", eu, True))
    assert answer["Location"] == cast.url("settings/subscription/")


def test_gaps_in_rights_stay_visible(cast, eu):
    assert "Bank: no access" in page_of(cast, eu)


def test_documents_set_aside_are_listed_with_their_reason(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Rejection.objects.create(
            connection=eu,
            stream="invoices",
            external_id="4711",
            reason="invoiceRows: missing",
            raw=b"",
            first_seen_at=NOW,
            last_seen_at=NOW,
        )
    assert "1 document was rejected" in page_of(cast, eu)
    page = page_of(cast, eu, "connection_rejected")
    assert "4711" in page
    assert "invoiceRows: missing" in page
    assert "1 rejected" in page_of(cast, eu, "integrations")


def test_history_shows_each_run_with_its_counts(cast, eu):
    run_of(cast.tenant, eu, "complete", finished_at=NOW)
    page = page_of(cast, eu)
    assert "1 imports" in page or "1 import" in page
    assert "1,234" in page
    assert "First import" in page


def test_a_name_that_is_taken_is_told_beside_the_form(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.create(name="US account", company_id="2", company_name="Aalto Inc")
    client = walker(cast.ann, cast.tenant).client
    url = address(cast.tenant, "connection_rename", eu, True)
    answer = client.post(url, {"name": "us ACCOUNT"})
    page = answer.content.decode()
    assert answer.status_code == 422
    assert "is taken" in page
    assert 'value="us ACCOUNT"' in page
    assert client.post(url, {"name": "Europe"}).status_code == 302


def test_disconnecting_tells_what_goes_and_what_stays(cast, eu):
    page = page_of(cast, eu, "connection_disconnect")
    for words in ("Goes at once", "Goes only if you delete", "Stays", "API client keys"):
        assert words in page


def test_a_disconnected_connection_is_not_synced(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(disconnected_at=NOW)
    client = walker(cast.ann, cast.tenant).client
    client.post(address(cast.tenant, "connection_sync", eu, True))
    with scope.tenant(cast.tenant.pk):
        assert not SyncRun.objects.exists()
    assert "Disconnected" in page_of(cast, eu)


@pytest.mark.parametrize(
    ("ends_in", "words", "button"),
    [
        (timedelta(days=3), "3 days left of your trial", True),
        (timedelta(hours=-1), "Everything imported stays visible", True),
    ],
)
def test_the_plan_page_tells_the_standing_and_lets_an_owner_choose(cast, ends_in, words, button):
    with scope.tenant(cast.tenant.pk):
        trial_extend(until=timezone.now() + ends_in, by=None)
    page = walker(cast.alice, cast.tenant).client.get(cast.url("settings/subscription/"))
    assert words in page.content.decode()
    assert ("Choose Starter" in page.content.decode()) is button
    viewer = walker(cast.vera, cast.tenant).client.get(cast.url("settings/subscription/"))
    assert "Choose Starter" not in viewer.content.decode()


def test_a_paused_connection_says_so_and_offers_to_go_on(cast, eu):
    client = walker(cast.ann, cast.tenant).client
    client.post(address(cast.tenant, "connection_pause", eu, True))
    page = page_of(cast, eu)
    for words in ("Imports of EU account are paused", "Resume imports"):
        assert words in page
    assert "Sync now" not in page
    assert "Resume imports" not in page_of(cast, eu, user=cast.bob)
    client.post(address(cast.tenant, "connection_resume", eu, True))
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.get().paused_at is None


def test_a_pause_by_support_tells_its_reason_and_has_no_button(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(
            paused_at=NOW, paused_by_support=True, pause_reason="Too many <requests>"
        )
    page = page_of(cast, eu)
    assert "Our support paused the imports" in page
    assert "Too many &lt;requests&gt;" in page
    assert "Resume imports" not in page
    client = walker(cast.ann, cast.tenant).client
    client.post(address(cast.tenant, "connection_resume", eu, True))
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.get().paused_at is not None


def test_while_its_data_go_a_connection_shows_as_being_deleted(cast, eu):
    client = walker(cast.ann, cast.tenant).client
    client.post(address(cast.tenant, "connection_disconnect", eu, True), {"books": "delete"})
    assert "Deleting…" in page_of(cast, eu, "integrations")
    page = page_of(cast, eu)
    assert "cannot be undone" in page
    for button in ("Reconnect", "Paste another key", "Delete its data", "Pause imports"):
        assert button not in page


def test_the_list_asks_again_while_data_go_and_says_when_they_are_gone(cast, eu):
    client = walker(cast.ann, cast.tenant).client
    client.post(address(cast.tenant, "connection_disconnect", eu, True), {"books": "delete"})
    listed = page_of(cast, eu, "integrations")
    assert 'hx-select="#connections"' in listed
    assert "the imported data were deleted" not in listed
    with scope.tenant(cast.tenant.pk):
        Connection.objects.all()._raw_delete("default")
    listed = page_of(cast, eu, "integrations")
    assert "hx-select" not in listed
    assert "EU account: the imported data were deleted" in listed
    with scope.tenant(cast.tenant.pk):
        late = selectors.deleted_lately(now=timezone.now() + timedelta(days=2))
    assert late == []


def test_the_address_of_a_deleted_connection_leads_its_members_to_the_list(cast, eu):
    ann = walker(cast.ann, cast.tenant).client
    ann.post(address(cast.tenant, "connection_disconnect", eu, True), {"books": "delete"})
    with scope.tenant(cast.tenant.pk):
        Connection.objects.all()._raw_delete("default")
    old = address(cast.tenant, "connection", eu, True)
    answer = ann.get(old, follow=True)
    assert answer.redirect_chain == [(cast.url("settings/integrations/"), 302)]
    assert "This connection and its data were deleted" in answer.content.decode()
    mallory = walker(cast.mallory, cast.stranger_tenant).client
    assert mallory.get(old).status_code == 404
    assert mallory.get(address(cast.stranger_tenant, "connection", eu, True)).status_code == 404


@pytest.mark.parametrize(
    ("kind", "ann_sees", "bob_sees"),
    [("key_revoked", "Reconnect", ""), ("right_missing", "Sync now", "Sync now")],
)
def test_the_list_offers_what_helps_a_connection_that_needs_someone(
    cast, eu, kind, ann_sees, bob_sees
):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(trouble="needs_you", trouble_kind=kind, trouble_since=NOW)
    for user, sees in ((cast.ann, ann_sees), (cast.bob, bob_sees)):
        page = page_of(cast, eu, "integrations", user=user)
        offered = {word for word in ("Reconnect", "Sync now") if f"{word}: EU account" in page}
        assert offered == ({sees} - {""})


def test_a_company_about_to_be_deleted_is_offered_no_connection(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Tenant.objects.filter(pk=cast.tenant.pk).update(deletes_at=NOW)
    listed = page_of(cast, eu, "integrations")
    assert "Connect now" not in listed
    assert "nothing can be connected" in listed
    assert "Paused" in listed
    page = page_of(cast, eu)
    for button in ("Reconnect", "Paste another key", "Pause imports", "Sync now"):
        assert button not in page


@pytest.mark.parametrize(
    ("kind", "way"), [("right_missing", "resume/"), ("key_revoked", "reconnect/")]
)
def test_a_pause_hides_no_trouble_and_leaves_a_way_on(cast, eu, kind, way):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(
            paused_at=NOW, trouble="needs_you", trouble_kind=kind, trouble_since=NOW
        )
    page = page_of(cast, eu)
    assert "EU account needs you" in page
    assert "Imports have been paused since" in page
    assert f'action="/t/{cast.tenant.slug}/settings/integrations/{eu.public_id}/{way}"' in page
    assert f"{eu.public_id}/sync/" not in page, "it would be refused"


def test_an_import_that_did_not_come_is_called_late_and_not_active(cast, eu):
    with scope.tenant(cast.tenant.pk):
        Connection.objects.update(data_as_of=NOW - timedelta(hours=13))
    page = page_of(cast, eu)
    for words in ("The import of EU account is late", "13 hours ago", "Waiting", "Sync now"):
        assert words in page
    assert ">Active<" not in page
    assert "The import that was due has not come" in page_of(cast, eu, "integrations")
