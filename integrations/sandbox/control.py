"""Changes from outside: faults, edits, counters, a dump of all documents."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from integrations.sandbox import edits
from integrations.sandbox.company import Company
from integrations.sandbox.errors import ApiError
from integrations.sandbox.http import Request, Response
from integrations.sandbox.render import encode

if TYPE_CHECKING:
    from integrations.sandbox.app import App


@dataclass(slots=True)
class Control:
    """Serves `/_sandbox/…`: GET counts, ledger, truth; POST fault, clear, revoke, clock, edit …"""

    app: "App"

    def __call__(self, request: Request) -> Response:
        name = request.path.removeprefix("/_sandbox/")
        options = json.loads(request.body) if request.body else dict(request.params())
        action: Callable[..., Response] | None = getattr(self, f"do_{name}", None)
        if action is None:
            raise ApiError(404, "No such control")
        try:
            return action(**options)
        except (TypeError, ValueError, KeyError) as error:
            raise ApiError(400, f"{type(error).__name__}: {error}") from error

    def company(self, slug: str) -> Company:
        for company in self.app.companies.values():
            if company.slug == slug:
                return company
        raise ApiError(404, f"No company {slug}")

    def do_counts(self) -> Response:
        return Response(200, encode(self.app.counts()))

    def do_reset(self) -> Response:
        """Forget the counts and the log."""
        self.app.log.clear()
        self.app.meter.reset()
        self.app.busy.most = self.app.busy.now
        return Response(200, b"{}")

    def do_fault(self, **options: Any) -> Response:
        if "company" in options:
            options["company"] = self.company(options["company"]).id
        self.app.faults.add(**options)
        return Response(200, b"{}")

    def do_clear(self) -> Response:
        self.app.faults.clear()
        return Response(200, b"{}")

    def do_revoke(self, company: str) -> Response:
        self.app.mint.revoke_company(self.company(company).id)
        return Response(200, b"{}")

    def do_suspend(self, what: str = "all") -> Response:
        """Refuse our API client as `server.Handle.suspend` does."""
        self.app.suspended = what
        return Response(200, b"{}")

    def do_edit(self, company: str, action: str, **options: Any) -> Response:
        """An edit by name (see `edits.ACTIONS`); answers what the edit returns."""
        done = edits.ACTIONS[action](self.company(company), **options)
        return Response(200, encode(done))

    def do_truth(self, company: str) -> Response:
        """The truth about every row as generated, one JSON object a line."""
        lines = [encode(row) for row in self.company(company).truth()]
        return Response(200, b"\n".join(lines) + b"\n", "application/x-ndjson")

    def do_clock(self, company: str, ahead: float) -> Response:
        """Set the company's clock wrong by so many seconds."""
        self.company(company).clock_ahead = timedelta(seconds=ahead)
        return Response(200, b"{}")

    def do_ledger(self, company: str, kind: str = "invoices") -> Response:
        """Every document as it is now, one JSON object a line (see `Company.register`)."""
        found = self.company(company)
        entries = found.documents() if kind == "invoices" else found.register(kind)
        lines = [encode(entry) for entry in entries]
        return Response(200, b"\n".join(lines) + b"\n", "application/x-ndjson")
