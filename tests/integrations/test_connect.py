"""From Connect now to a connection, over real HTTP against the sandbox."""

from urllib.parse import urlsplit

import pytest
from django.utils import timezone as clock

from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Tenant
from calqsync.tenancy.secrets import sealer
from integrations.models import ConnectFlow, Connection, Credential, SyncRun
from tests.integrations.conftest import LIMITED, said, walker


def test_key_login_ends_on_a_page_that_names_company_business_id_and_tenant(ann, kuusi):
    answer = ann.walk(kuusi)
    assert answer.status_code == 302
    page = ann.client.get(answer["Location"]).content.decode()
    for words in (kuusi.name, kuusi.business_id, "Kuura Oy", "Salaries: not all of them"):
        assert words in page


def test_nothing_is_connected_before_the_person_confirms(ann, cast, kuusi):
    ann.walk(kuusi)
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()
        assert not Credential.objects.exists()


def test_confirming_makes_a_named_connection_with_a_sealed_key_and_a_run(ann, cast, kuusi):
    answer = ann.connect(kuusi, "  EU   account ")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        assert (made.name, made.company_id) == ("EU account", str(kuusi.id))
        assert (made.business_id, made.currency) == (kuusi.business_id, "EUR")
        assert str(made.public_id) in answer["Location"]
        held = Credential.objects.get(connection=made)
        key = sealer().open_text(bytes(held.secret), connection_id=made.pk, field="secret")
        assert held.kind == "api_key"
        assert key.count(".") == 2
        assert key.encode() not in bytes(held.secret)
        assert SyncRun.objects.filter(connection=made).count() == 1
        assert AuditEvent.objects.filter(act="connection.created", actor=cast.ann).exists()


