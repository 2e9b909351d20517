"""What to tell a person about a stored kind of failure."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from calqsync.tenancy.secrets import SecretUnreadable
from integrations.procountor.errors import NeedsOwner, ProcountorError, WrongCompany


def advice_for(kind: str) -> str:
    """The advice for a failure of this kind, translated; a general one for an unknown kind."""
    found = next((c for c in _kinds(ProcountorError) if c.kind == kind), None)
    if found is not None:
        return _(found.advice)
    if kind == SecretUnreadable.__name__:
        return _(SecretUnreadable.advice)
    return _("We have been told and look into it. Nothing that is imported is lost.")


def mends_by_reconnecting(kind: str) -> bool:
    """Whether a new login is what helps, rather than a change in Procountor alone."""
    found = next((c for c in _kinds(ProcountorError) if c.kind == kind), None)
    if found is None:
        return kind == SecretUnreadable.__name__
    return issubclass(found, NeedsOwner | WrongCompany) and kind != "right_missing"


def _kinds(of: type[ProcountorError]) -> Iterator[type[ProcountorError]]:
    for each in of.__subclasses__():
        yield each
        yield from _kinds(each)
