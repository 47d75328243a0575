import msgspec
import pytest

from collector.model.peer_comparison import AgentFigures, Comparison, ComparisonResult, compare, has_load
from tests.collector.examples import peer_test
from wire.records import Direction

CLAIM = AgentFigures(
    sent_bps=8e6, received_bps=7.9e6, duration_us=2_000_000, sent_packets=1400, received_packets=1380
)
SEARCH = AgentFigures(sent_bps=18e6, received_bps=17e6)
FULL = {"sent_packets": 1400, "received_packets": 1380}


def told(**changes: object) -> Comparison:
    return compare(CLAIM, msgspec.structs.replace(peer_test(), **FULL | changes))


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, ComparisonResult.AGREE),
        ({"received_packets": None}, ComparisonResult.AGREE),
        ({"sent_packets": None, "received_packets": None}, ComparisonResult.AGREE),
        ({"sent_packets": 1440}, ComparisonResult.AGREE),  # the agent never heard of a tail of 50 ms
        ({"received_packets": 1345}, ComparisonResult.AGREE),  # nor the peer of the last feedback
        ({"sent_packets": 1480}, ComparisonResult.DISAGREE),
        (
            {"sent_packets": 700},
            ComparisonResult.DISAGREE,
        ),  # the peer sent half of what the agent calls received
        ({"received_packets": 1200}, ComparisonResult.DISAGREE),
        ({"received_packets": 0}, ComparisonResult.DISAGREE),
    ],
)
def test_counts_may_differ_by_what_feedback_does_not_tell(
    changes: dict[str, object], result: ComparisonResult
) -> None:
    assert told(**changes).result is result


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (
            20,
            Comparison(ComparisonResult.AGREE, 0.0),
        ),  # of 180 packets the peer was told nothing: they may have come
        (50, Comparison(ComparisonResult.AGREE, pytest.approx(30 / 1380))),
        (200, Comparison(ComparisonResult.DISAGREE, pytest.approx(180 / 1380))),  # told of every one
        (None, Comparison(ComparisonResult.DISAGREE, pytest.approx(180 / 1380))),
    ],
)
def test_what_the_peer_was_told_nothing_of_may_have_come(lost: int | None, expected: Comparison) -> None:
    assert told(received_packets=1200, lost_packets=lost) == expected


def test_nor_more_than_that() -> None:
    assert told(received_packets=1200, lost_packets=20, sent_packets=1240).result is ComparisonResult.DISAGREE


def test_of_a_search_too() -> None:
    counts = {"load_us": 10_000_000, "sent_packets": 18_000, "sent_bytes": 22_500_000}
    holes = peer_test(**counts, received_packets=16_000, received_bytes=20_000_000, lost_packets=1000)
    assert compare(SEARCH, holes).difference == 0.0
    told_all = peer_test(**counts, received_packets=15_000, received_bytes=18_750_000, lost_packets=3000)
    assert compare(SEARCH, told_all).result is ComparisonResult.DISAGREE


def test_of_a_test_that_was_ended_early_only_what_was_sent_is_compared() -> None:
    counts = peer_test(load_us=1_000_000, sent_bytes=1_000_000, received_bytes=500_000)
    assert compare(AgentFigures(8e6, None), counts) == Comparison(ComparisonResult.AGREE, 0.0)
    assert compare(AgentFigures(6e6, None), counts) == Comparison(ComparisonResult.DISAGREE, 0.25)


def test_the_greatest_difference_is_told() -> None:
    assert told(sent_packets=700, received_packets=1380) == Comparison(ComparisonResult.DISAGREE, 0.5)
    assert told(sent_packets=None, received_packets=None).difference is None


@pytest.mark.parametrize(
    ("sent_bytes", "received_bytes", "result"),
    [
        (22_500_000, 21_250_000, ComparisonResult.AGREE),
        (23_400_000, None, ComparisonResult.AGREE),
        (22_500_000, 19_000_000, ComparisonResult.DISAGREE),
        (30_000_000, 21_250_000, ComparisonResult.DISAGREE),
    ],
)
def test_of_a_search_the_rates_are_compared(
    sent_bytes: int | None, received_bytes: int | None, result: ComparisonResult
) -> None:
    test = msgspec.structs.replace(
        peer_test(), load_us=10_000_000, sent_bytes=sent_bytes, received_bytes=received_bytes
    )
    assert compare(SEARCH, test).result is result


def test_a_short_test_is_given_more_room() -> None:
    short = AgentFigures(8e6, 8e6, duration_us=200_000, sent_packets=140, received_packets=140)
    test = msgspec.structs.replace(peer_test(), sent_packets=140, received_packets=110)
    assert compare(short, test).result is ComparisonResult.AGREE
    assert told(received_packets=1084).result is ComparisonResult.DISAGREE


@pytest.mark.parametrize(
    ("direction", "changes", "expected"),
    [
        (Direction.DOWN, {"sent_packets": 0, "received_packets": None}, False),
        (Direction.UP, {"sent_packets": None, "received_packets": None}, False),
        (Direction.UP, {"sent_packets": None, "received_packets": 1}, True),
    ],
)
def test_a_test_that_never_began_is_no_test(
    direction: Direction, changes: dict[str, object], expected: bool
) -> None:
    assert has_load(msgspec.structs.replace(peer_test(), direction=direction, **changes)) is expected
