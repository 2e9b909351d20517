"""What gives access or ends a company asks for the password again where the session is stale."""

from __future__ import annotations

import uuid

import pytest
from django.urls import get_resolver, reverse

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Tenant
from tests.tenancy.people import PASSWORD, browser, confirmed, with_app

NEW = "quite another horse"
# Connecting, adding and changing members, exporting all, deleting, the plan, rules for sign-in
# and support.
ASKING = ["connect_start", "connect_key", "connect_confirm", "connection_reconnect"]
ASKING += ["connection_disconnect", "team_invite", "invitation_resend", "member_edit"]
ASKING += ["export_create", "company_delete", "two_step_rule", "support_consent", "plan_choose"]


def stale(client, user):
    """A browser with a session that was left open."""
    client.force_login(user, recently=False)
    return client


def required(cast):
    with scope.tenant(cast.tenant.pk):
        return Tenant.objects.get(pk=cast.tenant.pk).mfa_required


class TestAskingAgain:
    RULE = "settings/security/two-step/"

    def test_t31_a_stale_session_is_asked_and_then_the_change_is_made(self, client, cast):
        with_app(confirmed(cast.alice))
        here = stale(client, cast.alice)
        asked = here.post(cast.url(self.RULE), {"required": "on"})
        assert asked["Location"].startswith("/accounts/reauthenticate/?next=")
        assert not required(cast)
        then = {"password": PASSWORD, "next": cast.url(self.RULE)}
        done = here.post("/accounts/reauthenticate/", then)
        assert done["Location"] == cast.url("settings/security/")
        assert required(cast)
        with scope.tenant(cast.tenant.pk):
            assert AuditEvent.objects.filter(act="tenant.updated").count() == 1

    def test_t31_a_wrong_password_changes_nothing(self, client, cast):
        with_app(confirmed(cast.alice))
        here = stale(client, cast.alice)
        here.post(cast.url(self.RULE), {"required": "on"})
        then = {"password": "wrong", "next": cast.url(self.RULE)}
        assert here.post("/accounts/reauthenticate/", then).status_code == 200
        assert not required(cast)

    def test_t31_a_fresh_session_is_not_asked(self, client, cast):
        with_app(cast.alice)
        client.force_login(cast.alice)
        client.post(cast.url(self.RULE), {"required": "on"})
        assert required(cast)

    def test_t31_ten_minutes_after_sign_in_it_asks(self, cast, clock):
        alice = confirmed(cast.alice)
        here = browser(alice)
        with_app(alice)
        clock.forward(minutes=10, seconds=1)
        asked = here.post(cast.url(self.RULE), {"required": "on"})
        assert asked["Location"].startswith("/accounts/reauthenticate/")

    def test_t31_the_form_token_is_asked_for_throughout(self, cast):
        with_app(confirmed(cast.alice))
        here = stale(_strict(), cast.alice)
        assert here.post(cast.url(self.RULE), {"required": "on"}).status_code == 403
        token = _token(here, cast.url("settings/security/"))
        sent = {"required": "on", "csrfmiddlewaretoken": token}
        here.post(cast.url(self.RULE), sent)
        then = {"password": PASSWORD, "next": cast.url(self.RULE)}
        assert here.post("/accounts/reauthenticate/", then).status_code == 403
        then["csrfmiddlewaretoken"] = _token(here, "/accounts/reauthenticate/")
        here.post("/accounts/reauthenticate/", then)
        assert required(cast)

    def test_t31_a_stranger_is_not_asked_but_finds_nothing(self, client, cast):
        here = stale(client, cast.mallory)
        assert here.post(cast.url(self.RULE), {"required": "on"}).status_code == 404

    def test_t31_htmx_is_led_there_with_the_whole_page(self, client, cast):
        here = stale(client, confirmed(cast.alice))
        page = "http://testserver" + cast.url("settings/security/")
        told = {"HX-Request": "true", "HX-Current-URL": page}
        answer = here.post(cast.url(self.RULE), headers=told)
        assert answer.status_code == 204
        assert answer["HX-Redirect"].startswith("/accounts/reauthenticate/?next=%2Ft%2F")

    def test_t31_coming_back_with_nothing_kept_changes_nothing_and_says_so(self, client, cast):
        client.force_login(cast.alice)
        page = client.get(cast.url(self.RULE), follow=True)
        assert page.status_code == 200
        assert "Nothing was changed" in page.content.decode()

    @pytest.mark.parametrize("name", ["api_key", "client_secret", "password1", "code"])
    def test_t31_a_secret_is_not_kept_while_it_asks(self, client, cast, name):
        here = stale(client, confirmed(cast.alice))
        sent = {name: "planted-value", "required": "on"}
        came = {"Referer": "http://testserver" + cast.url("settings/security/")}
        answer = here.post(cast.url(self.RULE), sent, headers=came)
        back = f"?next=%2Ft%2F{cast.tenant.slug}%2Fsettings%2Fsecurity%2F"
        assert answer["Location"] == "/accounts/reauthenticate/" + back
        assert "planted-value" not in str(dict(here.session))
        assert not required(cast)

    def test_t31_a_new_password_takes_the_old_one(self, client, cast):
        here = stale(client, confirmed(cast.alice))
        both = {"password1": NEW, "password2": NEW, "oldpassword": "wrong"}
        here.post("/accounts/password/change/", both)
        cast.alice.refresh_from_db()
        assert cast.alice.check_password(PASSWORD)

    @pytest.mark.parametrize(
        "path",
        [
            "/accounts/email/",
            "/accounts/2fa/totp/activate/",
            "/accounts/2fa/webauthn/add/",
            "/accounts/2fa/recovery-codes/generate/",
        ],
    )
    def test_t31_ways_to_sign_in_change_only_after_asking(self, client, cast, path):
        here = stale(client, confirmed(cast.alice))
        answer = here.post(path, {"email": "new@example.com", "action_add": ""})
        assert answer["Location"].startswith("/accounts/reauthenticate/")

    @pytest.mark.parametrize("name", ASKING)
    def test_t31_what_gives_access_or_ends_a_company_asks(self, client, cast, name):
        here = stale(client, confirmed(cast.alice))
        answer = here.post(_address(name, cast.tenant.slug), {"x": "1"})
        assert answer.get("Location", "").startswith("/accounts/reauthenticate/"), answer


def _strict():
    from tests.conftest import SignedInClient

    return SignedInClient(enforce_csrf_checks=True)


def _token(client, path):
    page = client.get(path).content.decode()
    return page.split('name="csrfmiddlewaretoken" value="')[1].split('"')[0]


def _address(name, slug):
    found = [p for p in _patterns(get_resolver().url_patterns) if p.name == name]
    assert found, f"there is no page {name}"
    rest = {"public_id": uuid.uuid4()} if "public_id" in str(found[0].pattern) else {}
    return reverse(name, kwargs={"slug": slug, **rest})


def _patterns(patterns):
    for item in patterns:
        yield from _patterns(item.url_patterns) if hasattr(item, "url_patterns") else [item]
