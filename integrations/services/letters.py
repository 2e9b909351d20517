"""Mails about connections, each written from the facts as they are when it is sent.

`integrations.sync.trouble` asks for them. A letter whose fact no longer holds is not sent.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.db.models import Min
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from calqsync.tenancy import formats, mails
from calqsync.tenancy.models import Membership
from integrations.models import (
    Connection,
    Credential,
    Invoice,
    Rejection,
    RemovalHold,
    SyncRun,
    SyncStream,
)
from integrations.models.connections import Trouble
from integrations.models.runs import Stream
from integrations.sync import access, breaker, trouble
from integrations.sync.advice import PARTLY, advice_for, happened


@mails.letter(trouble.LETTER)
def needs_you(about: str, reader: Membership | None) -> mails.Letter | None:
    """That a connection needs someone; None when it has been mended meanwhile."""
    found = _connection(about, trouble=Trouble.NEEDS_YOU)
    if found is None or reader is None:
        return None
    subject = (
        _("%(name)s needs you: a part of it is not imported")
        if found.trouble_kind == PARTLY
        else _("%(name)s needs you: its figures stand still")
    )
    return _letter(
        reader,
        found,
        subject,
        _("CalqSync can no longer import all of %(company)s (connection %(name)s)."),
        "%(happened)s %(advice)s",
        _("Everything imported so far stays as it is. %(age)s"),
        _("Open the connection:\n%(address)s"),
        _(
            "We try the connection once a day meanwhile, and remind you once a week. There you"
            " can also pause it, if it is no longer needed."
        ),
    )


@mails.letter(trouble.STANDS_STILL)
def stands_still(about: str, reader: Membership | None) -> mails.Letter | None:
    """That figures have become old without anybody's help being needed; None once they go on."""
    found = _connection(about, trouble__in=[Trouble.WAITING, Trouble.OUR_FAULT])
    if found is None or reader is None:
        return None
    return _letter(
        reader,
        found,
        _("%(name)s: its figures stand still"),
        _(
            "CalqSync has not been able to import %(company)s (connection %(name)s)"
            " since %(since)s."
        ),
        "%(happened)s",
        _("You need not do anything: we go on trying by ourselves, and write when it works again."),
        _("Everything imported so far stays as it is. %(age)s"),
        _("How it stands:\n%(address)s"),
    )


@mails.letter(trouble.REMINDER)
def still_broken(about: str, reader: Membership | None) -> mails.Letter | None:
    """The weekly reminder of a trouble that lasts; None when it is over or imports are paused."""
    found = _connection(about, trouble_told_at__isnull=False, paused_at=None)
    if found is None or reader is None or not found.trouble:
        return None
    what_helps = (
        "%(advice)s"
        if found.trouble == Trouble.NEEDS_YOU
        else _("You need not do anything: we go on trying by ourselves.")
    )
    return _letter(
        reader,
        found,
        _("Reminder: %(name)s is still not imported"),
        _(
            "CalqSync has not been able to import %(company)s (connection %(name)s)"
            " since %(since)s."
        ),
        f"%(happened)s {what_helps}",
        _("Everything imported so far stays as it is. %(age)s"),
        _("Open the connection, to mend it or to pause it with one click:\n%(address)s"),
        _("We go on trying and remind you once a week. A paused connection is not tried."),
    )


@mails.letter(trouble.WORKS_AGAIN)
def works_again(about: str, reader: Membership | None) -> mails.Letter | None:
    """That the trouble of an earlier letter is over; None when there is another one already."""
    found = _connection(about, trouble=Trouble.NONE, trouble_told_at=None)
    if found is None or reader is None or found.data_as_of is None:
        return None
    return _letter(
        reader,
        found,
        _("%(name)s works again"),
        _("CalqSync imports %(company)s (connection %(name)s) again."),
        _("Nothing was lost: what changed in Procountor meanwhile has been imported. %(age)s"),
        _("Open the connection:\n%(address)s"),
    )


@mails.letter(trouble.FIRST_IMPORT)
def first_import(about: str, reader: Membership | None) -> mails.Letter | None:
    """That all of a company was imported for the first time, with what that was."""
    found = _connection(about, first_import_at__isnull=False)
    if found is None or reader is None:
        return None
    return _letter(
        reader,
        found,
        _("%(name)s is imported: your figures are ready"),
        _("CalqSync has imported all of %(company)s (connection %(name)s):"),
        _imported(found),
        *_set_aside(found),
        _("Your dashboard:\n%(dashboard)s"),
        _("From now on it is brought up to date by itself. When, and how often:\n%(address)s"),
    )


@mails.letter(trouble.VANISHED)
def vanished(about: str, reader: Membership | None) -> mails.Letter | None:
    """Whether documents that vanished at once were deleted; None once that is settled."""
    open_ = RemovalHold.objects.filter(public_id=about, ended_at=None, confirmed_at=None)
    hold = open_.select_related("connection__tenant").first()
    if hold is None or reader is None or hold.connection.disconnected_at is not None:
        return None
    return _letter(
        reader,
        hold.connection,
        _("%(name)s: were %(missing)s %(what)s deleted?"),
        _(
            "An import of %(company)s (connection %(name)s) no longer found %(missing)s of"
            " %(stored)s %(what)s. So many at once are more often a right that was taken from the"
            " Procountor user than documents that were deleted."
        ),
        _("Nothing was removed: they still count in your figures, and do so until you say."),
        _("Look again, or say that they were deleted:\n%(address)s"),
        missing=formats.count(hold.missing),
        stored=formats.count(hold.stored),
        what=str(hold.get_stream_display()).lower(),
    )


