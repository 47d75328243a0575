"""Tests as a peer records them."""

from wire.messages.peer_tests import PeerTest, TestKind
from wire.records import ClockReading, Direction

START_US = 1_795_375_959_000_000


def peer_test(number: int = 0, epoch: str = "0" * 16, seq: int = 1) -> PeerTest:
    return PeerTest(
        epoch=epoch,
        seq=seq,
        session=f"6b034357-{number:04x}",
        key_id=7,
        direction=Direction.DOWN,
        kind=TestKind.FIXED,
        outcome="completed",
        start=ClockReading(
            wall_us=START_US + number, boot_us=1_000_000 + number, boot_id="boot", synchronised=True
        ),
        duration_us=2_020_000,
        row=8,
        planned_bps=8e6,
        load_us=1_999_000,
        sent_packets=2000,
        sent_bytes=2_000_000,
        received_packets=1999,
        received_bytes=1_999_000,
        lost_packets=1,
    )
