from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules


class JobsConfig(AppConfig):
    name = "calqsync.jobs"
    label = "jobs"
    verbose_name = "Jobs"

    def ready(self) -> None:
        # Web processes enqueue too, so every process knows every kind of job.
        autodiscover_modules("tasks")
