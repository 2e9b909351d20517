"""Names of connections: short, one line, unique within a tenant whatever their case."""

from __future__ import annotations

import re
import unicodedata

from django.core.exceptions import ValidationError
from django.db.models import Value
from django.db.models.functions import Lower
from django.utils.translation import gettext as _

from integrations.models import Connection

LONGEST = 60


def clean_name(name: str, *, but: Connection | None = None) -> str:
    """The name as it is stored; raises ValidationError when empty, too long or taken.

    `but` is the connection that may keep its own name.
    """
    name = tidy(name)
    if not name:
        raise ValidationError(_("Give the connection a name, such as EU account."))
    if len(name) > LONGEST:
        raise ValidationError(_("A name has at most %d characters.") % LONGEST)
    if _taken(name, but):
        raise ValidationError(_("The name %(name)s is taken. Choose another one.") % {"name": name})
    return name


def suggested_name(company_name: str) -> str:
    """A free name for a company: its own, or its own with a number."""
    base = tidy(company_name)[: LONGEST - 4].strip() or "Procountor"
    for name in (base, *(f"{base} {number}" for number in range(2, 100))):
        if not _taken(name, None):
            return name
    return ""


def tidy(name: str) -> str:
    """One line of printable characters, without space at its ends."""
    plain = "".join(c if c.isprintable() else " " for c in unicodedata.normalize("NFC", name))
    return re.sub(r"\s+", " ", plain).strip()


def _taken(name: str, but: Connection | None) -> bool:
    # By the database's own lower(), which is what the unique index uses.
    same = Connection.objects.annotate(lower=Lower("name")).filter(lower=Lower(Value(name)))
    if but is not None:
        same = same.exclude(pk=but.pk)
    return bool(same.exists())
