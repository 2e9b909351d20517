"""Structured logs on one line an event, with secrets removed by value and by name."""

from __future__ import annotations

import json
import logging
import logging.config
import re
import threading
from collections import OrderedDict
from threading import Lock
from typing import Any
from urllib.parse import quote_plus, urlsplit

import sentry_sdk
import structlog
from django.core.exceptions import SuspiciousOperation

# A value beside the name of a secret: in a query, a form, JSON, a header or a repr.
_NAME = (
    r"[\w-]*(?:token|secret|passw(?:or)?d|api_?-?key|data_key|encryption_keys?|authorization"
    r"|cookie|session_?(?:id|key)|csrf\w*|verifier|private_key)"
)
_NAMES = re.compile(
    rf"""((?<![\w-]){_NAME}["']?\s*[=:]\s*)(?!\[hidden\])((?:bearer|basic|token)\s+)?"""
    r"""("(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s'"&,;}\])]+)""",
    re.IGNORECASE,
)
# Words that are secret in an address or a form alone: a status has a code and a state, too.
_IN_QUERY = re.compile(
    r"((?:^|[?&\s'\"])(?:code|state|key|otp)=)(?!\[hidden\])([^\s&'\"]+)", re.IGNORECASE
)
_BEARER = re.compile(
    r"(?i)\b(?:bearer|basic)\s+[\w.~+/=-]{8,}|\beyJ[\w-]{5,}\.[\w-]+(?:\.[\w-]*)?"
    r"|\bcalqsync_[0-9a-z]{48}\b"
)
_URL_PASSWORD = re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s:/@]*:)([^\s@/]+)(@)", re.IGNORECASE)
_SECRET_KEYS = re.compile(
    r"(?i)token|secret|passw|authorization|api_?key|cookie|csrf|session_?key|data_key|encryption"
)
_HIDDEN = "[hidden]"
_SHORTEST = 6
# A shorter password of our own, as in development, may be an ordinary word.
_LONG_ENOUGH = 12
# Bounded: a long-lived worker sees many tenants' keys, and old ones no longer occur in its logs.
_MOST = 1000
_known: OrderedDict[str, None] = OrderedDict()
# The process's own: never forgotten.
_own: dict[str, None] = {}
_lock = Lock()


def remember_secret(value: str, *, for_good: bool = False) -> None:
    """Remove this value, plain or as it stands in an address, from all that is logged later."""
    if len(value) < _SHORTEST:
        return
    with _lock:
        for form in {value, quote_plus(value), json.dumps(value)[1:-1]}:
            if for_good:
                _own[form] = None
                continue
            _known[form] = None
            _known.move_to_end(form)
        while len(_known) > _MOST:
            _known.popitem(last=False)


def redact(text: str) -> str:
    """The text without known secrets, bearer tokens and values of secret-named parameters."""
    with _lock:
        known = [*_own, *_known]
    for secret in known:
        if secret in text:
            text = text.replace(secret, _HIDDEN)
    text = _BEARER.sub(_HIDDEN, text)
    text = _URL_PASSWORD.sub(rf"\1{_HIDDEN}\3", text)
    text = _NAMES.sub(rf"\1{_HIDDEN}", text)
    return _IN_QUERY.sub(rf"\1{_HIDDEN}", text)


def _redact_event(logger: Any, name: str, event: dict[str, Any]) -> dict[str, Any]:
    return {key: _clean(key, value) for key, value in event.items()}


