"""Search for the path MTU, and for a black hole: a place where larger packets are dropped silently.

A size that a router reports (RFC 1191, RFC 8201) is used once and then tested. Without reports the size is
found by bisection (RFC 4821 section 7, RFC 8899). Every size tried has one of these fates:

| fate | seen |
|---|---|
| THERE_AND_BACK | the reflector's reply arrived |
| THERE_ONLY | no reply, but the reflector counted the packets: the reply was lost |
| REFUSED | a router or this host reported the packet as too big |
| UNSENT | this host's interface accepts no packet of that size |
| VANISHED | no reply, and the reflector did not count the packets |
| UNKNOWN | another answer, or no reply and no clear count, as with a stateless reflector |

The reflector's own counter separates loss on the two directions. UNKNOWN ends the search without a result.
"""

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import TypeVar

from wire.path.hops import SeenHop
from wire.path.probing import FARTHEST_TTL, AnswerKind, ProbeAnswer, ProbeAnswers, ProbeBatches, ProbePacket

# Three lost in a row by chance are one in 10^6 on a line that loses 1 %.
TRIES = 3
_MASK_32 = 0xFFFF_FFFF
# Bisection of 65,535 sizes takes 16 steps; the rest is for sizes that routers report.
_STEPS = 32

Value = TypeVar("Value")
_Step = Generator[Sequence[ProbePacket], ProbeAnswers, Value]


class _Fate(Enum):
    THERE_AND_BACK = auto()
    THERE_ONLY = auto()
    REFUSED = auto()
    UNSENT = auto()
    VANISHED = auto()
    UNKNOWN = auto()


_ARRIVED = (_Fate.THERE_AND_BACK, _Fate.THERE_ONLY)
_ANSWERED = (_Fate.THERE_AND_BACK,)


class MtuSearch:
    """Finds the largest IP packet between ``smallest``, which is known to pass, and ``largest``.

    ``hops`` are those of the trace. Results after the last batch:

    - ``path_mtu``: None where the search could not be finished.
    - ``limited_by``: address of the router that reported the limit, ``reported``: the size that it named.
    - ``limited_at``: TTL of the router in front of the narrow link.
    - ``limited_before``: TTL of the first router that answers, where larger packets do not reach even it.
    - ``black_hole``: larger packets are lost on the forward path without a report.
    - ``return_mtu``: the largest size that was answered, where larger packets arrived but their replies, of
      the same size, were lost.
    """

    def __init__(self, hops: Sequence[SeenHop], smallest: int, largest: int) -> None:
        self._hops = hops
        self._smallest = smallest
        self._largest = largest
        self._reflected: int | None = None
        self._counts = False
        self._fates: dict[int, _Fate] = {}
        self.path_mtu: int | None = None
        self.reported: int | None = None
        self.limited_by: str | None = None
        self.limited_at: int | None = None
        self.limited_before: int | None = None
        self.black_hole = False
        self.return_mtu: int | None = None

    def batches(self) -> ProbeBatches:
        """Generate packets to send; see :data:`wire.path.probing.ProbeBatches`."""
        # Its reply gives the reflector's number from which every later count starts.
        if (yield from self._control()) is None:
            return
        arrives = yield from self._largest_that(_ARRIVED)
        if arrives is None:
            return
        self.path_mtu = arrives
        self.black_hole = self._fates.get(arrives + 1) is _Fate.VANISHED
        if self.black_hole:
            # A report of another size is no report of this limit.
            self.reported = self.limited_by = None
        if arrives < self._largest:
            yield from self._locate(arrives + 1)
        if _Fate.THERE_ONLY in self._fates.values():
            self._largest = arrives
            answered = yield from self._largest_that(_ANSWERED)
            self.return_mtu = answered if answered is not None and answered < arrives else None

    def _largest_that(self, passing: Sequence[_Fate]) -> _Step[int | None]:
        """Bisect; None where the peer no longer answers even small packets."""
        low, high, size = self._smallest, self._largest + 1, self._largest
        for _ in range(_STEPS):
            fate = yield from self._try(size)
            self._fates[size] = fate
            if fate is _Fate.UNKNOWN:
                return None
            low, high = (size, high) if fate in passing else (low, size)
            # A reported size that passes is the limit: no bisection above it.
            if high - low <= 1 or low == self.reported:
                break
            reported = self.reported if fate is _Fate.REFUSED else None
            size = reported if reported is not None and low < reported < high else (low + high) // 2
        return low

    def _try(self, size: int) -> _Step[_Fate]:
        for _ in range(TRIES):
            [answer] = yield [ProbePacket(FARTHEST_TTL, size)]
            if answer is None:
                continue
            if answer.from_peer:
                self._note_counter(answer)
                return _Fate.THERE_AND_BACK
            if answer.kind is AnswerKind.TOO_BIG:
                self.reported, self.limited_by = answer.reported_mtu or None, answer.address
                return _Fate.REFUSED
            # UNSENT is a limit of this host; any other ICMP message may be about anything.
            return _Fate.UNSENT if answer.kind is AnswerKind.UNSENT else _Fate.UNKNOWN
        return (yield from self._where_lost())

    def _where_lost(self) -> _Step[_Fate]:
        """Find out by the number of the reflector's next reply if it counted the packets."""
        before = self._reflected
        tries = yield from self._control()
        if tries is None or before is None or self._reflected is None:
            return _Fate.UNKNOWN
        counted = (self._reflected - before - 1) & _MASK_32
        # Up to ``tries - 1`` unanswered control packets may be among those counted: only more than these
        # prove that a large packet arrived.
        if counted >= tries:
            return _Fate.THERE_ONLY if self._counts else _Fate.UNKNOWN
        return _Fate.UNKNOWN if counted else _Fate.VANISHED

    def _control(self) -> _Step[int | None]:
        """Send small packets until the peer answers one; return their number, None without an answer."""
        for tries in range(1, TRIES + 1):
            [answer] = yield [ProbePacket(FARTHEST_TTL)]
            if answer is not None and answer.from_peer:
                self._note_counter(answer)
                return tries
        return None

    def _note_counter(self, answer: ProbeAnswer) -> None:
        self._reflected = answer.reflected
        # A number of its own proves that the reflector is stateful and counts only packets that arrive.
        self._counts = self._counts or (answer.reflected is not None and not answer.copied)

    def _locate(self, size: int) -> _Step[None]:
        """Let packets of a size that does not arrive expire at each router; the last to answer got them."""
        if self.limited_by is not None:
            self.limited_at = self._ttl_of(self.limited_by)
            return
        asked = [hop.ttl for hop in self._hops if any(one.kind is AnswerKind.EXPIRED for one in hop.answers)]
        answered = yield from self._expired(asked, size)
        self.limited_at = max(answered, default=None)
        if self.black_hole and not answered:
            self.limited_before = min(asked, default=None)

    def _expired(self, ttls: Sequence[int], size: int) -> _Step[set[int]]:
        answered: set[int] = set()
        for _ in range(TRIES):
            probes = [ProbePacket(ttl, size) for ttl in ttls if ttl not in answered]
            if not probes:
                break
            answers = yield probes
            answered |= {
                probe.ttl
                for probe, answer in zip(probes, answers, strict=True)
                if answer is not None and answer.kind is AnswerKind.EXPIRED
            }
        return answered

    def _ttl_of(self, address: str) -> int | None:
        # Routers may answer from several addresses, so that the one in the message may be in no hop.
        found = (hop.ttl for hop in self._hops if any(one.address == address for one in hop.answers))
        return next(found, None)
