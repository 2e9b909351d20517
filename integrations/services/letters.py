"""Mails about connections."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy import formats, mails
from calqsync.tenancy.models import Membership
from integrations.models import Connection, Credential
from integrations.models.connections import Trouble
from integrations.services.advice import advice_for
from integrations.sync import access, trouble


@mails.letter(trouble.LETTER)
def needs_you(about: str, reader: Membership | None) -> mails.Letter | None:
    """That a connection needs someone; None when it has been mended meanwhile."""
    found = (
        Connection.objects.select_related("tenant")
        .filter(public_id=about, trouble=Trouble.NEEDS_YOU, disconnected_at=None)
        .first()
    )
    if found is None or reader is None:
        return None
    name = mails.one_line(found.name)
    page = reverse("connection", args=[found.tenant.slug, found.public_id])
    return mails.Letter(
        to=reader.user.email,
        subject=_("%(name)s needs you: its figures stand still") % {"name": name},
        body=_(
            "CalqSync can no longer import %(company)s (connection %(name)s).\n\n"
            "%(advice)s\n\n"
            "Everything imported so far stays as it is. Open the connection:\n%(address)s\n\n"
            "This is the only mail about it. We try the connection once a day meanwhile.\n"
        )
        % {
            "company": mails.one_line(found.company_name),
            "name": name,
            "advice": advice_for(found.trouble_kind),
            "address": mails.link(page),
        },
    )


@mails.letter(trouble.ENDS_SOON)
def ends_soon(about: str, reader: Membership | None) -> mails.Letter | None:
    """That a consent is about to end; None when somebody has given another one."""
    found = (
        Connection.objects.select_related("tenant")
        .filter(public_id=about, disconnected_at=None)
        .first()
    )
    held = Credential.objects.filter(connection=found).exclude(end_told_at=None).first()
    if found is None or held is None or reader is None or (end := access.ends_at(held)) is None:
        return None
    name = mails.one_line(found.name)
    page = reverse("connection", args=[found.tenant.slug, found.public_id])
    return mails.Letter(
        to=reader.user.email,
        subject=_("%(name)s must be reconnected soon") % {"name": name},
        body=_(
            "The login by which CalqSync imports %(company)s (connection %(name)s) ends on"
            " %(day)s. Procountor asks for it again twice a year.\n\n"
            "Open the connection and press Reconnect, then nothing stops:\n%(address)s\n"
        )
        % {
            "company": mails.one_line(found.company_name),
            "name": name,
            "day": formats.day(end.date()),
            "address": mails.link(page),
        },
    )
