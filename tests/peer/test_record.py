"""The record of a test that ended, from the server's own core after a test in simulated time."""

import pytest

from peer import record
from tests.wire.udpstp.simulation import MS, SERVER, TEST_PORT, WALL, S, World
from wire.messages import envelope as messages
from wire.messages.peer_tests import PeerTest, TestKind, decode_test
from wire.records import ClockReading, Direction
from wire.udpstp.load import Plan, Search

EPOCH = "00112233445566ff"
AFTER_STEP = ClockReading(wall_us=9_000_000, boot_us=500_000_000, boot_id="boot", synchronised=False)


def told(direction: Direction, *, search: Search | None = None, dies: bool = False) -> tuple[PeerTest, int]:
    world = World()
    if dies:
        world.up.drops = lambda packet, _now: packet[:2] == b"\xac\xe2"
    world.run(
        Plan(
            address=SERVER, ident=0x1234, key_id=7, secret=b"secret", direction=direction, row=8,
            duration_s=1, search=search,
        )
    )  # fmt: skip
    assert world.test is not None
    ended = record.Ended(world.test, 5 * MS, world.now, AFTER_STEP)
    return record.of_test(ended, EPOCH, 7), world.now


@pytest.mark.parametrize("direction", list(Direction))
def test_it_begins_with_its_activation_whatever_the_clock_does_later(direction: Direction) -> None:
    test, ended = told(direction)
    assert (test.session, test.key_id, test.direction) == (
        f"{WALL // S:08x}-1234-{TEST_PORT:04x}",
        7,
        direction,
    )
    assert (test.kind, test.outcome, test.row, test.planned_bps) == (TestKind.FIXED, "completed", 8, 8e6)
    began = test.start.wall_us - WALL // 1000
    assert 0 < began < 100_000
    assert test.duration_us == ended // 1000 - began
    assert test.start.boot_us == AFTER_STEP.boot_us - test.duration_us
    assert (test.start.boot_id, test.start.synchronised) == ("boot", False)
    assert test.sent_packets == test.received_packets == 1000
    assert (test.received_bytes, test.lost_packets) == (1_000_000, 0)
    assert test.sent_bytes == (1_000_000 if direction is Direction.DOWN else None)
    assert test.load_us == 999_000


def test_of_a_search_the_first_row_is_told() -> None:
    test, _ = told(Direction.UP, search=Search(start_row=3))
    assert (test.kind, test.row, test.planned_bps) == (TestKind.SEARCH, 3, 3e6)


def test_a_test_that_is_never_activated_begins_with_its_set_up_and_has_no_counts() -> None:
    test, ended = told(Direction.DOWN, dies=True)
    assert (test.outcome, test.row, test.planned_bps) == ("not-activated", None, None)
    assert test.duration_us == (ended - 5 * MS) // 1000
    assert test.start.wall_us == AFTER_STEP.wall_us - test.duration_us
    assert (test.sent_packets, test.received_packets, test.load_us) == (None, None, None)


def test_it_has_the_identity_that_the_journal_gives_it() -> None:
    test, _ = told(Direction.UP)
    assert (test.epoch, test.seq) == (EPOCH, 7)
    assert decode_test(messages.encode(test)) == test
