from django.apps import AppConfig


class TenancyConfig(AppConfig):
    name = "calqsync.tenancy"
    label = "tenancy"
    verbose_name = "Tenants and people"

    def ready(self) -> None:
        from calqsync.tenancy import secrets

        secrets.check_configuration()
