"""The search for the path MTU, and for the place where larger packets vanish without a word.

Routers that say what is too big are believed once (RFC 1191, RFC 8201) and then put to the test; where nobody
says anything the size is found by trying (RFC 4821 section 7, RFC 8899). What was lost on the way back is
told from what was lost on the way there by the reflector's own counter: a packet that it counted had arrived.
A stateless reflector has none, and leaves that open.
"""

from collections.abc import Generator, Sequence
from enum import Enum, auto
from typing import TypeVar

from wire.path.hops import SeenHop
from wire.path.probing import FARTHEST_TTL, Answer, Answers, Batches, Kind, Probe

TRIES = 3
_MASK_32 = 0xFFFF_FFFF
_STEPS = 32  # bisection of 65,535 sizes takes 16; the rest is for what routers say

Value = TypeVar("Value")
_Step = Generator[Sequence[Probe], Answers, Value]


class _Fate(Enum):
    """What became of packets of one size."""

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

    ``hops`` are those of the trace, to find the place. After the batches: ``path_mtu``, None where the search
    could not be finished; ``limited_by`` the router that said so, with the size that it ``told``;
    ``limited_at`` the TTL of the router in front of the narrow link, ``limited_before`` that of the first
    router that answers where not even it gets them; ``black_hole`` where larger packets vanish on the way
    there and nobody says so; ``return_mtu`` the largest size that was answered, where
    larger packets arrived and the replies to them, of the same size, did not come back.
    """

    def __init__(self, hops: Sequence[SeenHop], smallest: int, largest: int) -> None:
        self._hops = hops
        self._smallest = smallest
        self._largest = largest
        self._reflected: int | None = None
        self._counts = False
        self._fates: dict[int, _Fate] = {}
        self.path_mtu: int | None = None
        self.told: int | None = None
        self.limited_by: str | None = None
        self.limited_at: int | None = None
        self.limited_before: int | None = None
        self.black_hole = False
        self.return_mtu: int | None = None

    def batches(self) -> Batches:
        """Packets to send; see :data:`wire.path.probing.Batches`."""
        if (yield from self._control()) is None:
            return
        arrives = yield from self._largest_that(_ARRIVED)
        if arrives is None:
            return
        self.path_mtu = arrives
        self.black_hole = self._fates.get(arrives + 1) is _Fate.VANISHED
        if self.black_hole:
            self.told = self.limited_by = None
        if arrives < self._largest:
            yield from self._locate(arrives + 1)
        if _Fate.THERE_ONLY in self._fates.values():
            self._largest = arrives
            answered = yield from self._largest_that(_ANSWERED)
            self.return_mtu = answered if answered is not None and answered < arrives else None

    def _largest_that(self, passing: Sequence[_Fate]) -> _Step[int | None]:
        """Bisect; None where the peer stopped answering even small packets."""
        low, high, size = self._smallest, self._largest + 1, self._largest
        for _ in range(_STEPS):
            fate = yield from self._try(size)
            self._fates[size] = fate
            if fate is _Fate.UNKNOWN:
                return None
            low, high = (size, high) if fate in passing else (low, size)
            if high - low <= 1 or low == self.told:
                break
            told = self.told if fate is _Fate.REFUSED else None
            size = told if told is not None and low < told < high else (low + high) // 2
        return low

    def _try(self, size: int) -> _Step[_Fate]:
        for _ in range(TRIES):
            [answer] = yield [Probe(FARTHEST_TTL, size)]
            if answer is None:
                continue
            if answer.from_peer:
                self._hear(answer)
                return _Fate.THERE_AND_BACK
            if answer.kind is Kind.TOO_BIG:
                self.told, self.limited_by = answer.told_mtu or None, answer.address
                return _Fate.REFUSED
            return _Fate.UNSENT if answer.kind is Kind.UNSENT else _Fate.UNKNOWN
        return (yield from self._where_lost())

    def _where_lost(self) -> _Step[_Fate]:
        """After a silence: had the reflector counted the packets, by the number on its next reply?"""
        before = self._reflected
        tries = yield from self._control()
        if tries is None or before is None or self._reflected is None:
            return _Fate.UNKNOWN
        counted = (self._reflected - before - 1) & _MASK_32
        # Of control packets that had no answer, too, some may have been counted.
        if counted >= tries:
            return _Fate.THERE_ONLY if self._counts else _Fate.UNKNOWN
        return _Fate.UNKNOWN if counted else _Fate.VANISHED

    def _control(self) -> _Step[int | None]:
        """Small packets until the peer answers one: how many it took, None where it answers none."""
        for tries in range(1, TRIES + 1):
            [answer] = yield [Probe(FARTHEST_TTL)]
            if answer is not None and answer.from_peer:
                self._hear(answer)
                return tries
        return None

    def _hear(self, answer: Answer) -> None:
        self._reflected = answer.reflected
        # A number of its own: it knew nothing of packets that had not arrived.
        self._counts = self._counts or (answer.reflected is not None and not answer.copied)

    def _locate(self, size: int) -> _Step[None]:
        """Let packets of a size that does not arrive expire at each router: the last to answer has them."""
        if self.limited_by is not None:
            self.limited_at = self._ttl_of(self.limited_by)
            return
        asked = [hop.ttl for hop in self._hops if any(one.kind is Kind.EXPIRED for one in hop.answers)]
        answered = yield from self._expired(asked, size)
        self.limited_at = max(answered, default=None)
        if self.black_hole and not answered:
            self.limited_before = min(asked, default=None)

    def _expired(self, ttls: Sequence[int], size: int) -> _Step[set[int]]:
        answered: set[int] = set()
        for _ in range(TRIES):
            probes = [Probe(ttl, size) for ttl in ttls if ttl not in answered]
            if not probes:
                break
            answers = yield probes
            answered |= {
                probe.ttl
                for probe, answer in zip(probes, answers, strict=True)
                if answer is not None and answer.kind is Kind.EXPIRED
            }
        return answered

    def _ttl_of(self, address: str) -> int | None:
        """Routers may answer from several addresses, so that the one in the message may be in no hop."""
        found = (hop.ttl for hop in self._hops if any(one.address == address for one in hop.answers))
        return next(found, None)
