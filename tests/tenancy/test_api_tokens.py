"""Tokens of programs: shown once, kept as a hash, never more than their person, and mortal."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from allauth.account.signals import password_reset
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.logs import redact
from calqsync.tenancy.models import ApiToken, AuditEvent, Membership, Role
from calqsync.tenancy.services import member_remove
from calqsync.tenancy.tokens import services
from calqsync.tenancy.tokens.scopes import DOCUMENTS, FIGURES
from calqsync.tenancy.tokens.text import PREFIX, hashes, new_token, well_formed
from tests.conftest import SignedInClient
from tests.tenancy.people import PASSWORD, confirmed

FORM = {"name": "Sheet", "scopes": [FIGURES, DOCUMENTS], "days": "90"}
TEXT = re.compile(rf'value="({PREFIX}\w+)"')


def browser(person: Any, *, recently: bool = True) -> SignedInClient:
    client = SignedInClient()
    client.force_login(person, recently=recently)
    return client


def made(cast: Any, who: str = "vera", **values: Any) -> tuple[ApiToken, str]:
    """A token of this person in the cast's company, and its text."""
    with scope.tenant(cast.tenant.pk):
        membership = Membership.objects.select_related("user").get(user=getattr(cast, who))
        asked = {"name": "Sheet", "scopes": [FIGURES], "days": 30, "now": timezone.now()}
        return services.token_create(membership=membership, **asked | values)


def tokens_of(cast: Any) -> list[ApiToken]:
    with scope.tenant(cast.tenant.pk):
        return list(ApiToken.objects.select_related("membership__user").order_by("pk"))


def acts_of(cast: Any) -> list[str]:
    with scope.tenant(cast.tenant.pk):
        return list(AuditEvent.objects.order_by("pk").values_list("act", flat=True))


def test_a_token_is_known_by_its_prefix_and_a_cut_one_by_its_checksum() -> None:
    text = new_token()
    assert re.fullmatch(r"calqsync_[0-9A-Za-z]{48}", text)
    assert well_formed(text)
    other = "a" if text[20] != "a" else "b"
    assert not well_formed(text[:20] + other + text[21:])
    assert not well_formed(text[:-1])


def test_the_page_shows_a_new_token_once_and_keeps_its_hash_alone(cast: Any) -> None:
    client = browser(cast.vera)
    answer = client.post(cast.url("settings/tokens/new/"), FORM)
    text = TEXT.search(answer.content.decode())[1]
    (kept,) = tokens_of(cast)
    assert (kept.token_hash, kept.scopes) == (hashes(text)[0], [FIGURES, DOCUMENTS])
    assert text not in str(vars(kept))
    later = client.get(cast.url("settings/tokens/")).content.decode()
    assert "Sheet" in later
    assert kept.token_hash not in later
    assert text not in later
    assert acts_of(cast)[-1] == "token.created"


def test_the_hash_takes_the_installation_s_key(settings: Any) -> None:
    text = new_token()
    before = hashes(text)[0]
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another-key-that-is-long-enough-for-tests-0123456789"
    assert hashes(text)[0] != before
    assert hashes(text)[1] == before


def test_who_signed_in_long_ago_is_asked_before_a_token_is_made(cast: Any) -> None:
    confirmed(cast.vera)
    client = browser(cast.vera, recently=False)
    asked = client.post(cast.url("settings/tokens/new/"), FORM)
    assert asked.status_code == 302
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert tokens_of(cast) == []
    answer = client.post(asked["Location"], {"password": PASSWORD}, follow=True)
    assert TEXT.search(answer.content.decode())
    assert [token.scopes for token in tokens_of(cast)] == [[FIGURES, DOCUMENTS]]


def test_nobody_gives_a_token_more_than_their_own_role(cast: Any) -> None:
    page = browser(cast.ivan).get(cast.url("settings/tokens/")).content.decode()
    assert 'value="figures:read"' in page
    assert 'value="documents:read"' not in page
    answer = browser(cast.ivan).post(cast.url("settings/tokens/new/"), FORM)
    assert answer.status_code == 422
    with pytest.raises(ValidationError):
        made(cast, "ivan", scopes=[FIGURES, DOCUMENTS])
    assert tokens_of(cast) == []


