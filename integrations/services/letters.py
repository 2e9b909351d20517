"""Mails about connections."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext as _

from calqsync.tenancy import mails
from calqsync.tenancy.models import Membership
from integrations.models import Connection
from integrations.models.connections import Trouble
from integrations.services.advice import advice_for
from integrations.sync import trouble


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
