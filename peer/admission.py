"""Admission of load tests: bandwidth in each direction, and the number of tests at once. Pure.

Both are shared by key and by address: ``reputation`` says what a holder is, and how far it is trusted.

| state of a test | event | next state |
|---|---|---|
| pending | its client proves that it hears | running |
| pending | a set-up that finds no room may displace it | displaced: it ends |
| pending | 2 s without an activation | released: a miss of its holder |
| running | its end | released |

A set-up that finds no room may displace a pending test in these cases:

| of the pending test | of the set-up |
|---|---|
| a lower trust | a higher trust |
| DOUBTFUL, as is the set-up's | the newer one: who hears activates at once, a flood never does |
| its key has more than half of all tests or bandwidth | another key with no more than half, not doubtful |
| its address has more than half | the same key, another address with no more than half, not doubtful |

Running tests are never displaced. A PROVEN holder that finds no room has a turn: for 10 s those that used the
room leave as much of it free. A turn that is not taken is a miss.
"""

from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum

from peer.reputation import Holder, Reputation, Trust
from wire.records import Direction

_S = 1_000_000_000
TURN_NS = 10 * _S
"""Time that a turn lasts: an agent that found no room comes back after 4 s."""

MOST_TURNS = 16


class Denial(Enum):
    """Limit because of which a test is not admitted."""

    BANDWIDTH = "bandwidth"
    SESSIONS = "sessions"
    KEY = "key"
    WAITING = "waiting"
    TURN = "turn"


@dataclass(frozen=True, slots=True)
class AdmissionLimits:
    """Limits of all tests together; ``tests_per_key`` is per direction, None for no such limit."""

    down_bps: int
    up_bps: int
    sessions: int
    tests_per_key: int | None = None


@dataclass(slots=True, eq=False)
class Ticket:
    """Admission of one test, to be released at its end."""

    holder: Holder
    direction: Direction
    rate_bps: int
    trust: Trust
    pending: bool = True


@dataclass(frozen=True, slots=True)
class Admitted:
    """Ticket of an admitted test, and those that it displaced: their tests are to be ended."""

    ticket: Ticket
    displaced: tuple[Ticket, ...] = ()


@dataclass(frozen=True, slots=True)
class _Turn:
    """Room that the holders who use it leave free until a time."""

    direction: Direction
    rate_bps: int
    users: frozenset[Holder]
    until: int


