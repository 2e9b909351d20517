from django.apps import AppConfig


class LocalConfig(AppConfig):
    """The embedded stack; it has no tables."""

    name = "calqsync.local"
    label = "local"
