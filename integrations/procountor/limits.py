"""How a client is held back, and what it used. The shared limiter itself lives with the caller."""

from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol


class Limiter(Protocol):
    """Shared by every process that uses this API client id."""

    def acquire(self) -> float:
        """Wait for room for one request; the seconds waited come back."""
        ...

    def answered(self, kind: str) -> None:
        """The answer to the request of this thread's last turn begins to come; of what kind."""
        ...

    def penalise(self, seconds: float) -> None:
        """Procountor asked for a pause: nobody sends anything for so long."""
        ...


class NoLimit:
    """For tests and tools that talk to their own server; whoever asks."""

    def __init__(self, **_who: object) -> None: ...

    def acquire(self) -> float:
        return 0.0

    def answered(self, kind: str) -> None:
        return None

    def penalise(self, seconds: float) -> None:
        return None


@dataclass(slots=True)
class Usage:
    """What a client sent and received so far; safe to read while threads add to it."""

    requests: int = 0
    retries: int = 0
    bytes_received: int = 0
    seconds_waited: float = 0.0
    seconds_in_http: float = 0.0
    _lock: Lock = field(default_factory=Lock, repr=False, compare=False)

    def add(
        self,
        *,
        requests: int = 0,
        retries: int = 0,
        bytes_received: int = 0,
        seconds_waited: float = 0.0,
        seconds_in_http: float = 0.0,
    ) -> None:
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.bytes_received += bytes_received
            self.seconds_waited += seconds_waited
            self.seconds_in_http += seconds_in_http
