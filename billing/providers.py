"""Payment providers behind one interface; the test provider charges nobody."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """A provider's message: unique id, kind, and its body as received."""

    id: str
    kind: str
    body: dict[str, Any]


class Provider(Protocol):
    name: str

    def subscribe(self, *, tenant_public_id: str, plan: str) -> Event:
        """Start a plan; returns the provider's confirming event."""


class TestProvider:
    """Accepts every order at once, for trials of the product itself."""

    name = "test"

    def subscribe(self, *, tenant_public_id: str, plan: str) -> Event:
        return Event(
            id=f"test_{uuid.uuid4().hex}",
            kind="plan.started",
            body={"tenant": tenant_public_id, "plan": plan},
        )
