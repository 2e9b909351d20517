"""The WSGI entry that the web server runs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calqsync.settings")
application = get_wsgi_application()

from calqsync.tenancy.roles import refuse_dangerous_role  # noqa: E402 - needs Django set up

refuse_dangerous_role()
