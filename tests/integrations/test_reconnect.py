"""What a connected company may be given later: another key, more rights, a rotated token."""

import ast
from pathlib import Path

import pytest
from django.db import transaction
from django.utils import timezone as clock

from calqsync.jobs.models import Job
from calqsync.tenancy import scope
from calqsync.tenancy.secrets import sealer
from integrations.models import ConnectFlow, Connection, Credential, SyncRun
from integrations.procountor.limits import NoLimit
from integrations.sandbox import start_server
from integrations.services.connect import connect_confirm
from integrations.sync import access
from tests.integrations.conftest import said, walker


def test_t10_reconnecting_to_another_company_is_refused_naming_both(ann, cast, kuusi, aalto):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        before = bytes(Credential.objects.get().secret)
    answer = ann.walk(aalto, f"{made.public_id}/reconnect/")
    page = answer.content.decode()
    assert answer.status_code == 409
    assert kuusi.name in page
    assert aalto.name in page
    assert "as a connection of its own" in page
    with scope.tenant(cast.tenant.pk):
        assert bytes(Credential.objects.get().secret) == before
        kept = Connection.objects.get()
        assert (kept.pk, kept.company_id, kept.name) == (made.pk, str(kuusi.id), "EU account")
        assert not ConnectFlow.objects.exclude(secret=None).exists()


