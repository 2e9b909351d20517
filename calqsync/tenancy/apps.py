from django.apps import AppConfig
from django.contrib.admin import apps as admin


class TenancyConfig(AppConfig):
    default = True
    name = "calqsync.tenancy"
    label = "tenancy"
    verbose_name = "Tenants and people"

    def ready(self) -> None:
        from calqsync.tenancy import secrets
        from calqsync.tenancy.tokens import services  # noqa: F401 - hears of new passwords, has a letter

        secrets.check_configuration()


class ConsoleConfig(admin.AdminConfig):
    """Django's admin with our site around it."""

    default = False
    default_site = "calqsync.tenancy.support.console.SupportSite"
