"""The audit log says who did what, from where, and on whose behalf."""

from calqsync.tenancy import acting, scope, services
from calqsync.tenancy.models import AuditEvent


def rename(client, cast, **headers):
    client.force_login(cast.alice)
    values = {
        "name": "Kuura Group Oy",
        "business_id": "",
        "currency": "EUR",
        "time_zone": "Europe/Helsinki",
        "fiscal_year_start": "1",
    }
    answer = client.post(cast.url("settings/company/"), values, **headers)
    assert answer.status_code == 302
    with scope.tenant(cast.tenant.pk):
        return AuditEvent.objects.get(act="tenant.updated")


def test_an_act_carries_the_address_it_came_from(client, cast):
    assert rename(client, cast, REMOTE_ADDR="192.0.2.7").address == "192.0.2.7"


def test_an_address_that_the_client_claims_is_not_believed(client, cast):
    event = rename(client, cast, REMOTE_ADDR="192.0.2.7", HTTP_X_FORWARDED_FOR="203.0.113.9")
    assert event.address == "192.0.2.7"


def test_behind_a_trusted_proxy_the_address_is_the_one_that_the_proxy_saw(client, cast, settings):
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    event = rename(
        client, cast, REMOTE_ADDR="10.0.0.1", HTTP_X_FORWARDED_FOR="198.51.100.1, 203.0.113.9"
    )
    assert event.address == "203.0.113.9"


def test_what_is_done_for_somebody_names_both(cast):
    with scope.tenant(cast.tenant.pk), acting.on_behalf_of(cast.bob):
        services.audit(act="tenant.updated", by=cast.mallory)
        event = AuditEvent.objects.get(act="tenant.updated")
    assert (event.actor, event.on_behalf_of) == (cast.mallory, cast.bob)
    assert (event.actor_name, event.on_behalf_of_name) == ("mallory", "bob")


def test_nothing_of_a_request_outlives_it(client, cast):
    rename(client, cast, REMOTE_ADDR="192.0.2.7")
    assert acting.current() == acting.Acting()
