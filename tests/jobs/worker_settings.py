"""The product's settings with cheap kinds of job, a hasty broker and, if asked, a wrong clock."""

import json
import os
import time

from django.utils import timezone

from calqsync import settings as product

globals().update({name: getattr(product, name) for name in dir(product) if name.isupper()})
INSTALLED_APPS = [*product.INSTALLED_APPS, "tests.jobs.cheap"]
CELERY_BROKER_TRANSPORT_OPTIONS = product.CELERY_BROKER_TRANSPORT_OPTIONS | json.loads(
    os.environ.get("TESTS_TRANSPORT", "{}")
)

if ahead := float(os.environ.get("TESTS_CLOCK_AHEAD", "0")):
    right = time.time
    time.time = lambda: right() + ahead

    def now():
        from datetime import UTC, datetime

        return datetime.fromtimestamp(time.time(), UTC)

    timezone.now = now
