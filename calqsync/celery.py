"""The Celery application: thin wake-up messages over a broker whose memory may be lost."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calqsync.settings")

app = Celery("calqsync")


def _configure() -> None:
    from django.conf import settings  # only readable once the settings module is named

    app.conf.update(
        broker_url=settings.REDIS_URL,
        result_backend=None,
        task_ignore_result=True,
        accept_content=["json"],
        task_serializer="json",
        task_default_queue="interactive",
        # A message is only a nudge: acknowledged late so that a dying worker gives it back,
        # and harmless when delivered twice because the claim in the job table decides.
        task_acks_late=True,
        task_reject_on_worker_lost=False,
        task_time_limit=settings.JOB_SLICE_SECONDS + 60,
        worker_prefetch_multiplier=1,
        worker_max_tasks_per_child=500,
        worker_soft_shutdown_timeout=30,
        worker_enable_soft_shutdown_on_idle=True,
        worker_cancel_long_running_tasks_on_connection_loss=True,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={
            "visibility_timeout": 600,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
            "socket_timeout": 30,
            "socket_keepalive": True,
            "health_check_interval": 25,
        },
        beat_schedule={},
    )


_configure()
app.autodiscover_tasks()
