"""Deleting one's own account: what may stand in the way, what goes, and what stays."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from threading import Barrier, BrokenBarrierError

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.models import Authenticator
from allauth.usersessions.models import UserSession
from django.contrib.sessions.models import Session
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import connections, transaction
from django.utils import timezone

from calqsync.privacy.models import Erasure
from calqsync.privacy.services import accounts, companies
from calqsync.tenancy import scope
from calqsync.tenancy.models import AuditEvent, Invitation, Membership, Role, User
from calqsync.tenancy.services import audit, token_hash

PAGE = "/account/delete/"


def delete(user, typed=None):
    accounts.account_delete(user=user, typed_email=typed or user.email)


def invite(cast, email):
    with scope.tenant(cast.stranger_tenant.pk):
        Invitation.objects.create(
            email=email,
            role=Role.VIEWER,
            token_hash=token_hash("x"),
            expires_at=timezone.now() + timedelta(days=3),
        )


def belongings(user):
    EmailAddress.objects.create(user=user, email=user.email, verified=True, primary=True)
    Authenticator.objects.create(user=user, type="totp", data={"secret": "x"})


def test_nothing_of_the_person_is_left_outside_of_audit_logs(committed_cast, truth):
    cast, email = committed_cast, "bob@example.com"
    belongings(cast.bob)
    with transaction.atomic():
        invite(cast, email)
    delete(cast.bob)
    truth.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    left = []
    for (table,) in truth.fetchall():
        truth.execute(f'SELECT count(*) FROM "{table}" t WHERE t::text LIKE %s', [f"%{email}%"])
        if truth.fetchone()[0]:
            left.append(table)
    assert left == []
    truth.execute("SELECT count(*) FROM tenancy_membership WHERE user_id = %s", [cast.bob.pk])
    assert truth.fetchone() == (0,)


def test_memberships_sessions_second_factors_and_invitations_go(client, cast):
    belongings(cast.bob)
    invite(cast, "Bob@Example.com".lower())
    client.force_login(cast.bob)
    key = client.session.session_key
    UserSession.objects.create(user=cast.bob, session_key=key, ip="192.0.2.1", user_agent="x")
    delete(cast.bob)
    assert not Session.objects.filter(session_key=key).exists()
    with scope.tenant(cast.tenant.pk):
        assert not Membership.objects.filter(user=cast.bob).exists()
    with scope.tenant(cast.stranger_tenant.pk):
        assert not Invitation.objects.exists()
    assert not EmailAddress.objects.filter(user=cast.bob).exists()
    assert not Authenticator.objects.filter(user=cast.bob).exists()
    assert not UserSession.objects.filter(user=cast.bob).exists()
    assert "/login/" in client.get(cast.url("customers/"))["Location"]


def test_the_row_stays_as_a_nameless_shell_that_nobody_can_sign_in_to(cast, client):
    delete(cast.bob)
    shell = User.objects.get(pk=cast.bob.pk)
    assert shell.email.endswith("@users.invalid")
    assert shell.name == "Deleted user"
    assert not shell.is_active
    assert not shell.has_usable_password()
    assert not client.login(email="bob@example.com", password="correct horse battery")


def test_audit_rows_keep_what_the_person_did(cast):
    with scope.tenant(cast.tenant.pk):
        audit(act="tests.done", by=cast.bob)
    delete(cast.bob)
    with scope.tenant(cast.tenant.pk):
        row = AuditEvent.objects.get(act="tests.done")
        assert (row.actor_id, row.actor_name) == (cast.bob.pk, "bob")
        assert AuditEvent.objects.filter(
            act="member.account_deleted", target=str(cast.bob.public_id)
        ).exists()


def test_the_address_can_sign_up_again_as_somebody_new(cast):
    delete(cast.bob)
    again = User.objects.create_user("bob@example.com", "correct horse battery")
    assert again.pk != cast.bob.pk
    with scope.user(again.pk):
        assert not Membership.unscoped.filter(user=again).exists()


def test_a_company_s_only_owner_is_told_which_company_stands_in_the_way(client, cast):
    with pytest.raises(ValidationError):
        delete(cast.alice)
    client.force_login(cast.alice)
    page = client.get(PAGE).content.decode()
    assert "Kuura Oy" in page
    assert cast.url("settings/team/") in page
    assert cast.url("settings/data/delete/") in page
    assert "Delete my account" not in page


def test_with_another_owner_or_a_deletion_under_way_an_owner_may_go(cast):
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).update(role=Role.OWNER)
    delete(cast.alice)
    with scope.tenant(cast.tenant.pk):
        companies.deletion_request(
            tenant=cast.tenant, typed_name="Kuura Oy", by=cast.ann, now=timezone.now()
        )
    delete(cast.ann)
    assert Erasure.objects.filter(kind="person").count() == 2


def test_an_owner_who_cannot_sign_in_any_more_is_no_other_owner(cast):
    with scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).update(role=Role.OWNER)
    User.objects.filter(pk=cast.ann.pk).update(is_active=False)
    with pytest.raises(ValidationError):
        delete(cast.alice)


def test_only_the_own_address_confirms(client, cast):
    client.force_login(cast.bob)
    answer = client.post(PAGE, {"email": "alice@example.com"})
    assert answer.status_code == 422
    assert User.objects.get(pk=cast.bob.pk).is_active


def test_a_person_deletes_the_account_on_the_page_and_is_signed_out(
    client, cast, django_capture_on_commit_callbacks
):
    client.force_login(cast.bob)
    assert "Delete my account" in client.get(PAGE).content.decode()
    with django_capture_on_commit_callbacks(execute=True):
        answer = client.post(PAGE, {"email": "BOB@example.com"})
    assert answer["Location"] == "/"
    assert "_auth_user_id" not in client.session
    assert mail.outbox[-1].to == ["bob@example.com"]


def test_t31c_deleting_the_account_asks_again_who_it_is_when_the_sign_in_is_old(client, cast):
    client.force_login(cast.bob, recently=False)
    answer = client.post(PAGE, {"email": "bob@example.com"})
    assert "/reauthenticate/" in answer["Location"]
    assert User.objects.get(pk=cast.bob.pk).is_active


def test_support_staff_cannot_delete_their_own_account(cast):
    User.objects.filter(pk=cast.bob.pk).update(is_staff=True)
    cast.bob.refresh_from_db()
    with pytest.raises(ValidationError):
        delete(cast.bob)


def test_a_person_sees_invitations_to_their_own_address_and_no_other(cast):
    invite(cast, "bob@example.com")
    with scope.user(cast.bob.pk):
        assert Invitation.unscoped.count() == 1
    with scope.user(cast.vera.pk):
        assert Invitation.unscoped.count() == 0


def test_of_two_owners_who_delete_their_accounts_at_once_one_stays(committed_cast, monkeypatch):
    cast, erase, both = committed_cast, accounts.account_erase, Barrier(2, timeout=2)
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        Membership.objects.filter(user=cast.ann).update(role=Role.OWNER)

    def erase_together(*, user):
        # Where nobody holds the other up, both are past the question by now.
        with suppress(BrokenBarrierError):
            both.wait()
        erase(user=user)

    def leave(user):
        try:
            delete(user)
        except ValidationError:
            return "refused"
        finally:
            connections.close_all()
        return "deleted"

    monkeypatch.setattr(accounts, "account_erase", erase_together)
    with ThreadPoolExecutor(2) as threads:
        ended = list(threads.map(leave, [cast.alice, cast.ann]))
    assert sorted(ended) == ["deleted", "refused"]
    with transaction.atomic(), scope.tenant(cast.tenant.pk):
        assert Membership.objects.filter(role=Role.OWNER).count() == 1
