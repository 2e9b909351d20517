"""Looking into a company as support: by a grant, as a viewer, reading only, on the record."""

from __future__ import annotations

import re
from datetime import timedelta
from itertools import product
from types import SimpleNamespace
from uuid import uuid4

import pytest
from django.db import ProgrammingError, transaction
from django.urls import resolve
from django.utils import timezone

from calqsync.tenancy import scope
from calqsync.tenancy.models import ApiToken, Membership, Role, Tenant, User
from calqsync.tenancy.support import grants
from calqsync.tenancy.support.routing import SupportReadsOnly
from calqsync.tenancy.tokens.scopes import FIGURES
from calqsync.tenancy.tokens.services import token_create
from integrations.models import (
    Connection,
    Credential,
    Customer,
    Rejection,
    RemovalHold,
    SyncRun,
    SyncStream,
)
from tests.architecture.routes import pages
from tests.factories import (
    account_make,
    connection_make,
    customer_make,
    monthly_make,
    payment_make,
    product_make,
    statement_make,
)
from tests.reporting.conftest import refreshed
from tests.staff import audited, grant_expire, grant_make, signed_in, staff_make

# Committed, because support reads over a database connection of its own.
pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "support"])


@pytest.fixture
def world(committed_cast):
    """Kuura Oy with a published book, and Sam of support, who has no grant yet."""
    sam = staff_make()
    with transaction.atomic(), scope.tenant(committed_cast.tenant.pk):
        eu = connection_make("EU account")
        Credential.objects.create(connection=eu, kind="api_key", secret=b"sealed-secret")
        plan, aalto = product_make(eu, "Alusta"), customer_make(eu, "Aalto Oy")
        first, *_more = monthly_make(aalto, plan, ["2026-01", "2026-02", "2026-03"])
        payment_make(first, "2026-01-14", "100.00")
        statement_make(
            account_make(eu), "2026-01-01", "2026-01-31", "0.00", [("2026-01-14", "100.00")]
        )
        Rejection.objects.create(
            connection=eu,
            stream="invoices",
            external_id="9",
            reason="no date",
            raw=b"sealed-document",
            first_seen_at=timezone.now(),
            last_seen_at=timezone.now(),
        )
        now = timezone.now()
        run = SyncRun.objects.create(
            connection=eu,
            mode="full",
            trigger="schedule",
            state="complete_with_rejects",
            started_at=now,
            finished_at=now,
            window_to=now,
        )
        SyncStream.objects.create(run=run, stream="invoices", started_at=now, finished_at=now)
        RemovalHold.objects.create(
            connection=eu, stream="invoices", found_at=now, missing=9, stored=9
        )
        refreshed()
    return SimpleNamespace(cast=committed_cast, sam=sam, tenant=committed_cast.tenant, eu=eu)


@pytest.fixture
def grant(world):
    return grant_make(world.tenant, world.sam, world.cast.vera)


@pytest.fixture
def sam(world):
    return signed_in(world.sam)


def filled(pattern, slug):
    """An address of this pattern in the company, with ids that nothing has."""
    path = "/" + pattern.replace("<slug:slug>", slug)
    return re.sub(
        r"<(\w+):\w+>", lambda m: {"uuid": str(uuid4()), "int": "1"}.get(m[1], "mrr"), path
    )


class TestTheDoor:
    def test_staff_without_a_grant_are_strangers(self, world, sam):
        assert sam.get(world.cast.url("")).status_code == 404

    def test_with_a_grant_the_figures_open(self, world, sam, grant):
        page = sam.get(world.cast.url(""))
        assert page.status_code == 200
        assert "Kuura Oy" in page.content.decode()

    def test_a_grant_opens_no_other_company(self, world, sam, grant):
        assert sam.get(f"/t/{world.cast.stranger_tenant.slug}/").status_code == 404

    def test_a_grant_is_of_one_person(self, world, grant):
        other = staff_make("sue")
        assert signed_in(other).get(world.cast.url("")).status_code == 404

    def test_a_grant_without_a_second_step_opens_nothing(self, world):
        plain = staff_make("pat", second_step=False)
        grant_make(world.tenant, plain, world.cast.vera)
        assert signed_in(plain).get(world.cast.url("")).status_code == 404

    def test_a_grant_of_a_person_who_left_support_opens_nothing(self, world, sam, grant):
        User.objects.filter(pk=world.sam.pk).update(is_staff=False)
        assert sam.get(world.cast.url("")).status_code == 404

    def test_i23_the_half_hour_ends_by_itself(self, world, sam, grant):
        assert timedelta(minutes=29) < grant.expires_at - grant.created_at <= grants.GRANT_LIFE
        assert sam.get(world.cast.url("")).status_code == 200
        grant_expire(grant)
        assert sam.get(world.cast.url("")).status_code == 404

    def test_an_expired_grant_shows_no_row_whatever_the_code_asks(self, world, grant):
        grant_expire(grant)
        with (
            scope.user(world.sam.pk),
            scope.looking_in(world.tenant.pk),
            transaction.atomic(using="support"),
        ):
            assert not Customer.objects.exists()
            assert Connection.objects.exists(), "the directory stays readable"

    def test_staff_who_are_members_enter_as_themselves(self, world):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            Membership.objects.create(user=world.sam, role=Role.ADMIN)
        page = signed_in(world.sam).get(world.cast.url("settings/company/"))
        assert page.status_code == 200
        assert page.wsgi_request.support_grant is None


