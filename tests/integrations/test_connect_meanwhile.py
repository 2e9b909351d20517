"""What confirming answers when the earlier connection changes in that very moment."""

import threading

import pytest
from django.db import connections, transaction
from django.utils import timezone

from calqsync.tenancy import scope
from integrations.models import Connection
from integrations.services.connections import connection_disconnect
from tests.conftest import until_blocked
from tests.integrations.conftest import walker

pytestmark = pytest.mark.django_db(transaction=True)


def disconnected(held, cast):
    connection_disconnect(connection=held, delete_data=False, by=cast.ann, now=timezone.now())


def to_be_deleted(held, cast):
    connection_disconnect(connection=held, delete_data=True, by=cast.ann, now=timezone.now())


def deleted(held, cast):
    held.delete()


@pytest.fixture
def person(committed_cast, procountor, companies):
    """Who connected a company."""
    person = walker(committed_cast.ann, committed_cast.tenant)
    person.connect(companies[0], "EU account")
    return person


def confirm_during(change, person, confirm, cast, truth):
    """The answer to a confirmation that meets `change` in another transaction."""
    answers = []

    def press():
        try:
            answers.append(person.client.post(confirm, {"name": "EU account"}))
        finally:
            connections.close_all()

    pressed = threading.Thread(target=press)
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        held = Connection.objects.select_for_update(no_key=True).get()
        pressed.start()
        until_blocked(truth)
        change(held, cast)
    pressed.join(60)
    return answers[0]


def stored(cast):
    with scope.tenant(cast.tenant.pk), transaction.atomic():
        return list(Connection.objects.values_list("name", "disconnected_at", "deleting_at"))


@pytest.mark.parametrize(
    ("change", "status", "advice"),
    [
        (disconnected, 410, "Start again"),
        (to_be_deleted, 409, "Try again in a few minutes"),
        (deleted, 409, "open Settings &gt; Integrations and press Connect now"),
    ],
)
def test_a_connection_to_be_authorised_anew_that_leaves_meanwhile_stays_away(
    person, committed_cast, companies, truth, change, status, advice
):
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        made = Connection.objects.get()
    confirm = person.walk(companies[0], f"{made.public_id}/reconnect/")["Location"]
    answer = confirm_during(change, person, confirm, committed_cast, truth)
    assert answer.status_code == status
    assert advice in answer.content.decode()
    assert all(disconnected_at for _name, disconnected_at, _deleting in stored(committed_cast))


@pytest.fixture
def kept(person, committed_cast):
    """The company is disconnected, and its data is kept."""
    with scope.tenant(committed_cast.tenant.pk), transaction.atomic():
        disconnected(Connection.objects.get(), committed_cast)


@pytest.mark.usefixtures("kept")
def test_a_company_whose_kept_data_is_deleted_meanwhile_is_connected_anew(
    person, committed_cast, companies, truth
):
    confirm = person.walk(companies[0])["Location"]
    answer = confirm_during(deleted, person, confirm, committed_cast, truth)
    assert answer.status_code == 302
    assert stored(committed_cast) == [("EU account", None, None)]


@pytest.mark.usefixtures("kept")
def test_a_company_whose_kept_data_begins_to_be_deleted_meanwhile_is_not_connected(
    person, committed_cast, companies, truth
):
    confirm = person.walk(companies[0])["Location"]
    answer = confirm_during(to_be_deleted, person, confirm, committed_cast, truth)
    assert answer.status_code == 409
    assert "still being deleted" in answer.content.decode()
    assert all(deleting for _name, _disconnected, deleting in stored(committed_cast))
