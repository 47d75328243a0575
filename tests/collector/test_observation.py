import msgspec
import pytest

from collector.observation import AHEAD_US, Placed, placed
from tests.collector.examples import NOW_US, clock
from wire.records import ClockReading

YEAR_US = 365 * 86_400_000_000


def test_a_synchronised_clock_is_believed() -> None:
    found = placed(clock(NOW_US - 7), clock(NOW_US + 1_000_000), received_us=NOW_US + 2_000_000)
    assert found == Placed(NOW_US - 7, 0, ahead=False)


def test_a_clock_from_the_past_is_corrected_by_its_boot_time() -> None:
    start, sent = (
        ClockReading(
            wall_us=seconds * 1_000_000, boot_us=seconds * 1_000_000, boot_id="b", synchronised=False
        )
        for seconds in (30, 90)
    )
    assert placed(start, sent, NOW_US) == Placed(
        NOW_US - 60_000_000, 30_000_000 - NOW_US + 60_000_000, ahead=False
    )


@pytest.mark.parametrize("boot_id", ["boot-1", "boot-2"])
def test_what_cannot_be_corrected_keeps_its_claim(boot_id: str) -> None:
    start = clock(NOW_US - 5, synchronised=False, boot_id=boot_id)
    sent = clock(NOW_US - (10 if boot_id == "boot-1" else 0))
    assert placed(start, sent, NOW_US).time_us == NOW_US - 5


@pytest.mark.parametrize(("beyond_us", "ahead"), [(0, False), (1, True), (YEAR_US, True)])
def test_a_claim_of_more_than_minutes_ahead_is_marked(beyond_us: int, ahead: bool) -> None:
    assert placed(clock(NOW_US + AHEAD_US + beyond_us), clock(), NOW_US).ahead is ahead


def test_a_clock_ahead_that_calls_itself_synchronised_is_corrected_too() -> None:
    ahead_us = 20 * 3_600_000_000
    start, sent = clock(NOW_US - 60_000_000 + ahead_us), clock(NOW_US + ahead_us)
    expected = Placed(NOW_US - 60_000_000, ahead_us, ahead=False)
    assert placed(start, sent, NOW_US) == expected
    set_right = msgspec.structs.replace(sent, wall_us=NOW_US)
    assert placed(start, set_right, NOW_US) == expected


def test_a_claim_of_another_boot_does_not_take_live_state_over() -> None:
    start = clock(NOW_US + 20 * 3_600_000_000, boot_id="boot-0")
    assert placed(start, clock(NOW_US), NOW_US).ahead
