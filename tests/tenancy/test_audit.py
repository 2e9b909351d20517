"""The audit log says who did what, from where, and on whose behalf."""

import ast
import csv
import io
import json
import re
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from unittest import mock
from urllib.parse import urlencode

import pytest
from django.conf import settings as project
from django.db import connection
from django.test.utils import CaptureQueriesContext

from calqsync.tenancy import mails, scope, services
from calqsync.tenancy.audit import acting, words
from calqsync.tenancy.models import AuditEvent, Membership, Role
from tests.tenancy.people import PASSWORD, confirmed


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


@contextmanager
def at(moment):
    """What is noted in the with-block happened at this moment."""
    with mock.patch("django.utils.timezone.now", return_value=moment):
        yield


def log_page(client, cast, query="", who="ann"):
    client.force_login(getattr(cast, who))
    return client.get(cast.url("settings/audit/") + query)


def rows_of(answer):
    return answer.context["page"].rows


def note(cast, *, act="sync.requested", by=None, **values):
    with scope.tenant(cast.tenant.pk):
        services.audit(act=act, by=by, **values)


@pytest.mark.parametrize(
    ("who", "status"),
    [
        ("alice", 200),
        ("ann", 200),
        ("bob", 403),
        ("vera", 403),
        ("ivan", 403),
        ("mallory", 404),
    ],
)
def test_the_log_is_read_by_owners_and_admins(client, cast, who, status):
    assert log_page(client, cast, who=who).status_code == status
    assert log_page(client, cast, "?format=csv", who=who).status_code == status


@pytest.mark.parametrize("tick", [True, False], ids=["one after another", "all at one instant"])
def test_pages_follow_each_other_without_a_gap_or_a_repeat(client, cast, tick):
    start = datetime(2030, 1, 1, tzinfo=UTC)
    for number in range(120):
        with at(start + timedelta(microseconds=number if tick else 0)):
            note(cast, target=f"entry {number:03}")
    seen, query = [], "?area=sync"
    for _ in range(9):
        answer = log_page(client, cast, query)
        seen += [row["target"] for row in rows_of(answer)]
        query = answer.context["page"].older
        if not query:
            break
    assert seen == [f"entry {number:03}" for number in reversed(range(120))]


def test_a_page_deep_in_the_log_counts_nothing(client, cast):
    for number in range(120):
        note(cast, target=str(number))
    query = log_page(client, cast).context["page"].older
    with CaptureQueriesContext(connection) as captured:
        assert log_page(client, cast, query).status_code == 200
    about = [q["sql"] for q in captured.captured_queries if "tenancy_auditevent" in q["sql"]]
    assert len(about) == 1
    assert "COUNT(" not in about[0]


@pytest.mark.parametrize(
    "query",
    ["?before=x", "?before=2026-01-01~1", "?before=~-1", "?from=2026-99-99", "?who=nobody",
     "?area=x", "?q=%00", "?to=99999-01-01", "?before=2026-01-01T00:00:00%2B00:00~9999999999999",
     "?before=0001-01-01T00:00:00%2B23:59~0", "?before=9999-12-31T23:59:59-23:59~0"],
)  # fmt: skip
def test_an_unreadable_filter_is_as_if_it_were_not_there(client, cast, query):
    assert len(rows_of(log_page(client, cast, query))) == 1  # the company's creation


def test_filters_narrow_by_area_person_text_and_day(client, cast):
    with at(datetime(2026, 5, 1, 10, tzinfo=UTC)):
        note(cast, act="plan.chosen", by=cast.alice, target="may")
    with at(datetime(2026, 6, 1, 20, 59, tzinfo=UTC)):
        note(cast, act="trial.changed", by=cast.bob, target="june, late in Helsinki")
    with at(datetime(2026, 6, 1, 21, 1, tzinfo=UTC)):
        note(cast, act="sync.requested", target="june 2 in Helsinki")

    def found(query):
        return [row["target"] for row in rows_of(log_page(client, cast, query))]

    assert found("?area=plan") == ["june, late in Helsinki", "may"]
    assert found(f"?who={cast.bob.public_id}") == ["june, late in Helsinki"]
    assert found("?who=calqsync") == ["june 2 in Helsinki"]
    assert found("?q=LATE") == ["june, late in Helsinki"]
    assert found("?from=2026-06-01&to=2026-06-01") == ["june, late in Helsinki"]


def test_what_support_does_for_a_member_is_found_under_both(client, cast):
    with acting.on_behalf_of(cast.bob):
        note(cast, act="support.viewed", by=cast.mallory, target="/t/x/")
    for query in ("?who=support", f"?who={cast.bob.public_id}", "?q=mallory"):
        (row,) = rows_of(log_page(client, cast, query))
        assert (row["who"], row["behalf"]) == ("mallory", "bob")


def test_another_companys_person_finds_nothing_here(client, cast):
    assert rows_of(log_page(client, cast, f"?who={cast.mallory.public_id}")) == []


def test_a_change_is_told_field_by_field_in_words(client, cast):
    with scope.tenant(cast.tenant.pk):
        bob = Membership.objects.get(user=cast.bob)
        services.member_change_role(membership=bob, role=Role.INVESTOR, by=cast.alice)
    (row, *_) = rows_of(log_page(client, cast))
    assert row["what"] == "Changed a role"
    assert row["target"] == "bob@example.com"
    assert row["changes"] == [{"field": "Role", "before": "Member", "after": "Investor"}]


