"""Jobs of the product itself: letters."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.dispatch import receiver
from django.utils import timezone

from calqsync.jobs.runner import job_task
from calqsync.jobs.services import ClaimedJob, Outcome, enqueue
from calqsync.tenancy import mails
from calqsync.tenancy.signals import letter_wanted

MAIL = "calqsync.mail"
_SHORTEST, _LONGEST = timedelta(seconds=30), timedelta(hours=1)


@receiver(letter_wanted, dispatch_uid="mail_as_job")
def enqueue_letter(letter: str, about: str, member: str, until: str, **_: Any) -> None:
    """One job a letter and reader, so that a refused address holds nobody else's mail back."""
    now = timezone.now()
    enqueue(
        kind=MAIL,
        key=":".join(part for part in (letter, about, member) if part),
        payload={
            "letter": letter,
            "about": about,
            "member": member,
            "since": now.isoformat(),
            "until": until or (now + mails.WORTH_SENDING).isoformat(),
        },
    )


@job_task(name=MAIL, queue="mail")
def mail(job: ClaimedJob) -> Outcome:
    """Send one letter, and try again for as long as it is worth sending."""
    wanted = job.payload
    letter, about = wanted["letter"], wanted["about"]
    ended = mails.deliver(letter=letter, about=about, member=wanted["member"], fence=job.fence)
    if ended is not mails.Delivery.LATER:
        return Outcome.done()
    now = timezone.now()
    if now >= datetime.fromisoformat(wanted["until"]):
        mails.give_up(letter=letter, about=about, fence=job.fence)
        return Outcome.done()
    # Half the time that it has waited already: quick at first, hourly in a long outage.
    waited = (now - datetime.fromisoformat(wanted["since"])) / 2
    return Outcome.again(min(max(waited, _SHORTEST), _LONGEST), resets=False)
