"""Settings of every process; each value comes from the environment or has a safe default.

``CALQSYNC_ENV`` is ``production`` (https, ``__Host-`` cookies, no debug), ``demo`` (plain http on
localhost) or ``test``. A secret has no default: a process without its secrets refuses to start.
"""

from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

import environ
from csp.constants import NONCE, NONE, SELF
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.FileAwareEnv()

CALQSYNC_ENV = env.str("CALQSYNC_ENV", "production")
if CALQSYNC_ENV not in {"production", "demo", "test"}:
    raise ImproperlyConfigured("CALQSYNC_ENV is production, demo or test")
PRODUCTION = CALQSYNC_ENV == "production"
DEBUG = False

# A file of a key (SECRET_KEY_FILE) may end with a line end, which is no part of the key.
SECRET_KEY = env.str("SECRET_KEY").strip()
# Keys that still open what they signed; no empty one, which anybody could sign with.
SECRET_KEY_FALLBACKS = [
    key.strip() for key in env.list("SECRET_KEY_FALLBACKS", default=[]) if key.strip()
]
ENCRYPTION_KEYS = env.str("ENCRYPTION_KEYS")
SITE_URL = env.str("SITE_URL", "http://localhost:8000").rstrip("/")
_site_host = SITE_URL.split("://", 1)[-1].split(":")[0]
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[_site_host])
CSRF_TRUSTED_ORIGINS = [SITE_URL]

INSTALLED_APPS = [
    "calqsync.tenancy.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "csp",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "calqsync.tenancy",
    "calqsync.jobs",
    "billing",
    "integrations",
    "reporting",
    "calqsync.privacy",
    "calqsync.local",
]

MIDDLEWARE = [
    "csp.middleware.CSPMiddleware",
    "calqsync.tenancy.web.middleware.WebMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "calqsync.tenancy.audit.acting.ActingMiddleware",
    "calqsync.tenancy.accounts.sessions.SignedSessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "calqsync.tenancy.accounts.sign_in.SessionRules",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "calqsync.urls"
WSGI_APPLICATION = "calqsync.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "calqsync.tenancy.web.middleware.nonce",
                "calqsync.tenancy.context.shell",
            ],
        },
    }
]

# One database, four roles: the app role owns nothing and is bound by row-level security. A process
# gets the addresses that it needs; an alias without an address does not exist in it.
_ENGINE = "calqsync.tenancy.backend"


def _database(url: str, *, max_age: int) -> dict[str, object]:
    parsed = environ.Env.db_url_config(url, engine=_ENGINE)
    # Persistent connections are safe: every tenant setting is local to one transaction.
    return {**parsed, "CONN_MAX_AGE": max_age, "CONN_HEALTH_CHECKS": True}


DATABASES = {
    "default": {**_database(env.str("DATABASE_URL"), max_age=600), "ATOMIC_REQUESTS": True},
}
for _alias, _max_age in {"owner": 0, "dispatcher": 600, "support": 60}.items():
    if _url := env.str(f"DATABASE_{_alias.upper()}_URL", ""):
        DATABASES[_alias] = _database(_url, max_age=_max_age)
DATABASE_ROUTERS = [
    "calqsync.tenancy.isolation.roles.OwnerMigrates",
    "calqsync.tenancy.support.routing.SupportReads",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_USER_MODEL = "tenancy.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 10},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
]
PASSWORD_RESET_TIMEOUT = int(timedelta(hours=1).total_seconds())
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
LOGOUT_REDIRECT_URL = "/"

# How many proxies of ours stand in front and add to X-Forwarded-For. With 0 the header is not
# believed, and the address of the connection counts: limits and audit rows go by it.
ALLAUTH_TRUSTED_PROXY_COUNT = env.int("TRUSTED_PROXY_COUNT", 0)
ACCOUNT_ADAPTER = "calqsync.tenancy.accounts.sign_in.AccountAdapter"
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_SIGNUP_FORM_CLASS = "calqsync.tenancy.forms.CompanySignup"
ACCOUNT_FORMS = {"signup": "calqsync.tenancy.accounts.forms.EvenSignupForm"}
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_VERIFICATION_BY_CODE_ENABLED = True
# Neither is offered: allauth can do both for new addresses only, which tells the known ones.
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_RESEND = False
ACCOUNT_EMAIL_VERIFICATION_SUPPORTS_CHANGE = False
# One address a person: a new one takes the old one's place once it is confirmed.
ACCOUNT_CHANGE_EMAIL = True
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_NOTIFICATIONS = True
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_SESSION_REMEMBER = True
# Changing the password, the address or a second step asks again who it is, as `fresh` pages do.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_REAUTHENTICATION_TIMEOUT = 600
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if PRODUCTION else "http"
# Attempts per address of the caller (ip) and per account (key, user). docs/accounts.md tells
# people how long to wait; right passwords do not count.
ACCOUNT_RATE_LIMITS = {
    "login": "30/m/ip,300/h/ip",
    "login_failed": "10/m/ip,100/h/ip,5/5m/key,20/h/key",
    "signup": "20/m/ip,60/h/ip",
    "reset_password": "20/m/ip,60/h/ip,3/10m/key",
    "reset_password_from_key": "20/m/ip",
    "reauthenticate": "10/m/user",
    "change_password": "5/m/user",
    "manage_email": "10/m/user",
    "confirm_email": "1/10s/key,10/h/key",
}
MFA_ADAPTER = "calqsync.tenancy.accounts.sign_in.SecondStepAdapter"
MFA_FORMS = {"add_webauthn": "calqsync.tenancy.accounts.forms.AddKeyForm"}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_ISSUER = "CalqSync"
# The list of sessions shows when each was last seen; accounts.SessionRules writes it.
USERSESSIONS_TRACK_ACTIVITY = True
# For how long a session may stay unused, and for how long it may last at all.
SESSION_IDLE = timedelta(days=14)
SESSION_LIFE = timedelta(days=30)
STAFF_SESSION_IDLE = timedelta(hours=2)
STAFF_SESSION_LIFE = timedelta(hours=12)