@mails.letter(trouble.ENDS_SOON)
def ends_soon(about: str, reader: Membership | None) -> mails.Letter | None:
    """That a consent is about to end; None when somebody has given another one."""
    found = _connection(about)
    held = Credential.objects.filter(connection=found).exclude(end_told_at=None).first()
    if found is None or held is None or reader is None or (end := access.ends_at(held)) is None:
        return None
    return _letter(
        reader,
        found,
        _("%(name)s must be reconnected soon"),
        _(
            "The login by which CalqSync imports %(company)s (connection %(name)s) ends on"
            " %(day)s. Procountor asks for it again twice a year."
        ),
        _("Open the connection and press Reconnect, then nothing stops:\n%(address)s"),
        day=formats.day(end.date()),
    )


@mails.letter(trouble.OPERATOR)
def our_fault(about: str, reader: Membership | None) -> mails.Letter | None:
    """To those who run CalqSync: an import stopped by a fault of ours, in which company and why."""
    found = _connection(about, trouble=Trouble.OUR_FAULT)
    if found is None or not settings.OPERATOR_EMAIL:
        return None
    return mails.Letter(
        to=settings.OPERATOR_EMAIL,
        # Ids and kinds alone: whose books they are is for the console to show.
        subject=f"CalqSync: an import stopped by a fault of ours ({found.trouble_kind})",
        body=(
            f"Company {found.tenant.public_id}, connection {found.public_id}:"
            f" {found.trouble_kind}.\n\n"
            "Read the error and press Retry when it is mended:\n"
            f"{mails.link(reverse('admin:tenancy_tenant_change', args=[found.tenant_id]))}\n\n"
            "The schedule tries again by itself. This is the only mail about it.\n"
        ),
    )


@mails.letter(breaker.LETTER)
def client_suspended(about: str, reader: Membership | None) -> mails.Letter | None:
    """To those who run CalqSync: Procountor refuses our client, so that no call leaves any more."""
    standing = breaker.standing_suspension()
    if standing is None or str(standing.pk) != about or not settings.OPERATOR_EMAIL:
        return None
    return mails.Letter(
        to=settings.OPERATOR_EMAIL,
        subject="CalqSync: Procountor refuses our API client, all imports wait",
        body=(
            f"{standing.get_reason_display()}.\n{standing.detail}\n\n"
            "No call leaves for Procountor any more, for any company. Settle it with Procountor,"
            " then open the way again:\n"
            f"{mails.link(reverse('admin:integrations_client'))}\n\n"
            "Nothing opens it by itself. This is the only mail about it.\n"
        ),
    )


def _connection(about: str, **facts: Any) -> Connection | None:
    found: Connection | None = (
        Connection.objects.select_related("tenant")
        .filter(public_id=about, disconnected_at=None, **facts)
        .first()
    )
    return found


def _letter(
    reader: Membership, found: Connection, subject: str, *parts: str, **more: str
) -> mails.Letter:
    """The letter of these paragraphs, with the connection's facts where they name them."""
    ids = [found.tenant.slug, found.public_id]
    words = {
        "name": mails.one_line(found.name),
        "company": mails.one_line(found.company_name),
        "happened": happened(found.trouble_kind, found.trouble),
        "advice": advice_for(found.trouble_kind) if found.trouble else "",
        "since": _moment(found, found.trouble_since),
        "age": _age(found),
        "address": mails.link(reverse("connection", args=ids)),
        "dashboard": mails.link(reverse("financial", args=[found.tenant.slug])),
        **more,
    }
    paragraphs = [(part % words).strip() for part in parts]
    body = "\n\n".join(part for part in paragraphs if part)
    return mails.Letter(to=reader.user.email, subject=subject % words, body=body + "\n")


def _moment(found: Connection, at: datetime | None) -> str:
    return formats.moment(at, zone=ZoneInfo(found.tenant.time_zone))


def _age(found: Connection) -> str:
    if found.data_as_of is None:
        return _("Nothing has been imported completely yet.")
    words = {
        "moment": _moment(found, found.data_as_of),
        "ago": formats.ago(found.data_as_of, now=timezone.now()),
    }
    return _("The figures are as of %(moment)s (%(ago)s).") % words


def _imported(found: Connection) -> str:
    """What the first import stored, a line for each kind of document."""
    run = (
        SyncRun.objects.filter(connection=found, mode="first", finished_at__isnull=False)
        .order_by("-started_at", "-pk")
        .first()
    )
    read = dict(SyncStream.objects.filter(run=run).values_list("stream", "fetched"))
    lines = [
        f"- {stream.label}: {formats.count(read[stream.value])}"
        for stream in Stream
        if read.get(stream.value)
    ]
    oldest = Invoice.objects.filter(connection=found).aggregate(day=Min("date"))["day"]
    if oldest is not None:
        lines.append(_("Complete back to %(month)s.") % {"month": formats.month(oldest, long=True)})
    # The paragraph is filled in with the words of the letter, and counts hold no such mark.
    return "\n".join(lines).replace("%", "%%")


def _set_aside(found: Connection) -> list[str]:
    number = Rejection.objects.filter(connection=found, ignored_at=None).count()
    if not number:
        return []
    page = mails.link(reverse("connection_rejected", args=[found.tenant.slug, found.public_id]))
    told = ngettext(
        "%(number)s document could not be understood and was set aside:\n%(page)s",
        "%(number)s documents could not be understood and were set aside:\n%(page)s",
        number,
    )
    return [(told % {"number": formats.count(number), "page": page}).replace("%", "%%")]
