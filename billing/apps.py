from django.apps import AppConfig


class BillingConfig(AppConfig):
    name = "billing"

    def ready(self) -> None:
        from billing import notices
        from calqsync.tenancy import context

        context.notices.append(notices.trial_notice)
