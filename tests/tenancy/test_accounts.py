"""Signing up makes a company with its owner; an address belongs to one person."""

import re

import pytest
from django.core import mail
from django.core.cache import cache

from calqsync.tenancy import scope
from calqsync.tenancy.accounts.sign_in import recently_authenticated
from calqsync.tenancy.models import Membership, Tenant, User

FORM = {
    "email": "Founder@Example.com",
    "password1": "correct horse battery",
    "company_name": "Lumi Oy",
    "accept_terms": "on",
}


def sign_up(client, **changes):
    return client.post("/accounts/signup/", {**FORM, **changes})


def code_in_mail():
    return re.search(r"^\s*([A-Z0-9]{3,4}-?[A-Z0-9]{3,4})\s*$", mail.outbox[-1].body, re.M)[1]


@pytest.fixture
def founder(client, db):
    sign_up(client)
    client.post("/accounts/confirm-email/", {"code": code_in_mail()})
    return User.objects.get(email="founder@example.com")


def test_signing_up_makes_a_company_with_an_owner(client, founder):
    with scope.user(founder.pk):
        tenant = Tenant.objects.get()
        assert tenant.name == "Lumi Oy"
        assert Membership.unscoped.get(tenant=tenant).role == "owner"


def test_the_accepted_terms_are_on_record(client, founder):
    assert founder.terms_version
    assert founder.terms_accepted_at


def test_after_confirming_the_address_the_founder_is_in(client, founder):
    answer = client.get("/", follow=True)
    assert answer.status_code == 200
    assert "Lumi Oy" in answer.content.decode()


def test_before_confirming_nobody_is_in(client, db):
    sign_up(client)
    assert client.get("/").wsgi_request.user.is_authenticated is False


@pytest.mark.parametrize("missing", ["email", "password1", "company_name", "accept_terms"])
def test_sign_up_asks_for_everything_it_needs(client, db, missing):
    answer = sign_up(client, **{missing: ""})
    assert answer.status_code == 200
    assert not User.objects.exists()


def test_a_known_address_is_not_told_to_strangers(client, founder):
    client.logout()
    cache.clear()  # a second mail to one address waits a while, known or not
    known = sign_up(client)
    unknown = sign_up(client, email="other@example.com")
    assert (known.status_code, known["Location"]) == (unknown.status_code, unknown["Location"])
    assert User.objects.filter(email="founder@example.com").count() == 1


def test_a_person_in_two_companies_is_asked_which(client, cast):
    from calqsync.tenancy.services import tenant_create

    tenant_create(name="Toinen Oy", owner=cast.bob)
    client.force_login(cast.bob)
    page = client.get("/").content.decode()
    assert "Kuura Oy" in page
    assert "Toinen Oy" in page
    assert "Vieras Oy" not in page


def test_signing_in_never_leads_to_another_site(client, cast):
    answer = client.post(
        "/accounts/login/?next=https://evil.example/",
        {"login": "alice@example.com", "password": "correct horse battery"},
    )
    assert "evil" not in answer.get("Location", "")


@pytest.mark.parametrize(
    ("who", "status"), [("alice", 200), ("ann", 200), ("bob", 403), ("mallory", 404)]
)
def test_company_settings_are_for_admins(client, cast, who, status):
    client.force_login(getattr(cast, who))
    assert client.get(cast.url("settings/company/")).status_code == status


def test_the_fiscal_year_starts_in_a_month_with_a_name(client, cast):
    client.force_login(cast.alice)
    page = client.get(cast.url("settings/company/")).content.decode()
    assert '<option value="4">April</option>' in page


def test_company_settings_are_saved_and_audited(client, cast):
    from calqsync.tenancy.models import AuditEvent

    client.force_login(cast.alice)
    values = {
        "name": "Kuura Group Oy",
        "business_id": "1234567-8",
        "currency": "EUR",
        "time_zone": "Europe/Helsinki",
        "fiscal_year_start": "5",
    }
    assert client.post(cast.url("settings/company/"), values).status_code == 302
    with scope.tenant(cast.tenant.pk):
        assert Tenant.objects.get(pk=cast.tenant.pk).fiscal_year_start == 5
        assert AuditEvent.objects.filter(act="tenant.updated").exists()


def test_bad_company_settings_say_so_and_keep_what_was_typed(client, cast):
    client.force_login(cast.alice)
    answer = client.post(cast.url("settings/company/"), {"name": "", "time_zone": "Mars/Base"})
    assert answer.status_code == 200
    assert b"Mars" in answer.content or b"required" in answer.content


def test_who_has_just_signed_up_is_not_asked_again_who_they_are(client, founder):
    assert recently_authenticated(client.get("/terms/").wsgi_request)