def test_settings_that_stay_as_they_were_are_no_change(client, cast):
    rename(client, cast)
    (row, *_) = rows_of(log_page(client, cast))
    assert row["changes"] == [{"field": "Name", "before": "Kuura Oy", "after": "Kuura Group Oy"}]
    client.force_login(cast.alice)
    values = {"name": "Kuura Group Oy", "business_id": "", "currency": "EUR",
              "time_zone": "Europe/Helsinki", "fiscal_year_start": "1"}  # fmt: skip
    client.post(cast.url("settings/company/"), values)
    with scope.tenant(cast.tenant.pk):
        assert AuditEvent.objects.filter(act="tenant.updated").count() == 1


def test_hostile_words_in_the_log_are_inert(client, cast):
    note(cast, target="<script>alert(1)</script>", after={"<b>x": "<img onerror=1>"})
    page = log_page(client, cast).content.decode()
    assert "<script>alert" not in page
    assert "<img onerror" not in page


def file_of(client, cast, query):
    answer = log_page(client, cast, query)
    assert answer.status_code == 200
    assert answer["Content-Disposition"].startswith("attachment")
    return answer.content


def test_the_file_holds_what_the_filters_leave(client, cast):
    note(cast, by=cast.bob, target="=cmd()", after={"run": "1"})
    text = file_of(client, cast, "?area=sync&format=csv").decode("utf-8-sig")
    (row,) = csv.DictReader(io.StringIO(text))
    assert row["who"] == "bob"
    assert row["act"] == "sync.requested"
    assert row["target"] == "'=cmd()"
    assert json.loads(row["after"]) == {"run": "1"}
    (entry,) = json.loads(file_of(client, cast, "?area=sync&format=json"))
    assert entry["target"] == "=cmd()"
    assert entry["after"] == {"run": "1"}
    assert entry["at"].endswith("+00:00")


def test_downloading_the_log_is_logged(client, cast):
    file_of(client, cast, "?area=member&format=json")
    (row, *_) = rows_of(log_page(client, cast))
    assert (row["what"], row["who"]) == ("Downloaded the audit log", "ann")
    assert {change["after"] for change in row["changes"]} == {"json", "area"}


def test_the_log_does_not_keep_who_was_searched_for_in_it(client, cast):
    file_of(client, cast, "?q=Matti+Meikalainen&format=csv")
    with scope.tenant(cast.tenant.pk):
        entry = AuditEvent.objects.get(act="audit.exported")
    assert entry.after == {"format": "csv", "filters": ["q"]}


@pytest.mark.parametrize("kind", ["csv", "xlsx", "parquet", "json"])
def test_t31_the_file_of_the_log_asks_an_old_sign_in_who_it_is(client, cast, kind):
    client.force_login(confirmed(cast.ann), recently=False)
    page = cast.url("settings/audit/?area=member")
    asked = client.get(f"{page}&format={kind}")
    assert asked["Location"] == f"/accounts/reauthenticate/?{urlencode({'next': page})}"
    back = client.post(
        "/accounts/reauthenticate/", {"password": PASSWORD, "next": page}, follow=True
    )
    assert back.redirect_chain[0][0] == page
    assert "Press Export again" in back.content.decode()
    assert client.get(f"{page}&format={kind}")["Content-Disposition"].startswith("attachment")
    with scope.tenant(cast.tenant.pk):
        assert AuditEvent.objects.filter(act="audit.exported").count() == 1


def test_t31_an_old_sign_in_without_the_right_to_the_log_is_refused_and_not_asked(client, cast):
    client.force_login(confirmed(cast.bob), recently=False)
    assert client.get(cast.url("settings/audit/?format=csv")).status_code == 403


SOURCES = ("calqsync", "billing", "integrations", "reporting")
_AREAS = "|".join({act.split(".")[0] for act in words.ACTS})
_ACT = re.compile(rf"({_AREAS})\.[a-z_]+")


def acts_in_code():
    """Every act that code hands to `audit`, or to a `Change` which is audited when it is saved, and
    every text shaped as one beside such a call."""
    found = set()
    for source in SOURCES:
        for path in Path(project.BASE_DIR, source).rglob("*.py"):
            if "migrations" in path.parts or path.name == "audit_words.py":
                continue
            tree = ast.parse(path.read_text())
            calls = [node for node in ast.walk(tree) if is_audit(node)]
            given = [kw.value for call in calls for kw in call.keywords if kw.arg == "act"]
            for value in given:
                found |= {node.value for node in ast.walk(value) if isinstance(node, ast.Constant)}
            if any(not isinstance(value, ast.Constant) for value in given):
                # The act comes in a variable: its values stand somewhere in the module.
                found |= {
                    node.value
                    for node in ast.walk(tree)
                    if isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and _ACT.fullmatch(node.value)
                }
    return {act for act in found if isinstance(act, str)} - set(mails.letters())


def is_audit(node):
    if not isinstance(node, ast.Call):
        return False
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return name in {"audit", "Change"}


def test_every_act_has_words_and_every_word_an_act():
    used = acts_in_code()
    assert len(used) > 30, "the scan found hardly any act, so it guards nothing"
    assert used - set(words.ACTS) == set(), "acts without words in words.ACTS"
    assert set(words.ACTS) - used == set(), "words for acts that nothing does"


def test_every_act_lies_in_an_area_that_the_filter_offers():
    offered = {part for area in words.AREAS for part in words.area_acts(area)}
    assert {act.split(".")[0] for act in words.ACTS} == offered
