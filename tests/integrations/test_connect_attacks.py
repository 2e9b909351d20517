"""The walk to Procountor's login belongs to one person, one browser session and one tenant."""

import threading
from collections import Counter
from datetime import timedelta
from urllib.parse import quote, urlsplit

import pytest
from django.conf import settings
from django.db import connections as databases
from django.test import Client
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import Membership, Role
from integrations.models import ConnectFlow, Connection
from tests.integrations.conftest import CALLBACK, state_of, walker


@pytest.fixture
def exchanges(procountor):
    """How many codes have been traded since the test began."""
    before = len(procountor.requests)

    def count():
        return sum("/oauth/" in line.path for line in procountor.requests[before:])

    return count


def nothing_was_kept(cast):
    with scope.tenant(cast.tenant.pk):
        return not ConnectFlow.objects.exclude(secret=None).exists()


def test_t21_a_replayed_callback_is_refused_and_its_code_not_traded(ann, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    cookies = ann.client.cookies.output(header="", sep=";")
    assert ann.client.get(back).status_code == 302
    before = exchanges()
    for name in ("connect",):
        ann.client.cookies.load(cookies)
        assert ann.client.cookies[name].value
    assert ann.client.get(back).status_code == 410
    assert exchanges() == before


def test_t21b_of_twenty_callbacks_at_once_one_wins(committed_cast, procountor, kuusi, exchanges):
    person = walker(committed_cast.ann, committed_cast.tenant)
    back = person.log_in(person.start(), kuusi)
    cookies = {name: morsel.value for name, morsel in person.client.cookies.items()}
    answers, gate = [], threading.Barrier(20)

    def call():
        client = Client()
        client.cookies.load(cookies)
        gate.wait()
        answers.append(client.get(back).status_code)
        databases.close_all()

    threads = [threading.Thread(target=call) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(answers) == {302: 1, 410: 19}
    assert exchanges() == 2  # one key, one token


def test_t21c_an_expired_walk_is_refused(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    with scope.tenant(cast.tenant.pk):
        # As eleven minutes later: a walk lives ten.
        flow = ConnectFlow.objects.get()
        assert flow.expires_at - flow.created_at < timedelta(minutes=10, seconds=5)
        ConnectFlow.objects.update(expires_at=flow.expires_at - timedelta(minutes=11))
    assert ann.client.get(back).status_code == 410
    assert exchanges() == 0


@pytest.mark.parametrize("query", ["", "?code=abc", "?code=abc&state=", "?code=abc&state=%00"])
def test_t21d_a_callback_without_its_state_is_refused(ann, exchanges, query):
    ann.start()
    assert ann.client.get(CALLBACK + query).status_code == 403
    assert exchanges() == 0


def test_t21e_an_altered_state_is_refused(ann, kuusi, exchanges):
    url = ann.start()
    back = ann.log_in(url, kuusi)
    state = state_of(url)
    assert ann.client.get(back.replace(state, state[:-1] + "~")).status_code == 403
    assert exchanges() == 0


def test_t20_another_browser_of_the_same_person_is_refused(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    other = walker(cast.ann, cast.tenant)
    assert other.client.get(back).status_code == 403
    other.start()  # a cookie of its own does not help
    assert other.client.get(back).status_code == 403
    assert exchanges() == 0
    assert nothing_was_kept(cast)


def test_t20b_the_cookie_alone_is_not_enough_in_another_sign_in(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    other = walker(cast.ann, cast.tenant)
    other.client.cookies["connect"] = ann.client.cookies["connect"].value
    assert other.client.get(back).status_code == 403
    assert exchanges() == 0


def test_t19_another_person_cannot_end_a_walk(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    victim = walker(cast.alice, cast.tenant)
    victim.client.cookies["connect"] = ann.client.cookies["connect"].value
    assert victim.client.get(back).status_code == 403
    assert exchanges() == 0


def test_t20c_a_stranger_cannot_end_a_walk_into_their_own_tenant(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    stranger = walker(cast.mallory, cast.stranger_tenant)
    stranger.start()
    assert stranger.client.get(back).status_code == 403
    assert exchanges() == 0


def test_t21f_signed_out_the_callback_is_refused_without_passing_its_code_on(ann, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    answer = Client().get(back)
    assert answer.status_code == 403
    assert "Location" not in answer
    assert answer["Referrer-Policy"] == "no-referrer"
    assert exchanges() == 0


def test_a_callback_of_someone_else_does_not_spend_the_walk(ann, cast, kuusi):
    back = ann.log_in(ann.start(), kuusi)
    assert walker(cast.mallory, cast.stranger_tenant).client.get(back).status_code == 403
    assert ann.client.get(back).status_code == 302


def test_t21g_a_role_lost_on_the_way_refuses(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).update(role=Role.VIEWER)
    answer = ann.client.get(back)
    assert answer.status_code == 403
    assert "Only owners and admins" in answer.content.decode()
    assert exchanges() == 0


def test_t21h_a_person_who_left_the_team_is_refused(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).delete()
    assert ann.client.get(back).status_code == 403
    assert exchanges() == 0


def test_t21i_a_walk_ends_in_the_tenant_where_it_began(ann, cast, kuusi):
    with scope.tenant(cast.stranger_tenant.pk):
        Membership.objects.create(user=cast.ann, role=Role.OWNER)
    confirm = ann.walk(kuusi)["Location"]
    assert confirm.startswith(f"/t/{cast.tenant.slug}/")
    elsewhere = confirm.replace(cast.tenant.slug, cast.stranger_tenant.slug)
    assert ann.client.post(elsewhere, {"name": "EU account"}).status_code == 404


def test_another_admin_cannot_confirm_what_someone_logged_in_to(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    alice = walker(cast.alice, cast.tenant)
    assert alice.client.get(confirm).status_code == 404
    assert alice.client.post(confirm, {"name": "EU account"}).status_code == 404
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()


def test_a_confirm_page_left_open_too_long_connects_nothing(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    with scope.tenant(cast.tenant.pk):
        ConnectFlow.objects.update(used_at=timezone.now() - timedelta(hours=1))
    assert ann.client.post(confirm, {"name": "EU account"}).status_code == 410
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()


def test_t22_a_script_in_the_error_is_shown_as_text(ann):
    query = "error=server_error&error_description=%3Cscript%3Ealert(1)%3C/script%3E"
    answer = ann.client.get(f"{CALLBACK}?{query}&state={state_of(ann.start())}")
    page = answer.content.decode()
    assert answer.status_code == 400
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page


def test_an_error_with_a_code_trades_no_code(ann, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    ann.client.get(back + "&error=access_denied")
    assert exchanges() == 0


def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(ann):
    ann.start()
    cookie = ann.client.cookies["connect"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 600


def test_neither_state_nor_cookie_is_stored_as_it_is(ann, cast):
    state = state_of(ann.start())
    with scope.tenant(cast.tenant.pk):
        row = ConnectFlow.objects.get()
    assert state not in (row.state_hash, row.browser_hash)
    assert ann.client.cookies["connect"].value not in row.browser_hash
    assert len(state) >= 43


def test_walks_that_nobody_finished_are_forgotten_with_their_secret(ann, cast, kuusi):
    ann.walk(kuusi)
    with scope.tenant(cast.tenant.pk):
        ConnectFlow.objects.update(expires_at=timezone.now() - timedelta(hours=2))
    ann.start()
    with scope.tenant(cast.tenant.pk):
        assert [flow.secret for flow in ConnectFlow.objects.all()] == [None]


def test_t19b_the_attackers_code_in_the_victims_session_stores_nothing(
    ann, cast, kuusi, exchanges, caplog
):
    """The victim has a walk of their own under way, so that cookie and session are good."""
    attacker = walker(cast.mallory, cast.stranger_tenant)
    with scope.tenant(cast.stranger_tenant.pk):
        assert not ConnectFlow.objects.exists()
    theirs = attacker.log_in(attacker.start(), kuusi)
    ann.start()
    answer = ann.client.get(theirs)
    assert answer.status_code == 403
    assert exchanges() == 0
    assert nothing_was_kept(cast)
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()
    assert "connect.refused" in caplog.text
    assert "NotYourWalk" in caplog.text


def test_t19c_the_attackers_code_under_the_victims_own_state_is_not_whose_walk_it_is(
    ann, cast, kuusi, companies
):
    """A code swapped into the victim's callback ends on a page that names the company."""
    attacker = walker(cast.mallory, cast.stranger_tenant)
    code = attacker.log_in(attacker.start(), companies[1]).split("code=")[1].split("&")[0]
    mine = ann.log_in(ann.start(), kuusi)
    own = mine.split("code=")[1].split("&")[0]
    confirm = ann.client.get(mine.replace(own, code))["Location"]
    assert companies[1].name in ann.client.get(confirm).content.decode()
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()


def test_t20d_a_victim_who_consents_to_the_attackers_address_gives_nothing_away(
    ann, cast, kuusi, exchanges
):
    attacker = walker(cast.mallory, cast.stranger_tenant)
    back = ann.log_in(attacker.start(), kuusi)  # the victim logs in at Procountor
    ann.start()
    for victim in (Client(), ann.client):
        assert victim.get(back).status_code == 403
    assert exchanges() == 0
    for tenant in (cast.tenant, cast.stranger_tenant):
        with scope.tenant(tenant.pk):
            assert not ConnectFlow.objects.exclude(secret=None).exists()
            assert not Connection.objects.exists()


def test_t21j_signed_out_and_in_again_the_callback_is_refused(ann, cast, kuusi, exchanges):
    back = ann.log_in(ann.start(), kuusi)
    cookie = ann.client.cookies["connect"].value
    ann.client.logout()
    ann.client.cookies["connect"] = cookie
    ann.client.force_login(cast.ann)
    assert ann.client.get(back).status_code == 403
    assert exchanges() == 0


def test_t21k_the_state_of_another_of_ones_tenants_does_not_cross_over(ann, cast, kuusi, exchanges):
    with scope.tenant(cast.stranger_tenant.pk):
        Membership.objects.create(user=cast.ann, role=Role.OWNER)
    here = ann.log_in(ann.start(), kuusi)
    there = walker(cast.ann, cast.stranger_tenant)
    there.client = ann.client  # the same browser, now connecting for the other company
    state_there = state_of(there.start())
    state_here = here.split("state=")[1].split("&")[0]
    assert ann.client.get(here).status_code == 403  # its cookie was replaced by the later walk
    crossed = here.replace(state_here, state_there)
    confirm = ann.client.get(crossed)["Location"]
    assert confirm.startswith(f"/t/{cast.stranger_tenant.slug}/")
    with scope.tenant(cast.tenant.pk):
        assert not ConnectFlow.objects.exclude(secret=None).exists()


def test_t22b_a_login_that_was_left_closes_the_walk(ann, cast, kuusi, exchanges):
    url = ann.start()
    query = f"error=access_denied&state={state_of(url)}"
    answer = ann.client.get(f"{CALLBACK}?{query}")
    assert answer["Location"] == ann.url()
    ann.client.get(ann.log_in(url, kuusi))
    assert exchanges() == 0
    with scope.tenant(cast.tenant.pk):
        assert ConnectFlow.objects.get().used_at is not None


EVIL = ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]


@pytest.mark.parametrize("target", EVIL)
def test_t23_connecting_ends_on_a_page_of_ours_whatever_next_says(ann, kuusi, target):
    start = ann.client.post(ann.url("connect/"), {"next": target}, query_params={"next": target})
    assert urlsplit(start["Location"]).netloc == urlsplit(settings.PROCOUNTOR_BASE_URL).netloc
    back = ann.log_in(start["Location"], kuusi)
    confirm = ann.client.get(f"{back}&next={quote(target)}")["Location"]
    assert confirm.startswith(ann.url("connect/"))
    done = ann.client.post(f"{confirm}?next={quote(target)}", {"name": "EU", "next": target})
    assert done["Location"].startswith(ann.url())


@pytest.mark.parametrize("target", EVIL)
@pytest.mark.parametrize("page", ["login", "logout"])
def test_t23b_sign_in_and_sign_out_lead_to_a_page_of_ours(cast, client, page, target):
    if page == "logout":
        client.force_login(cast.ann)
    form = {"login": "ann@example.com", "password": "correct horse battery", "next": target}
    answer = client.post(f"/accounts/{page}/?next={quote(target)}", form)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/")
    assert "evil" not in answer["Location"]
    assert not answer["Location"].startswith(("//", "/\\"))
