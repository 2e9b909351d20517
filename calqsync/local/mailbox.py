"""The demo's mailbox page: what the product has mailed, read from the folder of its mails."""

from __future__ import annotations

import email
import email.policy
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path, reverse
from django.views.decorators.http import require_safe

_SEPARATOR = "-" * 79


@dataclass(frozen=True, slots=True)
class Mail:
    """One outgoing mail; `key` addresses it within the mailbox."""

    key: str
    sender: str
    to: str
    subject: str
    at: datetime
    body: str

    @property
    def url(self) -> str:
        return reverse("mailbox_mail", args=[self.key])


def mails(folder: Path) -> list[Mail]:
    """Every mail in the folder, newest first."""
    found = []
    for file in folder.glob("*.log") if folder.is_dir() else []:
        for number, text in enumerate(file.read_text(errors="replace").split(_SEPARATOR)):
            if text.strip():
                found.append(_mail(f"{file.stem}-{number}", text.lstrip("\n")))
    return sorted(found, key=lambda mail: mail.at, reverse=True)


def _mail(key: str, text: str) -> Mail:
    message = email.message_from_string(text, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    body = message.get_body(("plain",))
    sent = message["Date"]
    return Mail(
        key=key,
        sender=str(message["From"] or ""),
        to=str(message["To"] or ""),
        subject=str(message["Subject"] or ""),
        at=parsedate_to_datetime(sent) if sent else datetime.fromtimestamp(0, UTC),
        body=body.get_content() if body else "",
    )


@require_safe
def mailbox(request: HttpRequest, key: str = "") -> HttpResponse:
    """All mails, or the one that `key` names; exists in the demo only."""
    found = mails(Path(settings.EMAIL_FILE_PATH))
    chosen = next((mail for mail in found if mail.key == key), None)
    if key and chosen is None:
        raise Http404
    return render(
        request,
        "local/mailbox.html",
        {"mails": found, "mail": chosen, "mailbox_url": reverse("mailbox")},
    )


urlpatterns = [
    path("mailbox/", mailbox, name="mailbox"),
    path("mailbox/<str:key>/", mailbox, name="mailbox_mail"),
]
