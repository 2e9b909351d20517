from django.apps import AppConfig


class IntegrationsConfig(AppConfig):
    name = "integrations"
    verbose_name = "Integrations"

    def ready(self) -> None:
        # Registers the job kind and the receivers, in web processes too.
        from integrations import tasks  # noqa: F401
        from integrations.services import guarding, runs  # noqa: F401

        guarding.register()