def test_after_confirming_the_walk_holds_no_secret(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        assert ConnectFlow.objects.get().secret is None


def test_pressing_confirm_twice_makes_one_connection(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    first = ann.client.post(confirm, {"name": "EU account"})
    again = ann.client.post(confirm, {"name": "EU account"})
    assert again["Location"] == first["Location"]
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.count() == 1


def test_the_authorization_code_way_stores_a_refresh_token(ann, cast, kuusi):
    confirm = ann.walk(kuusi, way="code")["Location"]
    ann.client.post(confirm, {"name": "EU account"})
    with scope.tenant(cast.tenant.pk):
        assert Credential.objects.get().kind == "refresh_token"


def test_a_pasted_key_ends_on_the_same_confirm_page(ann, cast, kuusi, procountor):
    key = procountor.api_key(kuusi)
    answer = ann.client.post(ann.url("connect/key/"), {"key": f" {key}\n"})
    page = ann.client.get(answer["Location"]).content.decode()
    assert kuusi.name in page
    assert key not in page


def test_a_pasted_key_that_does_not_work_is_refused_and_never_echoed(ann):
    answer = ann.client.post(ann.url("connect/key/"), {"key": "no-such-key-at-all"})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Procountor does not accept this key" in page
    assert "our key" not in page
    assert 'aria-invalid="true"' in page
    assert "no-such-key-at-all" not in page


def test_a_pasted_key_is_not_blamed_when_procountor_is_down(ann, kuusi, procountor):
    key = procountor.api_key(kuusi)
    procountor.fault("status", times=None, status=503, path="sessioninfo")
    answer = ann.client.post(ann.url("connect/key/"), {"key": key})
    assert answer.status_code == 502
    page = answer.content.decode()
    assert "Start again in a few minutes" in page
    assert "does not accept this key" not in page
    assert key not in page


def test_an_empty_key_is_asked_for_again(ann):
    answer = ann.client.post(ann.url("connect/key/"), {"key": ""})
    assert answer.status_code == 422


def test_gaps_in_rights_are_told_in_words_before_connecting(ann, kuusi):
    back = ann.log_in(ann.start(), kuusi, person=LIMITED)
    page = ann.client.get(ann.client.get(back)["Location"]).content.decode()
    assert "Bank statements: no access" in page
    assert "Salaries: no access" in page


def test_leaving_procountors_login_connects_nothing_and_says_so(ann, cast):
    url = ann.start()
    state = url.split("state=")[1].split("&")[0]
    answer = ann.client.get(f"/integrations/procountor/callback/?error=access_denied&state={state}")
    assert answer["Location"] == ann.url()
    assert "Nothing was connected" in said(answer)
    with scope.tenant(cast.tenant.pk):
        assert ConnectFlow.objects.get().secret is None


def test_d8_the_same_company_twice_in_one_tenant_is_refused_with_its_name(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    answer = ann.walk(kuusi)
    page = answer.content.decode()
    assert answer.status_code == 409
    assert f"{kuusi.name} ({kuusi.business_id}) is connected already" in page
    assert "EU account" in page
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.count() == 1


def test_d8b_two_confirm_pages_of_one_company_make_one_connection(ann, cast, kuusi):
    first, second = ann.walk(kuusi)["Location"], ann.walk(kuusi)["Location"]
    ann.client.post(first, {"name": "One"})
    answer = ann.client.post(second, {"name": "Two"})
    assert answer.status_code == 409
    with scope.tenant(cast.tenant.pk):
        assert [c.name for c in Connection.objects.all()] == ["One"]


def test_d8c_two_tenants_may_connect_the_same_company(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    other = walker(cast.mallory, cast.stranger_tenant)
    other.connect(kuusi, "EU account")
    with scope.tenant(cast.stranger_tenant.pk):
        assert Connection.objects.count() == 1


def test_names_are_unique_whatever_their_case(ann, cast, kuusi, aalto):
    ann.connect(kuusi, "Äly Account")
    confirm = ann.walk(aalto)["Location"]
    answer = ann.client.post(confirm, {"name": "ÄLY  ACCOUNT"})
    assert answer.status_code == 422
    assert "is taken" in answer.content.decode()
    assert ann.client.post(confirm, {"name": "US account"}).status_code == 302


def test_a_free_name_is_suggested(ann, kuusi):
    page = ann.client.get(ann.walk(kuusi)["Location"]).content.decode()
    assert f'value="{kuusi.name}"' in page


def test_declining_destroys_what_procountor_gave(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    answer = ann.client.post(confirm, {"action": "discard"})
    assert answer["Location"] == ann.url()
    with scope.tenant(cast.tenant.pk):
        assert not ConnectFlow.objects.exists()
        assert not Connection.objects.exists()


def test_a_company_that_lets_no_clients_in_is_told_which_box_to_tick(ann, kuusi, procountor):
    procountor.fault("not_allowed", times=None)
    answer = ann.walk(kuusi)
    assert answer.status_code == 502
    assert "Allow the usage of invoiceable API clients" in answer.content.decode()


def test_when_procountor_is_down_nothing_is_connected(ann, cast, kuusi, procountor):
    back = ann.log_in(ann.start(), kuusi)
    procountor.fault("status", times=None, status=503, path="sessioninfo")
    answer = ann.client.get(back)
    assert answer.status_code == 502
    page = answer.content.decode()
    assert "does not answer" in page
    assert "Start again in a few minutes" in page
    assert "try again shortly" not in page
    with scope.tenant(cast.tenant.pk):
        assert ConnectFlow.objects.get().secret is None


def test_after_the_trial_connecting_leads_to_the_plans(ann, cast):
    from datetime import timedelta

    from django.utils import timezone

    from billing.services import trial_extend

    with scope.tenant(cast.tenant.pk):
        trial_extend(until=timezone.now() - timedelta(days=1), by=None)
    answer = ann.client.post(ann.url("connect/"))
    assert answer["Location"] == f"/t/{cast.tenant.slug}/settings/subscription/"
    with scope.tenant(cast.tenant.pk):
        assert not ConnectFlow.objects.exists()


def test_the_page_lets_its_form_leave_for_procountor(cast):
    person = walker(cast.ann, cast.tenant)
    policy = person.client.get(person.url())["Content-Security-Policy"]
    rule = next(part for part in policy.split(";") if "form-action" in part)
    target = urlsplit(person.start())
    assert f"{target.scheme}://{target.netloc}" in rule.split()


def test_t17c_a_damaged_walk_connects_nothing_and_says_so(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    with scope.tenant(cast.tenant.pk):
        ConnectFlow.objects.update(secret=b"damaged")
    answer = ann.client.post(confirm, {"name": "EU account"})
    assert answer.status_code == 502
    assert "Traceback" not in answer.content.decode()
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()


def test_a_company_about_to_be_deleted_is_told_that_nothing_is_imported(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        Tenant.objects.filter(pk=cast.tenant.pk).update(deletes_at=clock.now())
        SyncRun.objects.update(state="cancelled")
        made = Connection.objects.get()
    page = ann.client.get(ann.url(f"{made.public_id}/")).content.decode()
    assert "the company is about to be deleted" in page
    assert "Sync now" not in page
    answer = ann.client.post(ann.url(f"{made.public_id}/sync/"))
    assert "nothing is imported" in said(answer)


def leave(cast):
    """As a company is after an owner asked for its deletion."""
    with scope.tenant(cast.tenant.pk):
        Tenant.objects.filter(pk=cast.tenant.pk).update(deletes_at=clock.now())


@pytest.mark.parametrize("way", ["connect/", "connect/key/", "{id}/reconnect/"])
def test_a_company_about_to_be_deleted_starts_no_connection(ann, cast, kuusi, way):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        way = way.format(id=Connection.objects.get().public_id)
        before = ConnectFlow.objects.count()
    leave(cast)
    answer = ann.client.post(ann.url(way), {"key": "a-key-of-some-company"})
    assert answer.status_code == 409
    assert "Keep the company" in answer.content.decode()
    with scope.tenant(cast.tenant.pk):
        assert ConnectFlow.objects.count() == before


def test_a_login_that_ends_while_the_company_is_leaving_trades_no_code(ann, cast, kuusi):
    back = ann.log_in(ann.start(), kuusi)
    leave(cast)
    answer = ann.client.get(back)
    assert answer.status_code == 409
    assert "Keep the company" in answer.content.decode()
    with scope.tenant(cast.tenant.pk):
        assert not ConnectFlow.objects.exclude(secret=None).exists()


def test_a_company_about_to_be_deleted_confirms_no_connection(ann, cast, kuusi):
    confirm = ann.walk(kuusi)["Location"]
    leave(cast)
    assert ann.client.post(confirm, {"name": "EU account"}).status_code == 409
    with scope.tenant(cast.tenant.pk):
        assert not Connection.objects.exists()
