"""The pages of Settings > Integrations: who may see them, what they cost."""

import pytest
from django.test import Client
from django.urls import get_resolver

from calqsync.tenancy import scope
from integrations.models import Connection, Credential
from tests.integrations.conftest import NOW, walker
from tests.integrations.pages import GET, address, page_of, run_of

POST = {
    "connect_start": False,
    "connect_key": False,
    "connection_sync": True,
    "connection_cancel": True,
    "connection_retry": True,
    "connection_ignore": True,
    "connection_unignore": True,
    "connection_pause": True,
    "connection_resume": True,
    "connection_schedule": True,
    "connection_rename": True,
    "connection_reconnect": True,
    "connection_rights": True,
    "connection_disconnect": True,
}
# What belongs to a connection: test_import_pages.py and test_trouble_pages.py.
OF_A_CONNECTION = {
    "connection_run",
    "connection_document",
    "connection_removals",
    "connection_recheck",
}
ONLY_LOOKS = ["integrations", "connection", "connection_progress", "connection_rejected"]


def test_every_route_of_the_room_is_walked_here():
    found = {
        pattern.name
        for pattern in get_resolver().url_patterns
        for pattern in getattr(pattern, "url_patterns", [])
        if getattr(pattern.callback, "__module__", "").startswith("integrations.")
    }
    others = {"connect_confirm", "procountor_callback", "integrations_client"}
    assert found == {*GET, *POST, *OF_A_CONNECTION, *others}


@pytest.mark.parametrize(("name", "has_id"), GET.items())
@pytest.mark.parametrize("own_slug", [True, False])
def test_a_stranger_gets_404_from_every_page(cast, eu, name, has_id, own_slug):
    client = walker(cast.mallory, cast.stranger_tenant).client
    tenant = cast.stranger_tenant if own_slug else cast.tenant
    if own_slug and not has_id:
        return
    assert client.get(address(tenant, name, eu, has_id)).status_code == 404


@pytest.mark.parametrize(("name", "has_id"), POST.items())
@pytest.mark.parametrize("own_slug", [True, False])
def test_a_stranger_gets_404_from_every_act(cast, eu, name, has_id, own_slug):
    client = walker(cast.mallory, cast.stranger_tenant).client
    tenant = cast.stranger_tenant if own_slug else cast.tenant
    if own_slug and not has_id:
        return
    answer = client.post(address(tenant, name, eu, has_id), {"books": "delete", "name": "Mine"})
    assert answer.status_code == 404
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.get().name == "EU account"
        assert Credential.objects.count() == 1


@pytest.mark.parametrize(("name", "has_id"), {**GET, **POST}.items())
def test_signed_out_every_route_leads_to_sign_in(cast, eu, name, has_id):
    url = address(cast.tenant, name, eu, has_id)
    answer = Client().get(url) if name in GET else Client().post(url)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/accounts/login/")


@pytest.mark.parametrize("name", ONLY_LOOKS)
def test_a_viewer_may_look(cast, eu, name):
    client = walker(cast.vera, cast.tenant).client
    assert client.get(address(cast.tenant, name, eu, GET[name])).status_code == 200


@pytest.mark.parametrize(("name", "has_id"), POST.items())
def test_a_viewer_may_not_act(cast, eu, name, has_id):
    client = walker(cast.vera, cast.tenant).client
    assert client.post(address(cast.tenant, name, eu, has_id)).status_code == 403


def test_a_viewer_sees_no_button(cast, eu):
    client = walker(cast.vera, cast.tenant).client
    for name in ("integrations", "connection"):
        page = client.get(address(cast.tenant, name, eu, GET[name])).content.decode()
        main = page.split("<main")[1].split("</main>")[0]
        assert '<form method="post"' not in main


@pytest.mark.parametrize("name", ["connect_start", "connection_rename", "connection_disconnect"])
def test_a_member_syncs_but_does_not_administer(cast, eu, name):
    client = walker(cast.bob, cast.tenant).client
    assert client.post(address(cast.tenant, name, eu, POST[name])).status_code == 403
    assert client.post(address(cast.tenant, "connection_cancel", eu, True)).status_code == 302


def test_no_secret_is_on_any_page(cast, eu, settings):
    for name in GET:
        page = page_of(cast, eu, name)
        assert settings.PROCOUNTOR_CLIENT_SECRET not in page


def test_pages_cost_few_queries(cast, eu, django_assert_max_num_queries):
    run_of(cast.tenant, eu, "complete", finished_at=NOW)
    client = walker(cast.ann, cast.tenant).client
    client.get(address(cast.tenant, "connection", eu, True))  # creates the account on first use
    around = len(["session", "user", "tenant", "savepoint", "release", "account"])
    for name, most in (("integrations", 13), ("connection", 12)):
        with django_assert_max_num_queries(most + around):
            client.get(address(cast.tenant, name, eu, GET[name]))


@pytest.mark.parametrize("name", sorted(POST.keys() - GET.keys()))
def test_a_button_s_address_opened_as_a_page_leads_back_to_the_button(cast, eu, name):
    client = walker(cast.ann, cast.tenant).client
    has_id = POST[name]
    back = address(cast.tenant, "connection" if has_id else "integrations", eu, has_id)
    answer = client.get(address(cast.tenant, name, eu, has_id))
    assert (answer.status_code, answer["Location"]) == (302, back)
    assert client.put(address(cast.tenant, name, eu, has_id)).status_code == 405


@pytest.mark.parametrize(
    "name",
    ["connect_start", "connect_key", "connection_reconnect", "connection_disconnect"],
)
def test_t31_changing_a_key_with_an_old_session_asks_for_the_password_first(cast, eu, name):
    person = walker(cast.ann, cast.tenant)
    person.client.force_login(cast.ann, recently=False)
    answer = person.client.post(address(cast.tenant, name, eu, POST[name]), {"books": "delete"})
    assert answer.status_code == 302
    assert "/reauthenticate" in answer["Location"]
    with scope.tenant(cast.tenant.pk):
        assert Credential.objects.count() == 1
        assert not Connection.objects.exclude(disconnected_at=None).exists()


def test_t31b_a_key_sent_with_an_old_session_is_kept_nowhere(cast):
    person = walker(cast.ann, cast.tenant)
    person.client.force_login(cast.ann, recently=False)
    answer = person.client.post(person.url("connect/key/"), {"key": "pasted-secret-key-value"})
    assert "/reauthenticate" in answer["Location"]
    assert "pasted-secret-key-value" not in str(dict(person.client.session))
    assert "/reauthenticate" in person.client.get(person.url("connect/key/"))["Location"]
