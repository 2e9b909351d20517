"""The lanes that wake-ups travel in, and how much of each one tenant may use at a time."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings

from calqsync.jobs.models import Priority

# What a person waits for: workers are kept free for it.
INTERACTIVE = "interactive"
SYNC = "sync"
MAIL = "mail"
LANES = (INTERACTIVE, SYNC, "report", MAIL, "control")
# A person's import gives its place back after this long, and goes on as back-fill.
INTERACTIVE_SLICE = timedelta(seconds=10)
_AT_A_TIME = 2


def cap(lane: str) -> int:
    """How many jobs of one tenant may run in the lane at the same time."""
    return int(settings.RUNS_PER_TENANT) if lane == SYNC else _AT_A_TIME


def lane_of(own: str, priority: int) -> str:
    """The lane of a job of this priority whose kind travels in `own`."""
    # A mail server that hangs must not hold the places kept free for people.
    return INTERACTIVE if priority == Priority.INTERACTIVE and own != MAIL else own
