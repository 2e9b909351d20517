"""Mails to a company's owners about its deletion, and to whoever asked for an export."""

from __future__ import annotations

from zoneinfo import ZoneInfo

from django.urls import reverse
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from calqsync.privacy.models import Export, ExportState
from calqsync.tenancy import mails, scope
from calqsync.tenancy.formats import day
from calqsync.tenancy.models import Membership, Tenant

ASKED, UNDONE, SOON, READY = "privacy.asked", "privacy.undone", "privacy.soon", "privacy.export"


@mails.letter(ASKED)
def _asked(_about: str, reader: Membership | None) -> mails.Letter | None:
    return _about_deletion(
        reader,
        subject=_("%(company)s will be deleted on %(day)s"),
        body=_(
            "An owner asked to delete %(company)s from CalqSync. Imports have stopped, and on"
            " %(day)s everything is erased for good.\n\n"
            "Until then any owner can keep the company, or take out a copy of its data:\n%(link)s\n"
        ),
    )


@mails.letter(SOON)
def _soon(_about: str, reader: Membership | None) -> mails.Letter | None:
    return _about_deletion(
        reader,
        subject=_("%(company)s is erased on %(day)s"),
        body=_(
            "Three days are left: on %(day)s everything of %(company)s in CalqSync is erased for"
            " good. Nobody can bring it back after that.\n\n"
            "An owner can still keep the company, or take out a copy of its data:\n%(link)s\n"
        ),
    )


@mails.letter(UNDONE)
def _undone(_about: str, reader: Membership | None) -> mails.Letter | None:
    tenant = Tenant.objects.get(pk=scope.required())
    if reader is None or tenant.deletes_at is not None:
        return None
    company = mails.one_line(tenant.name)
    return mails.Letter(
        to=reader.user.email,
        subject=_("%(company)s stays") % {"company": company},
        body=_("An owner took back the deletion of %(company)s. Imports go on as before.\n")
        % {"company": company},
    )


@mails.letter(READY)
def _export_ready(about: str, reader: Membership | None) -> mails.Letter | None:
    export = Export.objects.filter(public_id=about, state=ExportState.READY).first()
    if export is None or reader is None:
        return None
    words = _words(Tenant.objects.get(pk=scope.required()))
    return mails.Letter(
        to=reader.user.email,
        subject=_("The copy of %(company)s's data is ready") % words,
        body=_(
            "You asked for a full copy of what CalqSync holds for %(company)s. It is ready, and"
            " kept for seven days. Sign in to download it:\n%(link)s\n\n"
            "If you did not ask for it, tell the other owners and change your password.\n"
        )
        % words,
    )


def _about_deletion(reader: Membership | None, *, subject: str, body: str) -> mails.Letter | None:
    tenant = Tenant.objects.get(pk=scope.required())
    if reader is None or tenant.deletes_at is None:
        return None  # taken back before the letter went out
    words = _words(tenant)
    return mails.Letter(to=reader.user.email, subject=subject % words, body=body % words)


def _words(tenant: Tenant) -> dict[str, str]:
    at = tenant.deletes_at
    return {
        "company": mails.one_line(tenant.name),
        "day": day(
            at and at.astimezone(ZoneInfo(tenant.time_zone)).date(), language=get_language()
        ),
        "link": mails.link(reverse("settings_data", args=[tenant.slug])),
    }
