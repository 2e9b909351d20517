from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "calqsync.jobs"
    label = "jobs"
    verbose_name = "Jobs"
