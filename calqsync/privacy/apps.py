from django.apps import AppConfig


class PrivacyConfig(AppConfig):
    name = "calqsync.privacy"
    label = "privacy"
    verbose_name = "Privacy"

    def ready(self) -> None:
        from calqsync.privacy import letters, notices, receivers  # noqa: F401 - registers them
        from calqsync.privacy.models import ExportPart
        from calqsync.privacy.services.exports import sealed_as
        from calqsync.tenancy import context, secrets

        secrets.sealed_column(
            ExportPart,
            "body",
            connection_id=lambda part: 0,
            field=lambda part: sealed_as(part.export, part.position),
            needs=("export_id", "position"),
            bulky=True,
        )
        # Before the trial's line: a company that is about to go has no other news.
        context.notices.insert(0, notices.deletion_notice)