REDIS_URL = env.str("REDIS_URL")
_REDIS_CACHE = {
    "LOCATION": REDIS_URL,
    "OPTIONS": {"socket_connect_timeout": 1, "socket_timeout": 1},
}
CACHES = {
    "default": {
        **_REDIS_CACHE,
        "BACKEND": "calqsync.tenancy.web.cache.SteadyRedisCache",
        # Apart from what releases before `PlainSerializer` wrote.
        "KEY_PREFIX": "calqsync-plain",
    },
    # Rendered pieces of pages of figures, sealed (docs/interface.md, Kept pieces).
    "pages": {
        **_REDIS_CACHE,
        "BACKEND": "calqsync.tenancy.web.cache.ForgetfulRedisCache",
        "KEY_PREFIX": "calqsync-pages",
        "TIMEOUT": 900,
    },
}
SESSION_ENGINE = "calqsync.tenancy.accounts.sessions"
SESSION_SERIALIZER = "calqsync.tenancy.accounts.sessions.SealedSerializer"
SESSION_COOKIE_AGE = int(SESSION_IDLE.total_seconds())
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_NAME = "__Host-session" if PRODUCTION else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if PRODUCTION else "csrf"
BROWSER_COOKIE_NAME = "__Host-browser" if PRODUCTION else "browser"
CONNECT_COOKIE_NAME = "__Host-connect" if PRODUCTION else "connect"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION and env.bool("SECURE_SSL_REDIRECT", True)
SECURE_HSTS_SECONDS = 63_072_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
SECURE_PROXY_SSL_HEADER = (
    ("HTTP_X_FORWARDED_PROTO", "https") if env.bool("BEHIND_TLS_PROXY", False) else None
)
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Messages in the session, because a cookie of theirs would hold names out of the books.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"
# No form of ours is larger, and no file is ever sent to us.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
DATA_UPLOAD_MAX_NUMBER_FILES = 1
# Names under which the support console may be opened; any of ALLOWED_HOSTS if empty.
ADMIN_HOSTS = env.list("ADMIN_HOSTS", default=[])
# What costs much: how often per person, how often per company. `api`: per token, per company;
# `token`: tokens that open nothing, twice by the caller's address.
LIMITS = {
    "export": ("10/minute", "20/minute"),
    "search": ("60/minute", "240/minute"),
    "figures": ("60/minute", "240/minute"),
    "connect": ("30/hour", "60/hour"),
    "sync": ("60/hour", "120/hour"),
    # Of changes that concern many customers alone; the others are quick.
    "preview": ("10/minute", "20/minute"),
    "api": ("120/minute", "600/minute"),
    "token": ("20/minute", "100/hour"),
    "token_made": ("20/hour", "60/hour"),
}
LIMITS_STORAGE = REDIS_URL
PROCOUNTOR_BASE_URL = env.str("PROCOUNTOR_BASE_URL", "https://api.procountor.com").rstrip("/")
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        # Only tags that carry the nonce of their own page; the support console adds 'self'.
        "script-src": [NONCE],
        "style-src": [SELF],
        "img-src": [SELF, "data:"],
        "font-src": [SELF],
        "connect-src": [SELF],
        # "Connect now" is a form whose answer leads to Procountor's login.
        "form-action": [SELF, "://".join(urlsplit(PROCOUNTOR_BASE_URL)[:2])],
        "base-uri": [NONE],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
    }
}

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English")]
LOCALE_PATHS = [BASE_DIR / "calqsync" / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

STATIC_URL = "static/"
STATIC_ROOT = env.str("STATIC_ROOT", str(BASE_DIR / ".calqsync" / "static"))
STATICFILES_DIRS = [
    BASE_DIR / "calqsync" / "static",
    *(p for p in [BASE_DIR / "static-build"] if p.is_dir()),
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}
WHITENOISE_USE_FINDERS = not PRODUCTION
WHITENOISE_ALLOW_ALL_ORIGINS = False

EMAIL_FILE_PATH = env.str("EMAIL_FILE_DIR", "")
if EMAIL_FILE_PATH:
    EMAIL_BACKEND = "django.core.mail.backends.filebased.EmailBackend"
else:
    vars().update(env.email_url("EMAIL_URL", default="smtp://localhost:25"))
# A mail server that does not answer must not hold a page for longer.
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("DEFAULT_FROM_EMAIL", "CalqSync <no-reply@localhost>")
# Who runs this installation: written to when an import stops by a fault of ours.
OPERATOR_EMAIL = env.str("OPERATOR_EMAIL", "")

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["rest_framework.authentication.SessionAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CalqSync API",
    "DESCRIPTION": "Read a company's figures and documents by a token. Amounts are integers of"
    " minor units of the currency beside them; ids are UUIDs; lists are paged by an opaque cursor.",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVERS": [{"url": SITE_URL}],
    "POSTPROCESSING_HOOKS": ["reporting.api.schema.with_components"],
    # Nothing of the server that one is asked for by: the description is the same for everybody.
    "SERVE_INCLUDE_SCHEMA": False,
}

# The broker is a doorbell: losing its memory costs seconds and no work.
JOB_LEASE_SECONDS = env.float("JOB_LEASE_SECONDS", 90.0)
JOB_HEARTBEAT_SECONDS = env.float("JOB_HEARTBEAT_SECONDS", 10.0)
DISPATCH_SECONDS = env.float("DISPATCH_SECONDS", 5.0)
JOB_SLICE_SECONDS = env.float("JOB_SLICE_SECONDS", 240.0)
# How many imports of one tenant run side by side, beside those that a person asked for.
RUNS_PER_TENANT = env.int("RUNS_PER_TENANT", 1)
# A worker that hears nothing for so long while jobs wait for it ends, to be started anew.
JOB_DEAF_SECONDS = env.float("JOB_DEAF_SECONDS", 300.0)
SYNC_EVERY_HOURS = env.float("SYNC_EVERY_HOURS", 6.0)

CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT = "calqsync.jobs.broker:Transport"
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_DEFAULT_QUEUE = "interactive"
# A message is only a nudge: acknowledged late so that a dying worker gives it back, and
# harmless when delivered twice because the claim in the job table decides.
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = False
# Slices end by themselves. One that does not is stopped with an exception, then killed; both
# well before the broker would hand its message to somebody else.
CELERY_TASK_SOFT_TIME_LIMIT = JOB_SLICE_SECONDS + 30
CELERY_TASK_TIME_LIMIT = JOB_SLICE_SECONDS + 60
# With late acknowledgement a worker holds as many messages as it has processes, and no more.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_MAX_TASKS_PER_CHILD = 500
CELERY_WORKER_MAX_MEMORY_PER_CHILD = 400_000  # KB; looked at between two jobs
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 30
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
# However long the broker is away, and whatever it answers when it is full or still loading.
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_CONNECTION_MAX_RETRIES = None
CELERY_BROKER_CHANNEL_ERROR_RETRY = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 600,
    # Without these two, redelivery of a killed worker's messages waits 100 s more.
    "unacked_restore_interval": 1,
    "unacked_restore_throttle": 1,
    # A connection that fell silent is noticed in a minute or two; workers wait for a message
    # a second at a time.
    "socket_timeout": 10,
    "socket_connect_timeout": 3,
    "socket_keepalive": True,
    "health_check_interval": 25,
}

PROCOUNTOR_API_PATH = env.str("PROCOUNTOR_API_PATH", "supported").strip("/")
PROCOUNTOR_CLIENT_ID = env.str("PROCOUNTOR_CLIENT_ID", "")
PROCOUNTOR_CLIENT_SECRET = env.str("PROCOUNTOR_CLIENT_SECRET", "")
PROCOUNTOR_REDIRECT_URI = env.str(
    "PROCOUNTOR_REDIRECT_URI", f"{SITE_URL}/integrations/procountor/callback/"
)
PROCOUNTOR_MAX_RPS = env.float("PROCOUNTOR_MAX_RPS", 15.0)
TRIAL_DAYS = 14

LOG_LEVEL = env.str("LOG_LEVEL", "INFO")
LOGGING_CONFIG = "calqsync.tenancy.logs.configure"
LOGGING = {"version": 1}  # Django calls LOGGING_CONFIG only if this is not empty

if SENTRY_DSN := env.str("SENTRY_DSN", ""):
    from calqsync.tenancy.logs import report_errors

    report_errors(SENTRY_DSN)

# Every process that reads the settings sends its wake-ups to this application's broker.
from calqsync.celery import app as celery_app  # noqa: E402

__all__ = ["celery_app"]