@pytest.mark.parametrize("days", [0, -1, 366, 10_000])
def test_a_token_lasts_a_year_at_most(cast: Any, days: int) -> None:
    with pytest.raises(ValidationError):
        made(cast, days=days)


def test_the_database_itself_keeps_no_token_for_ever(cast: Any) -> None:
    token, _text = made(cast)
    with scope.tenant(cast.tenant.pk), pytest.raises(IntegrityError), transaction.atomic():
        ApiToken.objects.filter(pk=token.pk).update(
            expires_at=token.created_at + timedelta(days=400)
        )


def test_a_person_has_a_handful_of_tokens(cast: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(services, "TOKENS_A_MEMBER", 2)
    made(cast), made(cast)
    with pytest.raises(ValidationError):
        made(cast)
    made(cast, "bob")


def test_its_owner_is_told_by_mail_without_the_token(cast: Any, post_office: Any) -> None:
    _token, text = made(cast, name="Board sheet")
    post_office(cast.tenant)
    (letter,) = mail.outbox
    assert letter.to == [cast.vera.email]
    assert "Board sheet" in letter.body
    assert re.search(r"until \d{1,2} \w+ \d{4}:", letter.body), "a day as pages write it"
    assert cast.url("settings/tokens/") in letter.body
    assert text not in letter.body


def test_one_sees_and_ends_ones_own_and_no_other(cast: Any) -> None:
    mine, _text = made(cast, name="Mine")
    other, _text = made(cast, "bob", name="Theirs")
    client = browser(cast.vera)
    page = client.get(cast.url("settings/tokens/")).content.decode()
    assert "Mine" in page
    assert "Theirs" not in page
    assert client.post(cast.url(f"settings/tokens/{other.public_id}/revoke/")).status_code == 404
    client.post(cast.url(f"settings/tokens/{mine.public_id}/revoke/"))
    assert [token.name for token in tokens_of(cast)] == ["Theirs"]


def test_an_admin_ends_anybody_s_up_to_their_own_role(cast: Any) -> None:
    lower, _text = made(cast, "bob", name="Lower")
    higher, _text = made(cast, "alice", name="Higher")
    client = browser(cast.ann)
    page = client.get(cast.url("settings/tokens/")).content.decode()
    assert page.count("/revoke/") == 1
    assert client.post(cast.url(f"settings/tokens/{higher.public_id}/revoke/")).status_code == 403
    client.post(cast.url(f"settings/tokens/{lower.public_id}/revoke/"))
    assert [token.name for token in tokens_of(cast)] == ["Higher"]
    assert acts_of(cast)[-1] == "token.revoked"


def test_a_token_goes_with_the_membership(cast: Any) -> None:
    made(cast)
    with scope.tenant(cast.tenant.pk):
        member_remove(membership=Membership.objects.get(user=cast.vera), by=cast.alice)
    assert tokens_of(cast) == []


def test_a_changed_password_ends_the_tokens_of_all_companies(cast: Any) -> None:
    made(cast)
    kept, _text = made(cast, "bob")
    with scope.tenant(cast.stranger_tenant.pk):
        member = Membership.objects.create(user=cast.vera, role=Role.VIEWER)
        services.token_create(
            membership=member, name="There", scopes=[FIGURES], days=3, now=timezone.now()
        )
    client = browser(confirmed(cast.vera))
    new = "another horse battery"
    client.post(
        "/accounts/password/change/", {"oldpassword": PASSWORD, "password1": new, "password2": new}
    )
    assert [token.pk for token in tokens_of(cast)] == [kept.pk]
    with scope.tenant(cast.stranger_tenant.pk):
        assert not ApiToken.objects.exists()
    assert acts_of(cast)[-1] == "token.ended"


def test_a_password_set_by_a_mailed_link_ends_them_too(cast: Any) -> None:
    made(cast)
    password_reset.send(sender=type(cast.vera), request=None, user=cast.vera)
    assert tokens_of(cast) == []


def test_what_a_stranger_sends_as_a_token_hides_no_word_in_our_logs(cast: Any) -> None:
    sent = {"Authorization": "Bearer connection-renewed"}
    assert SignedInClient().get("/api/v1/company", headers=sent).status_code == 401
    assert redact("the connection-renewed event") == "the connection-renewed event"


def test_no_log_line_holds_a_token() -> None:
    text = new_token()
    assert text not in redact(f"GET /api/v1/report {text} 401")