class TestReadingOnly:
    def test_i23_support_writes_nothing_at_any_address(self, world, sam, grant):
        assert len(pages()) > 25, "the walk found hardly any page, so it guards nothing"
        for page, method in product(pages(), ("post", "put", "patch", "delete")):
            answer = getattr(sam, method)(filled(page.pattern, world.tenant.slug))
            assert answer.status_code == 403, (page.pattern, answer.status_code)

    def test_i23_support_takes_no_file_and_no_figures_for_machines_away(self, world, sam, grant):
        for path in ("customers/?format=csv", "invoices/?format=csv", "api/figures/"):
            answer = sam.get(world.cast.url(path))
            assert answer.status_code == 403, path
            assert "Aalto" not in answer.content.decode()
        [first, *_more] = audited(world.tenant, act="support.refused")
        assert first.target.endswith("/customers/")

    def test_i23_support_reads_no_secret_even_by_a_mistake_of_ours(self, world, grant):
        with scope.user(world.sam.pk), scope.looking_in(world.tenant.pk):
            for read in (
                lambda: list(Credential.objects.all()),
                lambda: list(Rejection.objects.all()),
                lambda: list(User.objects.all()),
                lambda: list(Tenant.objects.all()),
            ):
                with (
                    pytest.raises(ProgrammingError, match="permission denied"),
                    transaction.atomic(using="support"),
                ):
                    read()

    def test_i23_the_apps_own_connection_finds_nothing_meanwhile(self, world, grant):
        with (
            transaction.atomic(),
            scope.user(world.sam.pk),
            scope.looking_in(world.tenant.pk),
            transaction.atomic(using="support"),
        ):
            assert Customer.objects.exists()
            assert not Customer.unscoped.using("default").exists()

    def test_i23_a_write_in_the_code_of_a_page_is_refused(self, world, grant):
        with scope.user(world.sam.pk), scope.looking_in(world.tenant.pk):
            with pytest.raises(SupportReadsOnly), transaction.atomic(using="support"):
                Customer.objects.filter(name="Aalto Oy").update(name="Mine")
            with pytest.raises(ProgrammingError), transaction.atomic(using="support"):
                Customer.unscoped.using("support").update(name="Mine")

    def test_i23_the_ways_to_connect_are_closed(self, world, sam, grant):
        base = world.cast.url("settings/integrations/")
        for path in ("connect/", "key/", f"{world.eu.public_id}/disconnect/"):
            for method in (sam.get, sam.post):
                assert method(base + path).status_code in {403, 404}, path
        assert sam.post(base + "connect/").status_code == 403

    def test_i23_support_sees_makes_and_ends_no_token_of_a_member(self, world, sam, grant):
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            vera = Membership.objects.select_related("user").get(user=world.cast.vera)
            made, _text = token_create(
                membership=vera, name="Sheet", scopes=[FIGURES], days=9, now=timezone.now()
            )
        base = world.cast.url("settings/tokens/")
        assert "Sheet" not in sam.get(base).content.decode()
        form = {"name": "x", "scopes": FIGURES, "days": "30"}
        refused = sam.get(base), sam.post(base + "new/", form)
        refused += (sam.post(f"{base}{made.public_id}/revoke/"),)
        assert {answer.status_code for answer in refused} == {403}
        with transaction.atomic(), scope.tenant(world.tenant.pk):
            assert [token.pk for token in ApiToken.objects.all()] == [made.pk]

    def test_i23_the_second_step_and_address_that_they_reach_are_their_own(self, world, sam, grant):
        for path in ("/accounts/2fa/", "/accounts/email/"):
            page = sam.get(path).content.decode()
            assert "vera@example.com" not in page
            assert "alice@example.com" not in page
        page = sam.get(world.cast.url("settings/security/")).content.decode()
        assert "/accounts/2fa/" not in page.split("<main")[1]
        assert "/accounts/email/" not in page.split("<main")[1]

    def test_a_secret_that_a_page_asks_for_is_a_refusal_and_no_fault(
        self, world, sam, grant, monkeypatch
    ):
        from integrations import selectors

        monkeypatch.setattr(selectors, "set_aside", lambda *_, **_now: Rejection.objects.first())
        path = f"settings/integrations/{world.eu.public_id}/rejected/"
        assert sam.get(world.cast.url(path)).status_code == 403


