"""The Celery application: thin wake-up messages over a broker whose memory may be lost."""

import gc
import os
import sys
from typing import Any

import django
from celery import Celery
from celery.signals import (
    beat_init,
    celeryd_init,
    setup_logging,
    worker_init,
    worker_process_init,
    worker_ready,
)
from django.core.exceptions import ImproperlyConfigured

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calqsync.settings")

app = Celery("calqsync")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.set_default()


@setup_logging.connect
def _keep_our_logging(**_: Any) -> None:
    """Connecting to this signal keeps Celery from replacing the redacting log set-up."""


@worker_init.connect
@beat_init.connect
def _refuse_to_start_unsafe(**_: Any) -> None:
    from calqsync.tenancy.isolation.roles import exit_on_dangerous_role
    from calqsync.tenancy.secrets import exit_on_wrong_keys

    exit_on_dangerous_role()
    exit_on_wrong_keys()


@worker_process_init.connect
def _collect_seldom(**_: Any) -> None:
    """Walk no code and settings in search of garbage, and walk less often.

    Both live as long as the process, and rows by the thousand hold no cycles: a tenth of an
    import's processor time went into looking for them.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


@celeryd_init.connect
def _tell_its_name(sender: str, **_: Any) -> None:
    from calqsync.jobs import services

    services.node = sender


@worker_ready.connect
def _watch_over_itself(sender: Any, **_: Any) -> None:
    from calqsync.jobs.watch import begin

    begin(sender)


if "calqsync.settings" not in sys.modules:
    # This is where a worker or the dispatcher begins; others come here from their settings.
    try:
        django.setup()
    except ImproperlyConfigured as problem:
        raise SystemExit(str(problem)) from None
