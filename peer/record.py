"""The peer's own record of a load test that has ended."""

from typing import Any

import msgspec
from msgspec import Struct

from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import ClockReading
from wire.udpstp import rates
from wire.udpstp.server import ServerTest


class Ended(Struct, frozen=True):
    """A test that has ended: when it was set up and ended (monotonic ns), and the clocks at its end."""

    test: ServerTest
    set_up: int
    ended: int
    clock: ClockReading


def of_test(one: Ended, epoch: str, seq: int) -> PeerTest:
    """The record of a test, with the identity that the journal gives it.

    A test that was activated began with the kernel's stamp of that; the wall clock may have been set since.
    """
    test, ended, clock = one.test, one.ended, one.clock
    began, wall = test.activated or (one.set_up, clock.wall_us * 1000 - (ended - one.set_up))
    return PeerTest(
        epoch=epoch,
        seq=seq,
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
