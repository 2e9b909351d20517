"""The WSGI entry that the web server runs."""

import os
from collections.abc import Callable, Iterable
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "calqsync.settings")
try:
    _django = get_wsgi_application()
except ImproperlyConfigured as problem:
    raise SystemExit(str(problem)) from None

from calqsync.tenancy.isolation.roles import exit_on_dangerous_role
from calqsync.tenancy.secrets import exit_on_wrong_keys

exit_on_dangerous_role()
exit_on_wrong_keys()

# The server hands the process's environment, secrets included, to every request. What no request
# holds can stand in no report about one; a `Proxy:` header is no proxy for us either.
_ENVIRONMENT = frozenset(os.environ)


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answer one request."""
    for name in _ENVIRONMENT & environ.keys():
        del environ[name]
    return _django(environ, start_response)