def test_reconnecting_replaces_the_key_and_clears_the_trouble(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        Connection.objects.update(trouble="needs_you", trouble_kind="key_revoked")
        before = bytes(Credential.objects.get().secret)
    confirm = ann.walk(kuusi, f"{made.public_id}/reconnect/")["Location"]
    ann.client.post(confirm, {"name": "EU account"})
    with scope.tenant(cast.tenant.pk):
        again = Connection.objects.get()
        assert (again.pk, again.trouble) == (made.pk, "")
        assert bytes(Credential.objects.get().secret) != before


def test_reconnecting_keeps_what_an_import_wrote_after_the_page_was_read(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
    ann.walk(kuusi, f"{made.public_id}/reconnect/")
    now = clock.now()
    with scope.tenant(cast.tenant.pk):
        flow = ConnectFlow.objects.select_related("connection").get(confirmed_at=None)
        Connection.objects.update(first_import_at=now, data_as_of=now)
        connect_confirm(flow=flow, name="EU account", by=cast.ann, now=now)
        kept = Connection.objects.get()
        assert (kept.first_import_at, kept.data_as_of) == (now, now)


def test_a_company_disconnected_with_its_data_kept_is_the_same_connection_again(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
    ann.client.post(ann.url(f"{made.public_id}/disconnect/"), {"books": "keep"})
    confirm = ann.walk(kuusi)["Location"]
    assert "connected before as EU account" in ann.client.get(confirm).content.decode()
    ann.client.post(confirm, {"name": "EU again"})
    with scope.tenant(cast.tenant.pk):
        again = Connection.objects.get()
        assert (again.pk, again.name, again.disconnected_at) == (made.pk, "EU again", None)


def test_rights_given_later_are_seen_when_asked_again(ann, cast, kuusi, procountor):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        Connection.objects.update(rights={"gaps": [{"code": "x", "words": "Bank: no access"}]})
    answer = ann.client.post(ann.url(f"{made.public_id}/rights/"))
    assert "read again" in said(answer)
    with scope.tenant(cast.tenant.pk):
        told = [gap["code"] for gap in Connection.objects.get().rights["gaps"]]
    assert "x" not in told


def test_rights_that_cannot_be_read_leave_what_is_known(ann, cast, kuusi, procountor):
    ann.connect(kuusi, "EU account")
    procountor.fault("status", times=None, status=503, path="rights")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
    answer = ann.client.post(ann.url(f"{made.public_id}/rights/"))
    assert "does not answer" in said(answer)
    with scope.tenant(cast.tenant.pk):
        assert Connection.objects.get().rights == made.rights


def test_t12_a_key_replaced_by_paste_keeps_id_history_and_schedule(ann, cast, kuusi, procountor):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        history = list(SyncRun.objects.values_list("pk", flat=True))
        schedule = Job.objects.get(kind="integrations.sync", key=str(made.pk)).pk
        before = bytes(Credential.objects.get().secret)
    procountor.revoke(kuusi)
    form = {"key": procountor.api_key(kuusi), "connection": str(made.public_id)}
    confirm = ann.client.post(ann.url("connect/key/"), form)["Location"]
    ann.client.post(confirm, {"name": "EU account"})
    with scope.tenant(cast.tenant.pk):
        again = Connection.objects.get()
        assert (again.pk, again.public_id) == (made.pk, made.public_id)
        assert set(history) <= set(SyncRun.objects.values_list("pk", flat=True))
        assert Job.objects.get(kind="integrations.sync", key=str(made.pk)).pk == schedule
        assert bytes(Credential.objects.get().secret) != before
    procountor.app.mint.revoked_companies.clear()


def test_t10b_a_pasted_key_of_another_company_is_refused_too(ann, cast, kuusi, aalto, procountor):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
    form = {"key": procountor.api_key(aalto), "connection": str(made.public_id)}
    answer = ann.client.post(ann.url("connect/key/"), form)
    assert answer.status_code == 409
    assert aalto.name in answer.content.decode()


def test_while_a_company_is_being_deleted_it_cannot_be_connected_again(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
    ann.client.post(ann.url(f"{made.public_id}/disconnect/"), {"books": "delete"})
    answer = ann.walk(kuusi)
    assert answer.status_code == 409
    assert "still being deleted" in answer.content.decode()


def test_t17b_a_damaged_key_is_a_friendly_page_wherever_it_is_used(ann, cast, kuusi):
    ann.connect(kuusi, "EU account")
    with scope.tenant(cast.tenant.pk):
        made = Connection.objects.get()
        Credential.objects.update(secret=b"damaged", access_token=None)
    assert "Reconnect" in said(ann.client.post(ann.url(f"{made.public_id}/rights/")))
    with scope.tenant(cast.tenant.pk):
        made.refresh_from_db()


class TestT8:
    """Discovery, rights check and sync all use the token; none may spend a rotation unsaved."""

    pytestmark = pytest.mark.django_db(transaction=True)

    @pytest.fixture
    def rotating(self, companies, settings, monkeypatch):
        """A sandbox whose refresh tokens work once, for a person whose world is committed."""
        client = {
            "client_id": settings.PROCOUNTOR_CLIENT_ID,
            "client_secret": settings.PROCOUNTOR_CLIENT_SECRET,
        }
        with start_server(companies, **client, rotate_refresh=True) as handle:
            settings.PROCOUNTOR_BASE_URL = handle.base_url
            settings.PROCOUNTOR_API_PATH = ""
            for user in ("integrations.services.identity", "integrations.sync.access"):
                monkeypatch.setattr(f"{user}.limiter", NoLimit)
            yield handle

    def test_t8_every_use_of_a_rotating_token_saves_what_came_back(
        self, committed_cast, kuusi, rotating
    ):
        person = walker(committed_cast.ann, committed_cast.tenant)
        confirm = person.walk(kuusi, way="code")["Location"]  # discovery
        person.client.post(confirm, {"name": "EU account"})
        with scope.tenant(committed_cast.tenant.pk):
            with transaction.atomic():
                made = Connection.objects.get()
            kept = [self.secret(made)]
            for use in (
                lambda: access.token_fresh(made, anew=True),  # a sync
                lambda: person.client.post(person.url(f"{made.public_id}/rights/")),
                lambda: access.token_fresh(made, anew=True),
            ):
                with transaction.atomic():
                    Credential.objects.update(access_token=None)
                use()
                kept.append(self.secret(made))
        assert len(set(kept)) == 4
        assert not rotating.app.mint.dead_families

    def secret(self, made):
        with transaction.atomic():
            held = Credential.objects.get()
            return sealer().open_text(held.secret, connection_id=made.pk, field="secret")


def test_t8b_only_one_place_trades_a_refresh_token():
    """A second caller of `refresh` would be a second chance to lose what came back."""
    root = Path(__file__).resolve().parents[2]
    found = {
        str(path.relative_to(root))
        for room in ("calqsync", "integrations", "reporting", "billing")
        for path in (root / room).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "refresh"
    }
    ours = {path for path in found if not path.startswith("integrations/sandbox/")}
    assert ours == {"integrations/sync/access.py"}
