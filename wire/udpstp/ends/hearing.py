"""Proof that the client of a test hears the server, before the server sends it more than a trickle.

A set-up and an activation prove a key, and no address. A key holder can write another's address into both:
then only the number of the test port is left to guess. The packets that follow depend on what the client
received, and those of a foreign client do too:

| direction | the server sends | only a client that hears it can send |
|---|---|---|
| down | lead-in: Load PDUs of random sizes, as the reference server does | Status PDUs with their bytes |
| up | Status PDUs | Load PDUs with the send time of a Status |

Until then a server sends no more than twice the bytes that it received. Down these are two small packets, and
one more for each Status. Up they are as many bytes of Status PDUs as of Load PDUs, and one Status.

States of a lead-in:

| state | event | next state |
|---|---|---|
| unproven | a Status that reports a run of packets not reported before | unproven, the fourth: proven |
| unproven | a Status that reports other bytes | unproven, the fourth: refuted |
| unproven | 5 s | refuted |

Six packets at most wait for their report, so that a guess is right once in 67 tries. With three errors
allowed, a load begins by chance in one of 570,000 lead-ins.
"""

import secrets
from collections import deque
from collections.abc import Collection
from enum import Enum, auto

from wire import ip_layer
from wire.udpstp import pdu

_MS = 1_000_000
SMALLEST_BYTES, SIZES = pdu.LOAD_HEADER.size + 1, 404
"""Payload of a lead-in packet: one of so many sizes from the smallest on, at most two for a Status."""

FIRST_PACKETS, FIRST_SIZES, REPEATED_NS = 2, 6, 300 * _MS
"""First packets: they cost as much as the answer to the activation left, and only bring the first Status."""

SPACING_NS = 60 * _MS
"""Interval of the others, longer than a default trial interval: each has a Status of its own."""

LONGEST_NS = 5_000 * _MS
"""Longest lead-in: two round trips of 2 s, the longest at which a set-up works, and its packets."""

RIGHT, WRONG = 4, 4
"""Number of right Status PDUs that prove the client, and of wrong ones that refute it."""

MOST_WAITING = 6
"""Packets without a report, at most: each is one more chance for a guess."""

FACTOR = 2
"""Bytes that an unproven address gets for each that arrived in its name."""

_STATUSES_KEPT = 256
"""Number of send times kept: those of a second at the shortest trial interval (5 ms)."""


class Hearing(Enum):
    """Result of a proof so far."""

    UNPROVEN = auto()
    PROVEN = auto()
    REFUTED = auto()


class LeadIn:
    """Packets before a load down, from ``start`` (ns) on, and the Status PDUs that report them.

    ``packets`` and ``payload_bytes`` were sent. ``planned`` are the payload sizes of the load: the client
    tells the two apart by their size. ``overhead`` is the bytes of IP and UDP headers.
    """

    def __init__(
        self, start: int, planned: Collection[int] = (), overhead: int = ip_layer.IPV4_UDP_BYTES
    ) -> None:
        self.hearing = Hearing.UNPROVEN
        self.packets = self.payload_bytes = 0
        self._planned, self._overhead = frozenset(planned), overhead
        self._until, self._due = start + LONGEST_NS, start
        # The activation's answer is as long as the activation.
        self._credit = (FACTOR - 1) * (pdu.ACTIVATION.size + overhead)
        self._sizes: list[int] = []
        self._is_heard = False
        self._reported = self._right = self._wrong = 0

    @property
    def deadline(self) -> int:
        """Time of the next packet, or of the end."""
        return min(self._due, self._until) if self._may_send else self._until

    @property
    def _may_send(self) -> bool:
        waiting = len(self._sizes) - self._reported
        most = MOST_WAITING if self._is_heard else FIRST_PACKETS
        return waiting < most and self._credit >= self._overhead + SMALLEST_BYTES + FIRST_SIZES - 1

    def next_size(self, now: int) -> int:
        """Payload bytes of the packet that is due at ``now``; 0 for none."""
        if now >= self._until and self.hearing is Hearing.UNPROVEN:
            self.hearing = Hearing.REFUTED
        if self.hearing is not Hearing.UNPROVEN or not self._may_send or now < self._due:
            return 0
        most = (
            min(SIZES, self._credit - self._overhead - SMALLEST_BYTES + 1) if self._is_heard else FIRST_SIZES
        )
        size = _random_size(self._planned, most)
        self._sizes.append(size)
        self.packets, self.payload_bytes = self.packets + 1, self.payload_bytes + size
        self._credit -= size + self._overhead
        self._due = now + (SPACING_NS if self._is_heard else REPEATED_NS)
        return size

    def status(self, status: pdu.Status, now: int) -> Hearing:
        """Judge a Status PDU, and return the result so far."""
        self._credit += FACTOR * (pdu.STATUS.size + self._overhead)
        if not self._is_heard:
            self._is_heard, self._due = True, now
        if self.hearing is not Hearing.UNPROVEN or not status.datagrams:
            return self.hearing
        end = self._end_of_run(status.datagrams, status.payload_bytes)
        if end is None:
            self._wrong += 1
        else:
            # The first packets have too few sizes to prove anything.
            self._reported, self._right = end, self._right + (end > FIRST_PACKETS)
        if self._right >= RIGHT:
            self.hearing = Hearing.PROVEN
        elif self._wrong >= WRONG:
            self.hearing = Hearing.REFUTED
        return self.hearing

    def _end_of_run(self, packets: int, payload_bytes: int) -> int | None:
        """Place behind the run of so many packets with so many bytes; None where no run fits."""
        # Any later run: packets and Status PDUs before it may be lost.
        for begin in range(self._reported, len(self._sizes)):
            run = self._sizes[begin : begin + packets]
            if len(run) == packets and sum(run) == payload_bytes:
                return begin + packets
        return None


def _random_size(planned: frozenset[int], most: int) -> int:
    while True:
        size = SMALLEST_BYTES + secrets.randbelow(most)
        if size not in planned:
            return size


class StatusBudget:
    """Status PDUs for a client that sends load: as many bytes as it sent, until it echoes one of them.

    Sizes are of IP packets. ``hearing`` never becomes REFUTED: a client that hears nothing costs nothing.
    """

    def __init__(self) -> None:
        self.hearing = Hearing.UNPROVEN
        self._received = self._sent = 0
        self._times: deque[tuple[int, int]] = deque(maxlen=_STATUSES_KEPT)

    def allows(self, size: int) -> bool:
        """Check if a Status of ``size`` bytes may be sent."""
        # The first one is free: a search up begins with packets that are smaller than a Status.
        return self.hearing is Hearing.PROVEN or not self._sent or self._sent + size <= self._received

    def sent(self, size: int, time: tuple[int, int]) -> None:
        """Note a Status and its send time (s, ns)."""
        if self.hearing is Hearing.UNPROVEN:
            self._sent += size
            self._times.append(time)

    def received(self, size: int, echo: tuple[int, int]) -> None:
        """Note Load PDUs of ``size`` bytes that echo the send time ``echo``."""
        if self.hearing is Hearing.UNPROVEN:
            self._received += size
            if echo in self._times:
                self.hearing = Hearing.PROVEN
