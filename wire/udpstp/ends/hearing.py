"""Proof that the client of a test hears the server, before the server sends it more than a trickle.

A set-up and an activation prove a key, and no address. A key holder can write another's address into both:
then only the number of the test port is left to guess. The packets that follow depend on what the client
received, and those of a foreign client do too:

| direction | the server sends | only a client that hears it can send |
|---|---|---|
| down | lead-in: Load PDUs of random sizes, as the reference server does | Status PDUs with their bytes |
| up | Status PDUs, no more bytes than it has received | Load PDUs with the send time of a Status |

States of a lead-in:

| state | event | next state |
|---|---|---|
| unproven | a Status that reports a run of packets not reported before | unproven, the fourth: proven |
| unproven | a Status that reports other bytes | unproven, the fourth: refuted |
| unproven | 3 s | refuted |

At most eleven packets are sent, so that a guess is right once in 93 tries or less. With three errors allowed,
a load begins by chance in one of two million lead-ins.
"""

import secrets
from collections import deque
from collections.abc import Collection
from enum import Enum, auto

from wire.udpstp import pdu
from wire.udpstp.ends.watchdog import TERMINATION_NS

_MS = 1_000_000
SMALLEST_BYTES, SIZES = pdu.LOAD_HEADER.size + 1, 1024
"""Payload of a lead-in packet: one of so many sizes from the smallest on. A header alone is a drain probe."""

SPACING_NS, QUICK_PACKETS = 60 * _MS, 6
"""Interval of the first packets, longer than a default trial interval: each has a Status of its own."""

RIGHT, WRONG = 4, 4
"""Number of right Status PDUs that prove the client, and of wrong ones that refute it."""

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
    tells the two apart by their size.
    """

    def __init__(self, start: int, planned: Collection[int] = ()) -> None:
        self.hearing = Hearing.UNPROVEN
        self.packets = self.payload_bytes = 0
        self._planned = frozenset(planned)
        self._until = start + TERMINATION_NS
        self._due, self._spacing = start, SPACING_NS
        self._sizes: list[int] = []
        self._reported = self._right = self._wrong = 0

    @property
    def deadline(self) -> int:
        """Time of the next packet, or of the end."""
        return min(self._due, self._until)

    def next_size(self, now: int) -> int:
        """Payload bytes of the packet that is due at ``now``; 0 for none."""
        if now >= self._until and self.hearing is Hearing.UNPROVEN:
            self.hearing = Hearing.REFUTED
        if self.hearing is not Hearing.UNPROVEN or now < self._due:
            return 0
        size = _random_size(self._planned)
        self._sizes.append(size)
        self.packets, self.payload_bytes = self.packets + 1, self.payload_bytes + size
        if self.packets > QUICK_PACKETS:
            # A client on a satellite link needs no packet each 60 ms until its first Status arrives.
            self._spacing *= 2
        self._due = now + self._spacing
        return size

    def status(self, status: pdu.Status) -> Hearing:
        """Judge a Status PDU, and return the result so far."""
        if self.hearing is not Hearing.UNPROVEN or not status.datagrams:
            return self.hearing
        end = self._end_of_run(status.datagrams, status.payload_bytes)
        if end is None:
            self._wrong += 1
        else:
            self._reported, self._right = end, self._right + 1
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


def _random_size(planned: frozenset[int]) -> int:
    while True:
        size = SMALLEST_BYTES + secrets.randbelow(SIZES)
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
