"""Structured logs on one line an event, with secrets removed by value and by name."""

from __future__ import annotations

import logging
import logging.config
import re
from collections import deque
from typing import Any

import structlog

_NAMES = re.compile(
    r"(authorization|api_key|access_token|refresh_token|client_secret|password|secret|cookie"
    r"|code)(['\"]?\s*[=:]\s*['\"]?)([^\s'\"&,}]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"(?i)bearer\s+[\w.~+/=-]+|eyJ[\w-]+\.[\w-]+\.[\w-]*")
_SECRET_KEYS = re.compile(r"(?i)token|secret|password|authorization|api_key|cookie")
_HIDDEN = "[hidden]"
# Bounded: a long-lived worker sees many tenants' keys, and old ones no longer occur in its logs.
_known: deque[str] = deque(maxlen=2000)


def remember_secret(value: str) -> None:
    """Remove this value from everything logged by this process from now on."""
    if len(value) >= 6 and value not in _known:
        _known.append(value)


def redact(text: str) -> str:
    """The text without known secrets, bearer tokens and values of secret-named parameters."""
    for secret in list(_known):
        if secret in text:
            text = text.replace(secret, _HIDDEN)
    text = _BEARER.sub(_HIDDEN, text)
    return _NAMES.sub(lambda m: f"{m[1]}{m[2]}{_HIDDEN}", text)


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
    return value


def scrub_event(event: Any, hint: Any) -> Any:
    """What an error report may carry outside: no cookies, no headers, no secrets."""
    if request := event.get("request"):
        for part in ("cookies", "headers", "data", "query_string", "env"):
            request.pop(part, None)
    return _clean("", event)


class RedactingFilter(logging.Filter):
    """The last door before a handler: also catches libraries that log on their own."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str):
            record.msg = redact(record.getMessage())
            record.args = ()
        return True


def configure(_: Any = None) -> None:
    """Set up structlog over the standard library's logging, as JSON lines on stderr."""
    from django.conf import settings

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
            "loggers": {"urllib3": {"level": "WARNING"}, "celery": {"level": "INFO"}},
        }
    )
