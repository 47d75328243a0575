"""Who may run a load test now: bandwidth in each direction, and how many tests at once.

Counted by key id, never by address: behind one address there may be many sites, and one site may have many.
"""

from collections import Counter
from dataclasses import dataclass
from enum import Enum

from wire.records import Direction


class Denial(Enum):
    """Why a test is not admitted."""

    BANDWIDTH = "bandwidth"
    SESSIONS = "sessions"
    KEY = "key"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """What the peer may spend. ``tests_per_key``: at once in one direction, None for no such limit."""

    down_bps: int
    up_bps: int
    sessions: int
    tests_per_key: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Ticket:
    """One admitted test; to be given back."""

    key_id: int
    direction: Direction
    rate_bps: int


class Admission:
    """Keeps count of the tests that run."""

    def __init__(self, capacity: AdmissionLimits) -> None:
        self._limit = {Direction.DOWN: capacity.down_bps, Direction.UP: capacity.up_bps}
        self._capacity = capacity
        self._used: Counter[Direction] = Counter()
        self._by_key: Counter[tuple[int, Direction]] = Counter()
        self._tickets: set[Ticket] = set()

    def admit(self, key_id: int, direction: Direction, rate_bps: int) -> Ticket | Denial:
        """A ticket for a test of ``rate_bps`` in ``direction``, or why there is none."""
        if len(self._tickets) >= self._capacity.sessions:
            return Denial.SESSIONS
        per_key = self._capacity.tests_per_key
        if per_key is not None and self._by_key[key_id, direction] >= per_key:
            return Denial.KEY
        if self._used[direction] + rate_bps > self._limit[direction]:
            return Denial.BANDWIDTH
        ticket = Ticket(key_id, direction, rate_bps)
        self._tickets.add(ticket)
        self._used[direction] += rate_bps
        self._by_key[key_id, direction] += 1
        return ticket

    def release(self, ticket: Ticket) -> None:
        """Give a ticket back; a second time changes nothing."""
        if ticket not in self._tickets:
            return
        self._tickets.remove(ticket)
        self._used[ticket.direction] -= ticket.rate_bps
        self._by_key[ticket.key_id, ticket.direction] -= 1
        if not self._by_key[ticket.key_id, ticket.direction]:
            del self._by_key[ticket.key_id, ticket.direction]

    @property
    def sessions(self) -> int:
        """How many tests may hold a ticket at once."""
        return self._capacity.sessions

    @property
    def running(self) -> int:
        """How many tests hold a ticket."""
        return len(self._tickets)
