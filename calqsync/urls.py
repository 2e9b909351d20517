"""Every address of the product."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path

handler400 = "calqsync.tenancy.web.errors.bad_request"
handler403 = "calqsync.tenancy.web.errors.forbidden"
handler404 = "calqsync.tenancy.web.errors.not_found"
handler500 = "calqsync.tenancy.web.errors.server_error"

urlpatterns = [
    path("", include("calqsync.tenancy.urls")),
    path("", include("calqsync.tenancy.accounts.pages")),
    path("", include("calqsync.jobs.urls")),
    path("", include("billing.urls")),
    path("", include("integrations.urls")),
    path("", include("reporting.urls")),
    path("", include("calqsync.privacy.urls")),
    path("api/v1/", include("reporting.api.routes")),
    path("accounts/", include("allauth.urls")),
    path("admin/", admin.site.urls),
]

if settings.EMAIL_FILE_PATH and not settings.PRODUCTION:
    # Mails that go to a folder can be read on a page: the demo's mailbox. Anyone can open it, and
    # sign-in codes are in it, so that it must never stand on a real installation.
    urlpatterns += [path("local/", include("calqsync.local.mailbox"))]