def _clean(key: str, value: Any) -> Any:
    if _SECRET_KEYS.search(key):
        return _HIDDEN
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {k: _clean(str(k), v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean("", item) for item in value]
    if isinstance(value, BaseException):
        return redact(f"{type(value).__name__}: {value}")
    return value


def scrub_event(event: Any, hint: Any) -> Any:
    """What an error report may carry outside: no cookies, no headers, no secrets."""
    if request := event.get("request"):
        for part in ("cookies", "headers", "data", "query_string", "env"):
            request.pop(part, None)
    return _clean("", event)


def scrub_crumb(crumb: Any, hint: Any) -> Any:
    """A step before an error, without what it was given."""
    return _clean("", crumb)


# Each kind that Sentry would collect by itself, said: what is left out of this is collected.
_NOTHING_ENTERED: Any = {
    "user_info": False,
    "cookies": {"mode": "off"},
    "http_headers": {"request": {"mode": "off"}},
    "http_bodies": [],
    "url_query_params": {"mode": "off"},
    "graphql": {"document": False, "variables": False},
    "gen_ai": {"inputs": False, "outputs": False},
    "database_query_data": False,
    "queues": False,
    # Whatever a function held when it failed: tokens, rows, whole answers.
    "stack_frame_variables": False,
}


def report_errors(dsn: str, **options: Any) -> None:
    """Send errors to Sentry: what happened and where, without anything that a person entered."""
    sentry_sdk.init(
        dsn,
        data_collection=_NOTHING_ENTERED,
        include_local_variables=False,
        max_request_body_size="never",
        before_send=scrub_event,
        before_send_transaction=scrub_event,
        before_breadcrumb=scrub_crumb,
        **options,
    )


class RedactingFilter(logging.Filter):
    """The last door before a handler: also catches libraries that log on their own."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, dict):
            return True  # from structlog, and clean already
        record.msg = redact(_said(record))
        record.args = ()
        if record.exc_info and isinstance(record.exc_info[1], SuspiciousOperation):
            # Somebody's odd request is one line, not the stack that it went through.
            record.exc_info = record.exc_text = None
        return True


def _said(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # a library's mistake in its own format string loses no event
        return str(record.msg)


def _log_uncaught(args: threading.ExceptHookArgs) -> None:
    error = args.exc_value
    if error is not None and args.exc_type is not SystemExit:
        where = args.thread.name if args.thread else ""
        structlog.get_logger(__name__).critical("thread.died", thread=where, exc_info=error)


def _remember_own() -> None:
    """The secrets of the process itself, so that a dump of its settings shows none of them."""
    from django.conf import settings

    own = [
        settings.SECRET_KEY,
        *settings.SECRET_KEY_FALLBACKS,
        settings.ENCRYPTION_KEYS,
        getattr(settings, "PROCOUNTOR_CLIENT_SECRET", ""),
        getattr(settings, "EMAIL_HOST_PASSWORD", ""),
        *(str(database.get("PASSWORD") or "") for database in settings.DATABASES.values()),
        urlsplit(getattr(settings, "REDIS_URL", "")).password or "",
    ]
    for secret in own:
        if secret and len(secret) >= _LONG_ENOUGH:
            remember_secret(secret, for_good=True)


def configure(_: Any = None) -> None:
    """Set up structlog over the standard library's logging, as JSON lines on stderr."""
    from django.conf import settings

    _remember_own()
    threading.excepthook = _log_uncaught
    logging.captureWarnings(True)
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _redact_event,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    logging.config.dictConfig(
        {
            "version": 1,
            "disable_existing_loggers": False,
            "filters": {"redact": {"()": RedactingFilter}},
            "formatters": {
                "json": {
                    "()": structlog.stdlib.ProcessorFormatter,
                    "processors": [
                        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                        structlog.processors.JSONRenderer(),
                    ],
                    "foreign_pre_chain": shared,
                }
            },
            "handlers": {
                "stderr": {
                    "class": "logging.StreamHandler",
                    "formatter": "json",
                    "filters": ["redact"],
                }
            },
            "root": {"handlers": ["stderr"], "level": settings.LOG_LEVEL},
            "loggers": {
                # Django's own handlers would mail and print what did not pass the filter.
                "django": {"handlers": [], "level": "INFO", "propagate": True},
                "django.server": {"handlers": [], "propagate": True},
                # These write whole requests and answers at debug level.
                "urllib3": {"level": "WARNING"},
                "requests_oauthlib": {"level": "INFO"},
                "oauthlib": {"level": "INFO"},
                "celery": {"level": "INFO"},
            },
        }
    )