class TestEveryPage:
    def test_i23_every_page_of_a_viewer_opens_with_the_banner(self, world, sam, grant):
        """By following links; what no link reaches must be one of the named few."""
        seen, refused = {}, set()
        todo = [world.cast.url(path) for path in ("", *LINKED_WHERE_THERE_IS_ONE)]
        while todo:
            url = todo.pop()
            route = resolve(url.split("?")[0]).route
            if seen.setdefault(route, set()) & {url} or len(seen[route]) >= 4:
                continue
            seen[route].add(url)
            answer = sam.get(url)
            if "format=" in url:
                assert answer.status_code == 403, url
                continue
            if answer.status_code == 403:
                refused.add(route)
                continue
            assert answer.status_code == 200, (url, answer.status_code)
            page = answer.content.decode()
            assert "support-banner" in page, url
            assert "sealed" not in page, url
            found = re.findall(rf'href="(/t/{world.tenant.slug}/[^"#]*)"', page)
            todo += [link.replace("&amp;", "&") for link in found]
        roles = {page.pattern: page.view.min_role for page in pages()}
        for route in refused:
            assert not Role.VIEWER.allows(roles[route]), f"{route} is linked for support"
        for_viewers = {r for r, role in roles.items() if Role.VIEWER.allows(role)}
        opened = for_viewers & set(seen) - refused
        assert len(opened) > 15, "the walk found hardly any page, so it guards nothing"
        progress = world.cast.url(f"settings/integrations/{world.eu.public_id}/progress/")
        assert sam.get(progress).status_code == 200
        left = {r.removeprefix("t/<slug:slug>/") for r in for_viewers - opened}
        assert left <= NOT_LINKED, left

    def test_every_look_is_one_line_in_the_companys_log(self, world, sam, grant):
        for _again in range(3):
            sam.get(world.cast.url("customers/"))
        [look] = audited(world.tenant, act="support.viewed")
        assert (look.actor, look.on_behalf_of) == (world.sam, world.cast.vera)
        assert (look.actor_name, look.on_behalf_of_name) == ("Sam", "vera")
        assert look.target == world.cast.url("customers/")
        assert look.after["ticket"] == "T-1"
        assert look.address == "127.0.0.1"

    def test_i23_a_refused_try_names_both_persons_too(self, world, sam, grant):
        sam.post(world.cast.url("settings/integrations/connect/"))
        [row] = audited(world.tenant, act="support.refused")
        assert (row.actor, row.on_behalf_of) == (world.sam, world.cast.vera)
        assert row.after["method"] == "POST"

    def test_i23_the_banner_says_who_for_whom_until_when_and_why(self, world, sam, grant):
        page = sam.get(world.cast.url("growth/")).content.decode()
        banner = page.split("support-banner")[1].split("</aside>")[0]
        for words in ("Kuura Oy", "vera", "T-1"):
            assert words in banner
        assert f"/admin/tenancy/supportgrant/{grant.public_id}/end/" in banner

    def test_a_page_that_is_not_there_is_not_found_and_no_error(self, world, sam, grant):
        for path in ("customers/0197b9a0-0000-7000-8000-000000000000/", "figures/no/2026-01/"):
            assert sam.get(world.cast.url(path)).status_code == 404, path

    def test_members_see_no_banner(self, world, grant):
        page = signed_in(world.cast.vera).get(world.cast.url("growth/")).content.decode()
        assert "support-banner" not in page

    def test_support_sees_the_one_company_in_the_switch(self, world, sam, grant):
        assert "Vieras Oy" not in sam.get(world.cast.url("")).content.decode()


NOT_LINKED = {
    "api/figures/",  # figures for machines: refused, as a test above shows
    "settings/integrations/<uuid:public_id>/progress/",  # asked for by script, without a frame
    "settings/data/",  # what people do with their rights: refused
    "settings/tokens/",  # keys of members: hidden from the support role, refused
    "settings/tokens/new/",
    "settings/tokens/<uuid:public_id>/revoke/",
    "restatements/<uuid:public_id>/",  # linked where there is one
}
# Lists that a page links only where they hold something: the walk begins at them, too.
LINKED_WHERE_THERE_IS_ONE = ["restatements/", "quality/subscriptions/", "quality/credits/"]
