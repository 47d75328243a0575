import msgspec
import pytest

from collector.model.peer_comparison import AgentFigures, Comparison, ComparisonResult, compare, has_load
from tests.collector.examples import peer_test
from wire.records import Direction

AGENT = AgentFigures(
    sent_bps=8e6, received_bps=7.9e6, duration_us=2_000_000, sent_packets=1400, received_packets=1380
)
SEARCH = AgentFigures(sent_bps=18e6, received_bps=17e6)
FULL = {"sent_packets": 1400, "received_packets": 1380}


def compared(**changes: object) -> Comparison:
    return compare(AGENT, msgspec.structs.replace(peer_test(), **FULL | changes))


@pytest.mark.parametrize(
    ("changes", "result"),
    [
        ({}, ComparisonResult.AGREE),
        ({"received_packets": None}, ComparisonResult.AGREE),
        ({"sent_packets": None, "received_packets": None}, ComparisonResult.AGREE),
        ({"sent_packets": 1440}, ComparisonResult.AGREE),  # a tail of 50 ms was lost on its way to the agent
        (
            {"received_packets": 1345},
            ComparisonResult.AGREE,
        ),  # the last feedback was lost on its way to the peer
        ({"sent_packets": 1480}, ComparisonResult.DISAGREE),
        ({"sent_packets": 700}, ComparisonResult.DISAGREE),  # the agent claims twice what the peer sent
        ({"received_packets": 1200}, ComparisonResult.DISAGREE),
        ({"received_packets": 0}, ComparisonResult.DISAGREE),
    ],
)
def test_counts_may_differ_by_one_feedback_interval(
    changes: dict[str, object], result: ComparisonResult
) -> None:
    assert compared(**changes).result is result


@pytest.mark.parametrize(
    ("lost", "expected"),
    [
        (20, Comparison(ComparisonResult.AGREE, 0.0)),  # 180 packets are unreported: they may have arrived
        (50, Comparison(ComparisonResult.AGREE, pytest.approx(30 / 1380))),
        (200, Comparison(ComparisonResult.DISAGREE, pytest.approx(180 / 1380))),  # every packet is reported
        (None, Comparison(ComparisonResult.DISAGREE, pytest.approx(180 / 1380))),
    ],
)
def test_unreported_packets_may_have_arrived(lost: int | None, expected: Comparison) -> None:
    assert compared(received_packets=1200, lost_packets=lost) == expected


def test_more_than_the_unreported_packets_is_a_disagreement() -> None:
    assert (
        compared(received_packets=1200, lost_packets=20, sent_packets=1240).result
        is ComparisonResult.DISAGREE
    )


def test_unreported_packets_of_a_search_may_have_arrived() -> None:
    counts = {"load_us": 10_000_000, "sent_packets": 18_000, "sent_bytes": 22_500_000}
    holes = peer_test(**counts, received_packets=16_000, received_bytes=20_000_000, lost_packets=1000)
    assert compare(SEARCH, holes).difference == 0.0
    all_reported = peer_test(**counts, received_packets=15_000, received_bytes=18_750_000, lost_packets=3000)
    assert compare(SEARCH, all_reported).result is ComparisonResult.DISAGREE


def test_only_sent_packets_of_a_test_ended_early_are_compared() -> None:
    counts = peer_test(load_us=1_000_000, sent_bytes=1_000_000, received_bytes=500_000)
    assert compare(AgentFigures(8e6, None), counts) == Comparison(ComparisonResult.AGREE, 0.0)
    assert compare(AgentFigures(6e6, None), counts) == Comparison(ComparisonResult.DISAGREE, 0.25)


def test_the_result_has_the_greatest_difference() -> None:
    assert compared(sent_packets=700, received_packets=1380) == Comparison(ComparisonResult.DISAGREE, 0.5)
    assert compared(sent_packets=None, received_packets=None).difference is None


@pytest.mark.parametrize(("sent_bytes", "received_bytes", "result"), [
    (22_500_000, 21_250_000, ComparisonResult.AGREE),
    (23_400_000, None, ComparisonResult.AGREE),
    (22_500_000, 19_000_000, ComparisonResult.DISAGREE),
    (30_000_000, 21_250_000, ComparisonResult.DISAGREE),
])  # fmt: skip
def test_rates_of_a_search_are_compared(
    sent_bytes: int | None, received_bytes: int | None, result: ComparisonResult
) -> None:
    test = msgspec.structs.replace(
        peer_test(), load_us=10_000_000, sent_bytes=sent_bytes, received_bytes=received_bytes
    )
    assert compare(SEARCH, test).result is result


def test_a_short_test_has_a_wider_tolerance() -> None:
    short = AgentFigures(8e6, 8e6, duration_us=200_000, sent_packets=140, received_packets=140)
    test = msgspec.structs.replace(peer_test(), sent_packets=140, received_packets=110)
    assert compare(short, test).result is ComparisonResult.AGREE
    assert compared(received_packets=1084).result is ComparisonResult.DISAGREE


@pytest.mark.parametrize(("direction", "changes", "expected"), [
    (Direction.DOWN, {"sent_packets": 0, "received_packets": None}, False),
    (Direction.UP, {"sent_packets": None, "received_packets": None}, False),
    (Direction.UP, {"sent_packets": None, "received_packets": 1}, True),
])  # fmt: skip
def test_a_test_that_never_began_is_no_test(
    direction: Direction, changes: dict[str, object], expected: bool
) -> None:
    assert has_load(msgspec.structs.replace(peer_test(), direction=direction, **changes)) is expected
