"""Whole searches by both ends of this program, over lines on which the plain algorithms stop too early."""

import random

import pytest

from agent.load.rules import capacity as capacity_rules
from tests.wire.udpstp.simulation import MS, World, plan_for
from wire.records import Algorithm, Bound, CapacityValues, Direction, LineCounters
from wire.udpstp.load import Search

BOTH = pytest.mark.parametrize("direction", list(Direction))
ALGORITHMS = pytest.mark.parametrize("algorithm", list(Algorithm))


def searched(
    direction: Direction,
    algorithm: Algorithm,
    mbit: float | None,
    *,
    queue_ms: float = 100,
    loss: float = 0.0,
    jitter_ms: float = 0.0,
    row: int = 60,
    seconds: int = 6,
    packet_bytes: int | None = 1250,
) -> CapacityValues:
    world = World()
    way = world.way(direction)
    way.rate, way.queue_ms, way.loss = mbit and mbit * 1e6, queue_ms, loss
    if jitter_ms:
        crossed, jitter, newest = way.pass_on, random.Random(946), [0]

        def pass_on(packet: bytes, now: int) -> int | None:
            """Delay behind the line, which keeps the order of packets."""
            at = crossed(packet, now)
            if at is not None:
                newest[0] = max(newest[0], at + round(jitter.uniform(0, jitter_ms) * MS))
            return None if at is None else newest[0]

        way.pass_on = pass_on  # type: ignore[method-assign]
    report = world.run(
        plan_for(
            direction, row=row, seconds=seconds, search=Search(algorithm=algorithm), packet_bytes=packet_bytes
        )
    )
    return capacity_rules.values(report, LineCounters.NONE)


@BOTH
@ALGORITHMS
@pytest.mark.parametrize(("mbit", "queue_ms"), [(4, 100), (4, 500), (8, 1000), (20, 30), (20, 100)])
def test_the_best_whole_second_is_the_capacity(
    direction: Direction, algorithm: Algorithm, mbit: float, queue_ms: float
) -> None:
    values = searched(direction, algorithm, mbit, queue_ms=queue_ms)
    assert values.maximum_bps == pytest.approx(mbit * 1e6, rel=0.004)
    assert values.maximum_bps == max(one.received_bps for one in values.intervals)
    assert values.bound is None


@BOTH
@ALGORITHMS
def test_jitter_that_keeps_the_order_stops_no_search(direction: Direction, algorithm: Algorithm) -> None:
    values = searched(direction, algorithm, 20, jitter_ms=60)
    # A second may begin and end at packets that were delayed differently: by 60 ms at most.
    assert values.maximum_bps == pytest.approx(20e6, rel=0.02)


@BOTH
@ALGORITHMS
def test_random_loss_stops_no_search(direction: Direction, algorithm: Algorithm) -> None:
    values = searched(direction, algorithm, 60, loss=0.02, row=150, seconds=5)
    assert values.maximum_bps == pytest.approx(60e6, rel=0.01)
    assert values.bound is None


def test_random_loss_stops_no_fast_search() -> None:
    """A line of 300 Mbit/s that loses 1 % stopped at 98 to 205, and was told to be full there."""
    values = searched(Direction.DOWN, Algorithm.B, 300, loss=0.01, row=400, seconds=4)
    assert values.maximum_bps == pytest.approx(300e6, rel=0.01)


@BOTH
def test_a_line_that_is_never_full_is_searched_to_the_end(direction: Direction) -> None:
    values = searched(direction, Algorithm.B, None, row=40, seconds=4)
    assert values.maximum_bps == pytest.approx(40e6, rel=0.002)
    assert values.bound is Bound.REQUESTED_RATE


@BOTH
@ALGORITHMS
@pytest.mark.parametrize("mbit", [4, 20])
def test_the_search_of_a_foreign_client_is_held_as_well(
    direction: Direction, algorithm: Algorithm, mbit: float
) -> None:
    """The client asks for its own table and the thresholds of the standard."""
    values = searched(direction, algorithm, mbit, packet_bytes=None)
    assert values.maximum_bps == pytest.approx(mbit * 1e6, rel=0.005)
