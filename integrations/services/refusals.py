"""Why a connection is not made: each refusal with the words for the person who sees it."""

from __future__ import annotations

from django.utils.translation import gettext as _

from calqsync.tenancy.secrets import SecretUnreadable
from integrations.procountor.errors import KeyRevoked, Nonsense, ProcountorError, TryLater


class ConnectRefused(Exception):
    """The connection is not made; `title` and `advice` are for the person who sees it."""

    status = 403

    def __init__(self, title: str, advice: str, *, detail: str = "") -> None:
        super().__init__(title)
        self.title, self.advice, self.detail = title, advice, detail


class NotYourWalk(ConnectRefused):
    """Unknown state, another browser session, or another person: all look the same."""

    def __init__(self) -> None:
        super().__init__(
            _("This login does not belong to you here"),
            _(
                "It was started in another browser, by someone else, or not at all. Nothing was"
                " connected. Open Settings > Integrations and press Connect now."
            ),
        )


class RoleLost(ConnectRefused):
    def __init__(self) -> None:
        super().__init__(
            _("Your role does not allow this"),
            _("Only owners and admins connect accounts. Ask one of them. Nothing was connected."),
        )


class CompanyLeaving(ConnectRefused):
    """The company waits for its deletion, so there is nothing to connect to."""

    status = 409

    def __init__(self) -> None:
        super().__init__(
            _("The company is about to be deleted"),
            _(
                "Nothing was connected. To connect, keep the company first: an owner does that"
                " under Settings > Your data, with Keep the company."
            ),
        )


class WalkOver(ConnectRefused):
    """Expired, or used before."""

    status = 410

    def __init__(self) -> None:
        super().__init__(
            _("This login was used already or took too long"),
            _("A login can be used once, within ten minutes. Nothing was changed. Start again."),
        )


class LoginRefused(ConnectRefused):
    """Procountor sent the person back with an error instead of a code."""

    status = 400

    def __init__(self, error: str, detail: str) -> None:
        self.cancelled = error == "access_denied"
        super().__init__(
            _("You left Procountor's login. Nothing was connected.")
            if self.cancelled
            else _("Procountor did not let you in"),
            _("Start again when you are ready. Nothing was connected."),
            detail=": ".join(part for part in (error[:60], detail[:300]) if part),
        )


class RemoteRefused(ConnectRefused):
    """Procountor refused or failed while we asked whose books these are."""

    status = 502

    def __init__(self, failure: ProcountorError | SecretUnreadable, *, given: bool = False) -> None:
        """With `given`, what failed is what the person has just brought, not a key of ours."""
        self.kind = getattr(failure, "kind", type(failure).__name__)
        advice = _(failure.advice)
        if given and isinstance(failure, KeyRevoked):
            advice = _(
                "Procountor does not accept this key. Check that it was copied whole, was made"
                " for the client id that we show, and was not removed. Nothing was connected."
            )
        elif given and isinstance(failure, TryLater | Nonsense):
            advice = _(
                "Procountor does not answer properly at the moment. Nothing was connected."
                " Start again in a few minutes."
            )
        super().__init__(_("The connection could not be made"), advice, detail=str(failure))


class KeyNotAccepted(RemoteRefused):
    """The pasted key does not work, most often because it was not copied whole."""

    status = 422

    def __init__(self, failure: KeyRevoked) -> None:
        super().__init__(failure, given=True)


class AlreadyConnected(ConnectRefused):
    status = 409

    def __init__(self, company: str, name: str) -> None:
        super().__init__(
            _("%(company)s is connected already") % {"company": company},
            _(
                "It is connected under the name %(name)s. A company is connected once, so that"
                " nothing is counted twice. To connect another company, start again and choose"
                " it after Procountor's login."
            )
            % {"name": name},
        )


class BeingDeleted(ConnectRefused):
    status = 409

    def __init__(self, company: str) -> None:
        super().__init__(
            _("The data of %(company)s is still being deleted") % {"company": company},
            _("Nothing was connected. Try again in a few minutes."),
        )


class ConnectionGone(ConnectRefused):
    """The connection that was to be authorised anew was deleted meanwhile."""

    status = 409

    def __init__(self, company: str) -> None:
        super().__init__(
            _("The connection and its data were deleted meanwhile"),
            _(
                "Nothing was connected. To connect %(company)s anew, open Settings >"
                " Integrations and press Connect now."
            )
            % {"company": company},
        )


class OtherCompany(ConnectRefused):
    status = 409

    def __init__(self, *, name: str, expected: str, found: str) -> None:
        super().__init__(
            _("You chose another company"),
            _(
                "%(name)s belongs to %(expected)s, and you logged in to %(found)s. Nothing was"
                " changed. Start again and choose %(expected)s, or connect %(found)s as a"
                " connection of its own."
            )
            % {"name": name, "expected": expected, "found": found},
        )
