"""Admission of load tests: bandwidth in each direction, and the number of tests at once. Pure.

Tests are counted by key id, never by address: many sites may share an address, and a site may have several.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from wire.records import Direction


class Denial(Enum):
    """Limit because of which a test is not admitted."""

    BANDWIDTH = "bandwidth"
    SESSIONS = "sessions"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Limits of all tests together; ``tests_per_key`` is per direction, None for no such limit."""

    down_bps: int
    up_bps: int
    sessions: int
    tests_per_key: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """Admission of one test, to be released at its end."""

    key_id: int
    direction: Direction
    rate_bps: int


class Admission:
    """Counts running tests against the limits."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._bandwidth = {Direction.DOWN: limits.down_bps, Direction.UP: limits.up_bps}
        self._limits = limits
        self._used: Counter[Direction] = Counter()
        self._by_key: Counter[tuple[int, Direction]] = Counter()
        self._tickets: set[Ticket] = set()

    def admit(self, key_id: int, direction: Direction, rate_bps: int) -> Ticket | Denial:
        """Admit a test of ``rate_bps`` in ``direction``, or return the limit that denies it."""
        # Tests first: each costs a thread, however small its rate.
        if len(self._tickets) >= self._limits.sessions:
            return Denial.SESSIONS
        per_key = self._limits.tests_per_key
        if per_key is not None and self._by_key[key_id, direction] >= per_key:
            return Denial.KEY
        if self._used[direction] + rate_bps > self._bandwidth[direction]:
            return Denial.BANDWIDTH
        ticket = Ticket(key_id, direction, rate_bps)
        self._tickets.add(ticket)
        self._used[direction] += rate_bps
        self._by_key[key_id, direction] += 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Release a ticket; a second release changes nothing."""
        # An abandoned test is released by its client's next set-up, and again at its own end.
        if ticket not in self._tickets:
            return
        self._tickets.remove(ticket)
        self._used[ticket.direction] -= ticket.rate_bps
        self._by_key[ticket.key_id, ticket.direction] -= 1
        # A counter keeps its zeros: keys that are gone would stay in it for ever.
        if not self._by_key[ticket.key_id, ticket.direction]:
            del self._by_key[ticket.key_id, ticket.direction]

    @property
    def sessions(self) -> int:
        """Number of tests admitted at once, at most."""
        return self._limits.sessions

    @property
    def running(self) -> int:
        """Number of tests admitted now."""
        return len(self._tickets)
