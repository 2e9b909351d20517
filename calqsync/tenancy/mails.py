"""Mails that must arrive: asked for in a transaction, written and sent by a worker, retried.

A letter is asked for by its name and the id of the thing that it is about; the words are put
together when it is sent, so that no secret and no address waits in a queue. Rooms above register
their letters with `letter` and ask for them with `post` or `post_to_members`.

A worker that dies between the sending and its record sends again: readers may get a letter twice.
"""

from __future__ import annotations

import re
import smtplib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import structlog
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction

from calqsync.tenancy.models import Membership, Role
from calqsync.tenancy.signals import letter_wanted

log = structlog.get_logger(__name__)
# How long a letter is worth sending when its caller does not say.
WORTH_SENDING = timedelta(days=2)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """One mail, ready to be sent: plain text."""

    to: str
    subject: str
    body: str


class Delivery(StrEnum):
    """How a try to send a letter ended; `LATER` is tried again."""

    SENT = "sent"
    LATER = "later"
    REFUSED = "refused"


# Writes the letter about the thing with this id, for this member if it is for one; None when
# there is nothing to say any more. Runs in a transaction, in the tenant's scope.
Writer = Callable[[str, Membership | None], Letter | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    write: Writer
    ended: Callable[[str, Delivery], None] | None


_kinds: dict[str, _Kind] = {}


def letter(
    name: str, *, ended: Callable[[str, Delivery], None] | None = None
) -> Callable[[Writer], Writer]:
    """Register the writer of a letter; `ended` hears of every try, with the thing's id."""

    def register(write: Writer) -> Writer:
        _kinds[name] = _Kind(write=write, ended=ended)
        return write

    return register


def letters() -> list[str]:
    """The names of all letters."""
    return sorted(_kinds)


def post(
    *, letter: str, about: str, member: Membership | None = None, until: datetime | None = None
) -> None:
    """Have the letter sent after the commit; asked for twice before it is sent, it goes once.

    It is tried until it is sent, refused for good, or `until` has passed (two days if not given).
    """
    if letter not in _kinds:
        raise LookupError(letter)
    letter_wanted.send(
        sender=None,
        letter=letter,
        about=about,
        member=str(member.public_id) if member else "",
        until=until.isoformat() if until else "",
    )


def post_to_members(
    *, letter: str, about: str, min_role: Role = Role.ADMIN, until: datetime | None = None
) -> None:
    """Have the letter sent to every member of the tenant in scope with at least this role."""
    for member in Membership.objects.select_related("user").order_by("pk"):
        if member.may(min_role) and member.user.is_active:
            post(letter=letter, about=about, member=member, until=until)


def deliver(
    *, letter: str, about: str, member: str = "", fence: Callable[[], None] = lambda: None
) -> Delivery:
    """Write and send one letter now; with nothing to say any more it counts as sent.

    No transaction is open while the mail server is spoken to. `fence` opens each one that writes.
    """
    with transaction.atomic():
        fence()
        written = _write(_kinds[letter], about, member)
    if written is None:
        return Delivery.SENT
    ended = _send(written)
    log.info("mail.tried", letter=letter, about=about, ended=ended)
    _tell(letter, about, ended, fence)
    return ended


def give_up(*, letter: str, about: str, fence: Callable[[], None] = lambda: None) -> None:
    """Tell whoever follows the letter that it will not arrive."""
    log.error("mail.given_up", letter=letter, about=about)
    _tell(letter, about, Delivery.REFUSED, fence)


def _write(kind: _Kind, about: str, member: str) -> Letter | None:
    if not member:
        return kind.write(about, None)
    reader = Membership.objects.select_related("user").filter(public_id=member).first()
    return kind.write(about, reader) if reader else None  # who left the team is told nothing


def _tell(letter: str, about: str, ended: Delivery, fence: Callable[[], None]) -> None:
    if (hears := _kinds[letter].ended) is not None:
        with transaction.atomic():
            fence()
            hears(about, ended)


def _send(written: Letter) -> Delivery:
    mail = EmailMessage(one_line(written.subject), written.body, to=[written.to])
    try:
        mail.send()
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _words in error.recipients.values()]
        return Delivery.REFUSED if codes and min(codes) >= 500 else Delivery.LATER
    except smtplib.SMTPDataError as error:
        return Delivery.REFUSED if error.smtp_code >= 500 else Delivery.LATER
    except (smtplib.SMTPException, OSError) as error:
        log.warning("mail.server_failed", error=type(error).__name__)
        return Delivery.LATER
    return Delivery.SENT


def one_line(text: str, *, limit: int = 200) -> str:
    """A name as it may stand in a mail: one line, no hidden characters, not endless."""
    flat = " ".join(_CONTROL.sub(" ", text).split())
    return flat if len(flat) <= limit else flat[: limit - 1] + "…"


def link(path: str) -> str:
    """The full address of one of our pages, whatever host the request named."""
    return f"{settings.SITE_URL}{path}"
