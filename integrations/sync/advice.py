"""What to tell a person about a stored kind of failure."""

from __future__ import annotations

from collections.abc import Iterator

from django.utils.translation import gettext as _

from calqsync.tenancy.secrets import SecretUnreadable
from integrations.models.connections import Trouble
from integrations.procountor.errors import NeedsOwner, ProcountorError, RightMissing, WrongCompany

# The kind of a trouble with which everything else is imported.
PARTLY = RightMissing.kind
# Nothing failed, and yet the import that was due did not come.
LATE = "late"


def advice_for(kind: str) -> str:
    """The advice for a failure of this kind, translated; a general one for an unknown kind."""
    found = next((c for c in _kinds(ProcountorError) if c.kind == kind), None)
    if found is not None:
        return _(found.advice)
    if kind == SecretUnreadable.__name__:
        return _(SecretUnreadable.advice)
    return _("We have been told and look into it. Nothing that is imported is lost.")


def happened(kind: str, trouble: str) -> str:
    """What stopped an import or holds it up, in one sentence; `trouble` as `Trouble` has it."""
    if trouble == Trouble.OUR_FAULT:
        return _("The import met something that it could not handle.")
    if trouble == Trouble.NEEDS_YOU:
        said = {
            "key_revoked": _("Procountor no longer accepts our key."),
            "renewal_lost": _("The renewal of our key broke off."),
            "clients_not_allowed": _("Procountor refused the connection."),
            "right_missing": _("The Procountor user behind this connection lacks a right."),
            "wrong_company": _("Procountor answered for another company."),
            "SecretUnreadable": _("The stored key can no longer be read."),
        }
        return said.get(kind, _("The import could not go on."))
    said = {
        "client_suspended": _(
            "Procountor has suspended our program for everyone who uses it. We settle that "
            "with them; there is nothing that you need to do."
        ),
        "rate_limited": _("Procountor is busy and asked us to wait."),
        "timed_out": _("Procountor did not answer in time."),
        "nonsense": _("Procountor's answer made no sense."),
        LATE: _("The import that was due has not come."),
    }
    return said.get(kind, _("Procountor is busy or does not answer."))


def mends_by_reconnecting(kind: str) -> bool:
    """Whether a new login is what helps, rather than a change in Procountor alone."""
    found = next((c for c in _kinds(ProcountorError) if c.kind == kind), None)
    if found is None:
        return kind == SecretUnreadable.__name__
    return issubclass(found, NeedsOwner | WrongCompany) and kind != PARTLY


def _kinds(of: type[ProcountorError]) -> Iterator[type[ProcountorError]]:
    for each in of.__subclasses__():
        yield each
        yield from _kinds(each)