class Admission:
    """Counts tests against the limits. Times are monotonic ns."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._bandwidth = {Direction.DOWN: limits.down_bps, Direction.UP: limits.up_bps}
        self._limits = limits
        self._reputation = Reputation()
        self._tickets: dict[Ticket, None] = {}  # in the order of their set-ups
        self._turns: OrderedDict[Holder, _Turn] = OrderedDict()

    def trust(self, holder: Holder, now: int) -> Trust:
        """Present trust of a holder."""
        return self._reputation.trust(holder, now)

    def admit(self, holder: Holder, direction: Direction, rate_bps: int, now: int) -> Admitted | Denial:
        """Admit a test of ``rate_bps`` in ``direction``, or return the limit that denies it."""
        if now < self._reputation.waits_until(holder, now):
            return Denial.WAITING
        self._end_turns(now)
        trust = self._reputation.trust(holder, now)
        asked = Ticket(holder, direction, rate_bps, trust)
        displaced: list[Ticket] = []
        weaker = self._displaceable(asked)
        while (denial := self._denial(asked, displaced)) is not None:
            following = next((one for one in weaker if _helps(one, asked, denial)), None)
            if following is None:
                self._take_turn(asked, denial, now)
                return denial
            weaker.remove(following)
            displaced.append(following)
        for ticket in displaced:
            self.release(ticket, now)
        self._tickets[asked] = None
        self._turns.pop(holder, None)
        return Admitted(asked, tuple(displaced))

    def _displaceable(self, asked: Ticket) -> list[Ticket]:
        """Pending tests that a set-up may displace: the lowest trust first, then the oldest."""
        found = [one for one in self._tickets if one.pending and self._may_displace(asked, one)]
        return sorted(found, key=lambda one: one.trust)

    def _may_displace(self, asked: Ticket, one: Ticket) -> bool:
        if one.trust < asked.trust:
            return True
        if asked.trust is Trust.DOUBTFUL:
            return one.trust is Trust.DOUBTFUL
        if one.holder == asked.holder or asked.trust < Trust.UNKNOWN:
            return False
        return self._has_more_than_half(one, asked) and not self._has_more_than_half(
            asked, one, and_itself=True
        )

    def _has_more_than_half(self, one: Ticket, other: Ticket, *, and_itself: bool = False) -> bool:
        """Check the share of a test's key, or of its address where the key is that of the other one."""
        by_address = _same_key(one, other)
        share = [
            ticket for ticket in self._tickets
            if (ticket.holder == one.holder if by_address else _same_key(ticket, one))
        ] + [one] * and_itself  # fmt: skip
        rate = sum(ticket.rate_bps for ticket in share if ticket.direction is other.direction)
        return 2 * len(share) > self._limits.sessions or 2 * rate > self._bandwidth[other.direction]

    def _denial(self, asked: Ticket, without: Collection[Ticket]) -> Denial | None:
        tickets = [one for one in self._tickets if one not in without]
        # Tests first: each costs a thread, however small its rate.
        if len(tickets) >= self._limits.sessions:
            return Denial.SESSIONS
        alike = [one for one in tickets if one.direction is asked.direction]
        per_key = self._limits.tests_per_key
        if per_key is not None and sum(_same_key(one, asked) for one in alike) >= per_key:
            return Denial.KEY
        used = sum(one.rate_bps for one in alike) + asked.rate_bps
        if used > self._bandwidth[asked.direction]:
            return Denial.BANDWIDTH
        turns = [turn for turn in self._turns.values() if asked.holder in turn.users]
        reserved = sum(turn.rate_bps for turn in turns if turn.direction is asked.direction)
        if len(tickets) + len(turns) >= self._limits.sessions or (
            reserved and used + reserved > self._bandwidth[asked.direction]
        ):
            return Denial.TURN
        return None

    def _end_turns(self, now: int) -> None:
        for holder in [holder for holder, turn in self._turns.items() if turn.until <= now]:
            del self._turns[holder]
            self._reputation.missed(holder, now)

    def _take_turn(self, asked: Ticket, denial: Denial, now: int) -> None:
        """Give the next turn to a holder that found no room."""
        # Others, perhaps of forged addresses, would keep room free that nobody uses.
        if denial is Denial.KEY or asked.trust < Trust.PROVEN:
            return
        users = frozenset(
            one.holder for one in self._tickets
            if denial is Denial.SESSIONS or one.direction is asked.direction
        )  # fmt: skip
        self._turns[asked.holder] = _Turn(
            asked.direction, asked.rate_bps, users - {asked.holder}, now + TURN_NS
        )
        self._turns.move_to_end(asked.holder)
        if len(self._turns) > MOST_TURNS:
            self._turns.popitem(last=False)

    def proved(self, ticket: Ticket, now: int) -> None:
        """Note that the client of a pending test has proved that it hears."""
        if ticket in self._tickets and ticket.pending:
            ticket.pending = False
            self._reputation.proved(ticket.holder, now)

    def release(self, ticket: Ticket, now: int, *, is_miss: bool = True) -> None:
        """Release a ticket; a second release changes nothing. A pending one is a miss of its holder."""
        # An abandoned test is released by its client's next set-up, and again at its own end.
        if ticket not in self._tickets:
            return
        del self._tickets[ticket]
        if ticket.pending and is_miss:
            self._reputation.missed(ticket.holder, now)

    @property
    def sessions(self) -> int:
        """Number of tests admitted at once, at most."""
        return self._limits.sessions

    @property
    def running(self) -> int:
        """Number of tests admitted now."""
        return len(self._tickets)


def _same_key(one: Ticket, other: Ticket) -> bool:
    return one.holder.key_id == other.holder.key_id


def _helps(one: Ticket, asked: Ticket, denial: Denial) -> bool:
    """Check if the end of a pending test removes the reason of a denial, or a part of it."""
    if denial is Denial.KEY:
        return _same_key(one, asked) and one.direction is asked.direction
    return denial is Denial.SESSIONS or one.direction is asked.direction
