"""What can go wrong with Procountor, as types: each knows whether to wait, ask or stop.

The messages are for logs and never hold a secret. `advice` is the sentence for the person who
sees the failure: a plain English constant, translated by the caller.
"""

from typing import ClassVar

from integrations.procountor import redaction

LONGEST_DETAIL = 300


def _(message: str) -> str:
    """Mark a sentence for translation; the caller translates it when it is shown."""
    return message


class ProcountorError(Exception):
    """Procountor could not be read. `kind` is stable and may be stored."""

    kind: ClassVar[str] = "procountor"
    advice: ClassVar[str] = _("Procountor could not be read. We are looking into it.")

    def __init__(self, detail: str = "", *, status: int | None = None, path: str = "") -> None:
        self.detail = redaction.clean(detail)[:LONGEST_DETAIL]
        self.status = status
        self.path = path[:100]
        super().__init__(self.detail)

    def __str__(self) -> str:
        parts = (str(self.status) if self.status else "", self.path, self.detail)
        return " ".join(part for part in parts if part) or self.kind

    def __reduce__(self) -> tuple[object, ...]:
        # An error may cross a process border, where only the cleaned text may go.
        return _rebuilt, (type(self), self.__dict__.copy())


def _rebuilt(cls: type[ProcountorError], state: dict[str, object]) -> ProcountorError:
    error = cls.__new__(cls)
    error.__dict__.update(state)
    error.args = (state["detail"],)
    return error


class TryLater(ProcountorError):
    """A passing trouble: time-out, cut connection, 5xx. The same call may work later.

    `retry_after` is the number of seconds that Procountor asked for, if it asked.
    """

    kind = "try_later"
    advice = _("Procountor does not answer at the moment. We will try again shortly.")

    def __init__(
        self,
        detail: str = "",
        *,
        retry_after: float | None = None,
        status: int | None = None,
        path: str = "",
    ) -> None:
        super().__init__(detail, status=status, path=path)
        self.retry_after = retry_after


class TimedOut(TryLater):
    """No answer, or not all of it, in the time that we give a request."""

    kind = "timed_out"


class RateLimited(TryLater):
    """Procountor said 429: every caller of this API client must slow down."""

    kind = "rate_limited"
    advice = _("Procountor is busy. We will go on as soon as it lets us.")


class ClientSuspended(TryLater):
    """Procountor refuses our API client itself, for every company: no call leaves until a person
    of ours has settled it with Procountor. Asking again would make it worse.

    `status` is Procountor's own where this answer is how we learnt it, else None.
    """

    kind = "client_suspended"
    advice = _(
        "Procountor does not let CalqSync in at the moment, for any company. We have been told and"
        " are settling it with Procountor. There is nothing to do: your figures stay as they are"
        " and imports go on by themselves."
    )


class NeedsOwner(ProcountorError):
    """Waiting does not help; someone with rights in Procountor must act."""

    kind = "needs_owner"
    advice = _("Reconnect Procountor to keep your figures fresh.")


class KeyRevoked(NeedsOwner):
    """The API key or consent no longer works."""

    kind = "key_revoked"
    advice = _(
        "The key was removed in Procountor, or its user has left the company. Reconnect to keep "
        "your figures fresh."
    )


class RenewalLost(KeyRevoked):
    """A renewal's answer never arrived, and the key it replaced no longer works."""

    kind = "renewal_lost"
    advice = _(
        "The connection broke off while Procountor renewed our key, and the old key no longer "
        "works. Reconnect to keep your figures fresh."
    )


class CodeRefused(NeedsOwner):
    """The code from the login was used, too old, or made for someone else."""

    kind = "code_refused"
    advice = _("The login took too long or was used already. Connect Procountor again.")


class ClientsNotAllowed(NeedsOwner):
    """The very first call was refused: most often the company has not opened its API."""

    kind = "clients_not_allowed"
    advice = _(
        "Procountor refused the connection. An administrator must tick Management > Company info "
        "> Usage settings > Integration settings > Allow the usage of invoiceable API clients. "
        "Then connect again."
    )


class RightMissing(NeedsOwner):
    """The user behind the key may not read this."""

    kind = "right_missing"
    advice = _(
        "The Procountor user behind this connection may not read this. "
        "Give the user viewing rights in Procountor, then sync again."
    )


class WrongCompany(ProcountorError):
    """The token belongs to another company than the connection."""

    kind = "wrong_company"
    advice = _(
        "Procountor answered for another company. Nothing was imported. "
        "Reconnect and choose the company of this connection."
    )

    def __init__(self, *, expected: int, found: int) -> None:
        super().__init__(f"expected company {expected}, found {found}")
        self.expected = expected
        self.found = found


class Nonsense(ProcountorError):
    """A success that cannot be one: HTML, cut JSON, a page that repeats, a redirect."""

    kind = "nonsense"
    advice = _(
        "Procountor's answer made no sense, so nothing of it was stored. We will try again later."
    )


class OurFault(ProcountorError):
    """Procountor refused the request itself; repeating it would not help."""

    kind = "our_fault"
    advice = _("We asked Procountor something that it refused. We have been told and will fix it.")


class NotFound(OurFault):
    """Nothing there, or nothing that this user may see: Procountor does not say which."""

    kind = "not_found"
    advice = _("Procountor no longer has this, or its user may not see it.")
