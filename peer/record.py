"""What the peer writes down of a load test that has ended: the second side of the agent's record."""

from dataclasses import dataclass
from typing import Any

import msgspec

from wire.messages import envelope as messages
from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import ClockReading
from wire.udpstp import rates
from wire.udpstp.server import ServerTest

Identity = tuple[str, str, int]
"""Session, direction and start in Unix µs: what names a test among those of one peer."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One test as it is kept and sent: ``record`` is its JSON."""

    identity: Identity
    record: bytes


def entry(test: PeerTest) -> Entry:
    """A test, encoded."""
    return Entry((test.session, test.direction.value, test.start.wall_us), messages.encode(test))


def of_test(test: ServerTest, set_up: int, ended: int, clock: ClockReading) -> PeerTest:
    """The record of a test: when it was set up and ended (monotonic ns); ``clock`` was read at its end.

    A test that was activated began with the kernel's stamp of that; the wall clock may have been set since.
    """
    began, wall = test.activated or (set_up, clock.wall_us * 1000 - (ended - set_up))
    return PeerTest(
        session=test.offer.session,
        key_id=test.offer.setup.key_id,
        direction=test.offer.direction,
        kind=TestKind.SEARCH if test.searches else TestKind.FIXED,
        outcome=test.outcome.value,
        start=_moment(wall // 1000, ended - began, clock),
        duration_us=(ended - began) // 1000,
        row=test.row,
        planned_bps=None if test.row is None else rates.bits_per_second(rates.sending_rate(test.row)),
        **_counts(test),
    )


def _moment(wall_us: int, before_ns: int, clock: ClockReading) -> ClockReading:
    """The clocks ``before_ns`` earlier. A machine that slept since has a boot time that went on: not here."""
    return msgspec.structs.replace(clock, wall_us=wall_us, boot_us=max(clock.boot_us - before_ns // 1000, 0))


def _counts(test: ServerTest) -> dict[str, Any]:
    counts = test.counts
    return {
        "load_us": counts.span_us,
        "sent_packets": counts.sent_packets,
        "sent_bytes": counts.sent_ip_bytes,
        "received_packets": counts.received_packets,
        "received_bytes": counts.received_ip_bytes,
        "lost_packets": counts.lost,
    }
