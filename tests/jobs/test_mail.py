"""Letters wait in the job table, are written when they are sent, and are tried until they go."""

import smtplib
from datetime import timedelta

import pytest
from django.core import mail
from django.core.mail.backends.locmem import EmailBackend
from django.utils import timezone

from calqsync.jobs.models import Job, JobState
from calqsync.jobs.tasks import MAIL
from calqsync.tenancy import mails, scope
from calqsync.tenancy.models import Membership, Role

SAID = []


@pytest.fixture(autouse=True)
def _news(monkeypatch):
    SAID.clear()
    monkeypatch.setattr(mails, "_kinds", dict(mails._kinds))

    @mails.letter("tests_news", ended=lambda about, delivery: SAID.append((about, str(delivery))))
    def write(about, reader):
        to = reader.user.email if reader else "someone@example.com"
        return mails.Letter(to=to, subject=f"News\r\nBcc: {about}", body="It happened.")

    @mails.letter("tests_silence")
    def silent(about, reader):
        return None


class Server(EmailBackend):
    """A mail server that answers as the test says."""

    error: Exception | None = None

    def send_messages(self, messages):
        if Server.error is not None:
            raise Server.error
        return super().send_messages(messages)


@pytest.fixture
def server(settings):
    settings.EMAIL_BACKEND = f"{__name__}.Server"
    yield Server
    Server.error = None


def post(cast, **wanted):
    with scope.tenant(cast.tenant.pk):
        mails.post(**{"letter": "tests_news", "about": "42", **wanted})


def job(cast):
    with scope.tenant(cast.tenant.pk):
        return Job.objects.get(kind=MAIL)


def test_nothing_is_sent_before_a_worker_sends_it(cast, post_office):
    post(cast)
    assert mail.outbox == []
    assert post_office(cast.tenant) == 1
    assert mail.outbox[0].to == ["someone@example.com"]
    assert SAID == [("42", "sent")]


def test_asked_for_twice_it_goes_once(cast, post_office):
    post(cast)
    post(cast)
    post_office(cast.tenant)
    assert len(mail.outbox) == 1


def test_a_name_cannot_smuggle_a_header_in(cast, post_office):
    post(cast)
    post_office(cast.tenant)
    assert mail.outbox[0].subject == "News Bcc: 42"


def test_each_member_with_the_role_gets_their_own(cast, post_office):
    with scope.tenant(cast.tenant.pk):
        mails.post_to_members(letter="tests_news", about="42", min_role=Role.ADMIN)
    assert post_office(cast.tenant) == 2
    assert sorted(m.to[0] for m in mail.outbox) == ["alice@example.com", "ann@example.com"]


def test_who_left_the_team_meanwhile_is_told_nothing(cast, post_office):
    with scope.tenant(cast.tenant.pk):
        mails.post_to_members(letter="tests_news", about="42", min_role=Role.ADMIN)
        Membership.objects.get(user=cast.ann).delete()
    post_office(cast.tenant)
    assert [m.to for m in mail.outbox] == [["alice@example.com"]]


def test_with_nothing_to_say_any_more_no_mail_goes_out(cast, post_office):
    post(cast, letter="tests_silence")
    post_office(cast.tenant)
    assert mail.outbox == []
    assert job(cast).state == JobState.DONE


@pytest.mark.parametrize(
    "error",
    [ConnectionRefusedError(), TimeoutError(), smtplib.SMTPServerDisconnected("gone")],
    ids=lambda error: type(error).__name__,
)
def test_a_mail_server_that_is_down_is_tried_again(cast, server, post_office, error):
    server.error = error
    post(cast)
    post_office(cast.tenant)
    assert SAID == [("42", "later")]
    assert job(cast).state == JobState.QUEUED
    assert job(cast).run_after > timezone.now()
    server.error = None
    with scope.tenant(cast.tenant.pk):
        Job.objects.update(run_after=timezone.now() - timedelta(seconds=1))
    post_office(cast.tenant)
    assert len(mail.outbox) == 1


def test_an_address_that_does_not_exist_is_not_tried_again(cast, server, post_office):
    server.error = smtplib.SMTPRecipientsRefused({"someone@example.com": (550, b"unknown")})
    post(cast)
    post_office(cast.tenant)
    assert SAID == [("42", "refused")]
    assert job(cast).state == JobState.DONE


def test_a_full_mailbox_is_tried_again(cast, server, post_office):
    server.error = smtplib.SMTPRecipientsRefused({"someone@example.com": (452, b"full")})
    post(cast)
    post_office(cast.tenant)
    assert SAID == [("42", "later")]


def test_a_letter_that_nobody_needs_any_more_is_given_up(cast, server, post_office):
    server.error = ConnectionRefusedError()
    post(cast, until=timezone.now() - timedelta(seconds=1))
    post_office(cast.tenant)
    assert SAID == [("42", "later"), ("42", "refused")]
    assert job(cast).state == JobState.DONE
