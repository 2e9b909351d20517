from django.apps import AppConfig
from django.contrib.admin import apps as admin


class TenancyConfig(AppConfig):
    default = True
    name = "calqsync.tenancy"
    label = "tenancy"
    verbose_name = "Tenants and people"

    def ready(self) -> None:
        from calqsync.tenancy import secrets

        secrets.check_configuration()


class ConsoleConfig(admin.AdminConfig):
    """Django's admin with our site around it."""

    default = False
    default_site = "calqsync.tenancy.support.console.SupportSite"
