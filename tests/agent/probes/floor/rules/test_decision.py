import dataclasses
from random import Random
from typing import Any

import pytest
from msgspec import structs
from msgspec.structs import replace

from agent.load.rules import series as floor_series
from agent.load.rules import validity as floor_validity
from agent.load.rules.busy_window import BusyWindow
from agent.load.rules.own_traffic import OwnTraffic
from agent.probes.floor.rules import decision as floor_rules
from agent.probes.floor.rules import signs
from agent.probes.floor.rules.decision import Conclusion, Step
from lab.links.line import LineSettings, LossPlace
from tests.agent.load import fixed_rate
from wire.records import Direction, Failure, Finding, FloorTest, Verdict
from wire.udpstp import rates
from wire.udpstp.load import DrainSample, Ending, LoadReport

FLOOR = 8e6
BOTH = pytest.mark.parametrize("direction", list(Direction))


def measure(
    line: LineSettings, direction: Direction, floor: float = FLOOR, **beside: Any
) -> tuple[Conclusion, list[FloorTest]]:
    """Climb the ladder over an exact line, as the probe does over a real one."""
    tests: list[FloorTest] = []
    while True:
        step = floor_rules.next_step(tests, floor)
        if isinstance(step, Conclusion):
            return step, tests
        rate = rates.bits_per_second(rates.sending_rate(rates.row_for(step.rate_bps)))
        report, other = fixed_rate.run(line, rate, step.seconds, direction, **beside)
        assert isinstance(other, OwnTraffic)
        tests.append(signs.judge(report, floor, other, tests))


@BOTH
@pytest.mark.parametrize(
    ("rate", "verdict"),
    [(7.2, "fail"), (7.8, "fail"), (8.2, "pass"), (20, "pass")],
)
def test_a_clean_line_is_judged_rightly(rate: float, verdict: str, direction: Direction) -> None:
    random = Random(round(rate * 100))
    for _ in range(3):
        conclusion, tests = measure(fixed_rate.random_line(random, rate * 1e6), direction)
        assert conclusion.verdict == verdict
        if verdict == "fail":
            assert tests[-1].capacity_bps == pytest.approx(rate * 1e6, rel=0.005)


@pytest.mark.parametrize(("rate", "direction"), [(7.86, Direction.UP), (7.9, Direction.DOWN)])
def test_near_the_floor_no_verdict_is_wrong(rate: float, direction: Direction) -> None:
    random = Random(round(rate * 100))
    conclusion, tests = measure(fixed_rate.random_line(random, rate * 1e6), direction)
    assert conclusion.verdict in (
        Verdict.UNDETERMINED,
        Verdict.PASS if rate >= 7.9 else Verdict.UNDETERMINED,
    )
    assert len(tests) <= 3


@BOTH
@pytest.mark.parametrize("loss", [0.01, 0.025, 0.05])
@pytest.mark.parametrize("place", list(LossPlace))
def test_random_loss_on_a_fast_line_is_no_capacity_fail(
    loss: float, place: LossPlace, direction: Direction
) -> None:
    line = dataclasses.replace(fixed_rate.random_line(Random(5), 20e6), loss=loss, loss_place=place)
    conclusion, tests = measure(line, direction)
    assert conclusion == Conclusion(Verdict.PASS)
    assert tests[0].loss_ratio == pytest.approx(loss, abs=0.02)


@BOTH
def test_a_policer_below_the_floor_is_found(direction: Direction) -> None:
    line = LineSettings(rate=7_600_000, policer=True, burst=5000, delay=10_000_000)
    conclusion, tests = measure(line, direction)
    assert conclusion.verdict is Verdict.FAIL
    assert [test.finding for test in tests] == [Finding.LOSS, Finding.POLICED]
    assert tests[-1].capacity_bps == pytest.approx(7.6e6, rel=0.01)


@BOTH
def test_a_slow_and_lossy_line_fails_with_its_delivered_rate(direction: Direction) -> None:
    line = dataclasses.replace(
        fixed_rate.random_line(Random(1), 6.5e6), loss=0.01, loss_place=LossPlace.AFTER_QUEUE
    )
    conclusion, tests = measure(line, direction)
    assert conclusion.verdict is Verdict.FAIL
    assert tests[-1].capacity_bps == pytest.approx(6.5e6 * 0.99, rel=0.01)


def test_a_short_queue_is_no_excuse() -> None:
    line = LineSettings(rate=6_500_000, queue=12_000, delay=1_000_000)
    conclusion, _ = measure(line, Direction.DOWN)
    assert conclusion.verdict is Verdict.FAIL


def test_heavy_loss_alone_never_condemns() -> None:
    line = LineSettings(rate=20_000_000, queue=100_000, loss=0.3, seed=3)
    conclusion, tests = measure(line, Direction.DOWN)
    assert conclusion.verdict is Verdict.UNDETERMINED
    assert all(test.finding is Finding.LOSS for test in tests)


@pytest.mark.parametrize(("rate", "verdict"), [(7.6, "fail"), (8.4, "pass"), (20, "pass")])
@pytest.mark.parametrize("other", [0.1e6, 3e6, 6e6])
@pytest.mark.parametrize("burst", [1, 40])
def test_the_sites_own_download_is_counted_in(rate: float, verdict: str, other: float, burst: int) -> None:
    line = fixed_rate.random_line(Random(burst), rate * 1e6)
    conclusion, _ = measure(line, Direction.DOWN, other_bps=other, other_burst=burst)
    assert conclusion.verdict == verdict


@pytest.mark.parametrize(
    ("rate", "verdicts"), [(7.6, ["fail", "unconfirmed"]), (8.4, ["pass", "unconfirmed"]), (20, ["pass"])]
)
@pytest.mark.parametrize("other", [0.1e6, 3e6, 6e6])
@pytest.mark.parametrize("burst", [1, 40])
def test_the_sites_own_upload_is_known_as_offered_only(
    rate: float, verdicts: list[str], other: float, burst: int
) -> None:
    """The packets that a full queue refuses are not known."""
    line = fixed_rate.random_line(Random(burst), rate * 1e6)
    conclusion, _ = measure(line, Direction.UP, other_bps=other, other_burst=burst)
    assert conclusion.verdict in verdicts


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"stall_us": 300_000}, Failure.SENDER_STALLED),
        ({"blocked_sends": 30}, Failure.SEND_BLOCKED),
        ({"receiver_drops": 30}, Failure.RECEIVER_SLOW),
        ({"wall_step_us": -9_000}, Failure.CLOCK_STEPPED),
        ({"send_span_us": 2_100_000}, Failure.PEER_SLOW),
        ({"send_span_us": 2_100_000, "direction": Direction.UP}, Failure.SENDER_SLOW),
    ],
)
def test_an_invalid_test_has_its_reason(changes: dict[str, object], failure: Failure) -> None:
    report = replace(fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000))[0], **changes)  # type: ignore[arg-type]
    test = signs.judge(report, FLOOR, OwnTraffic(0.0))
    assert (test.finding, test.failure) == (Finding.INVALID, failure)
    assert isinstance(floor_rules.next_step([test] * 2, FLOOR), Step)
    assert floor_rules.next_step([test] * 3, FLOOR) == Conclusion(Verdict.INVALID, failure)


def test_a_queue_of_others_at_the_end_is_no_signature() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000))
    late = tuple(
        replace(one, delay_min_us=60_000.0) if index > 30 else one
        for index, one in enumerate(report.intervals)
    )
    test = signs.judge(replace(report, intervals=late), FLOOR, None)
    assert test.finding is Finding.UNSTEADY
    assert floor_rules.verdict_of(test, FLOOR) is Verdict.GREY


def test_nothing_received_is_loss_not_a_division() -> None:
    empty = LoadReport(
        session="1-2", direction=Direction.UP, row=8, planned_bps=8_000_000, planned_duration_us=2_000_000,
        planned_packets=2000, ending=Ending.COMPLETED, sent_packets=2000, sent_ip_bytes=2_000_000,
        send_span_us=1_999_000,
    )  # fmt: skip
    test = signs.judge(empty, FLOOR, None)
    assert (test.finding, test.loss_ratio, test.capacity_bps) == (Finding.LOSS, 1.0, None)


def test_every_ending_but_completion_has_its_failure() -> None:
    assert set(floor_validity.FAILURES) == set(Ending) - {Ending.COMPLETED}


def test_the_first_test_costs_two_megabytes() -> None:
    step = floor_rules.next_step([], FLOOR)
    assert isinstance(step, Step)
    assert step.rate_bps * step.seconds / 8 == 2_000_000


@pytest.mark.parametrize("floor", [1e6, 8.5e6, 900e6, 1e9])
def test_no_step_asks_for_more_than_the_table_has(floor: float) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000, loss=0.3, seed=3))
    lossy = structs.replace(signs.judge(report, FLOOR, None), planned_bps=floor)
    step = floor_rules.next_step([lossy], floor)
    assert isinstance(step, Step)
    assert 1 <= rates.row_for(step.rate_bps) <= rates.HIGH_SPEED_ROW


@BOTH
@pytest.mark.parametrize("left", [0, 1, 9])
def test_a_slow_line_without_delays_does_not_pass(left: int, direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000), 8e6, 2, direction)
    assert report.lost < 0.01 * report.sent_packets
    untold = replace(report, intervals=report.intervals[:left])
    assert floor_rules.verdict_of(signs.judge(untold, FLOOR, None), FLOOR) is not Verdict.PASS


@pytest.mark.parametrize("offsets", [[0] * 40, [50_000 - index for index in range(40)]])
def test_intervals_out_of_order_give_no_growth(offsets: list[int]) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000), 8e6, 2, Direction.UP)
    intervals = tuple(
        replace(one, offset_us=offset, duration_us=0)
        for one, offset in zip(report.intervals, offsets, strict=False)
    )
    assert floor_series.queue_growth(intervals) == floor_series.Growth()


def test_a_sender_that_slowed_down_for_want_of_feedback_is_not_blamed() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000), 8e6, 2, Direction.UP)
    slowed = replace(report, send_span_us=2 * report.send_span_us, backoff_steps=12)
    assert floor_validity.why_invalid(slowed) is Failure.CONNECTION_LOST


def test_an_absurd_report_of_the_peer_gives_no_negative_ratio() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000), 8e6, 2, Direction.UP)
    nonsense = replace(report, duplicated=2 * report.received_packets)
    assert signs.judge(nonsense, FLOOR, None).loss_ratio == 1
    assert signs.judge(nonsense, FLOOR, None).received_packets == 0


@BOTH
@pytest.mark.parametrize("floor", [1e6, 1.3e6, 8.22e6, 20e6])
@pytest.mark.parametrize(("share", "verdict"), [(0.975, "fail"), (1.025, "pass")])
def test_any_floor_is_judged_rightly_also_between_rows(
    floor: float, share: float, verdict: str, direction: Direction
) -> None:
    random = Random(round(floor * share))
    for _ in range(2):
        conclusion, _ = measure(fixed_rate.random_line(random, 0.998 * share * floor), direction, floor)
        assert conclusion.verdict == verdict


@BOTH
@pytest.mark.parametrize(("floor", "burst_ms"), [(8e6, 50), (20e6, 5)])
@pytest.mark.parametrize(("share", "verdict"), [(0.95, "fail"), (1.05, "pass"), (2.5, "pass")])
def test_a_policer_is_judged_by_its_rate(
    floor: float, share: float, verdict: str, burst_ms: int, direction: Direction
) -> None:
    rate = round(share * floor)
    line = LineSettings(rate=rate, policer=True, burst=max(5000, rate * burst_ms // 8000), delay=10_000_000)
    conclusion, tests = measure(line, direction, floor)
    assert conclusion.verdict == verdict
    if verdict == "fail":
        assert tests[-1].finding is Finding.POLICED


@BOTH
@pytest.mark.parametrize("loss", [0.02, 0.2, 0.3])
def test_losses_in_bursts_on_a_fast_line_never_condemn(loss: float, direction: Direction) -> None:
    for seed in range(2):
        line = LineSettings(rate=20_000_000, queue=100_000, delay=10_000_000, seed=seed)
        conclusion, _ = measure(line, direction, bursty_loss=loss)
        assert conclusion.verdict in (Verdict.PASS, Verdict.UNDETERMINED)


def given_up(rate: float, direction: Direction, other: float = 3e6) -> FloorTest:
    line = LineSettings(rate=round(rate), queue=100_000)
    report, own = fixed_rate.run(line, direction=direction, other_bps=other)
    assert isinstance(own, OwnTraffic)
    return signs.judge(report, FLOOR, own, ended_early=True)


@pytest.mark.parametrize(
    ("rate", "conclusion"),
    [
        (7.2e6, Conclusion(Verdict.FAIL)),
        (7.86e6, Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)),
        (8.4e6, Conclusion(Verdict.PASS)),
    ],
)
@pytest.mark.parametrize("other", [1e6, 3e6, 6e6])
def test_down_a_test_that_gave_way_is_judged_by_all_that_arrived(
    rate: float, conclusion: Conclusion, other: float
) -> None:
    test = given_up(rate, Direction.DOWN, other)
    assert floor_rules.next_step([test], FLOOR) == conclusion
    if conclusion.verdict is Verdict.FAIL:
        assert test.capacity_bps == pytest.approx(rate, rel=0.002)


@BOTH
def test_a_test_that_gave_way_without_a_queue_says_nothing_of_a_slow_line(direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_200_000, queue=100_000), direction=direction)
    test = signs.judge(report, FLOOR, OwnTraffic(0.0), ended_early=True)
    assert floor_rules.verdict_of(test, FLOOR) is Verdict.GREY
    assert floor_rules.next_step([test], FLOOR) == Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)


@pytest.mark.parametrize("rate", [7.2e6, 7.6e6, 8.4e6])
def test_up_a_full_queue_is_followed_by_a_test_beside_the_sites_traffic(rate: float) -> None:
    tests = [given_up(rate, Direction.UP)]
    step = floor_rules.next_step(tests, FLOOR, Direction.UP)
    assert isinstance(step, Step)
    assert (step.rate_bps, step.beside_site) == (FLOOR, True)


@pytest.mark.parametrize(("rate", "verdict"), [(7.2, "fail"), (7.6, "fail"), (8.2, "pass"), (20, "pass")])
@pytest.mark.parametrize("other", [1e6, 6e6])
@pytest.mark.parametrize("burst", [1, 12])
def test_up_a_test_beside_the_sites_traffic_decides(
    rate: float, verdict: str, other: float, burst: int
) -> None:
    line = LineSettings(rate=round(rate * 1e6), queue=100_000, delay=10_000_000)
    beside = FLOOR - other
    report, own = fixed_rate.run(line, beside, 2, Direction.UP, other_bps=other, other_burst=burst)
    assert isinstance(own, OwnTraffic)
    test = signs.judge(report, FLOOR, own)
    assert floor_rules.next_step(
        [given_up(rate * 1e6, Direction.UP), test], FLOOR, Direction.UP
    ) == Conclusion(Verdict(verdict))


def test_up_a_test_beside_too_little_traffic_is_repeated_then_invalid() -> None:
    line = LineSettings(rate=20_000_000, queue=100_000)
    report, own = fixed_rate.run(line, 3e6, 2, Direction.UP, other_bps=2e6)
    assert isinstance(own, OwnTraffic)
    slower = signs.judge(report, FLOOR, own)
    tests = [given_up(7.6e6, Direction.UP)]
    for _ in range(len(floor_rules.BESIDE_RATES)):
        assert isinstance(floor_rules.next_step(tests, FLOOR, Direction.UP), Step)
        tests.append(slower)
    assert floor_rules.next_step(tests, FLOOR, Direction.UP) == Conclusion(
        Verdict.INVALID, Failure.SITE_IN_USE
    )


@BOTH
@pytest.mark.parametrize("rate", [8.0e6, 20e6])
@pytest.mark.parametrize("other", [0.5e6, 6e6, 12e6])
@pytest.mark.parametrize("burst", [1, 40])
def test_a_good_line_never_fails_beside_any_traffic(
    rate: float, other: float, burst: int, direction: Direction
) -> None:
    line = fixed_rate.random_line(Random(round(rate + other + burst)), rate)
    for ours in (8e6, 2e6):
        report, own = fixed_rate.run(line, ours, 2, direction, other, burst)
        assert isinstance(own, OwnTraffic)
        for ended_early in (False, True):
            test = signs.judge(report, FLOOR, own, ended_early=ended_early)
            assert floor_rules.verdict_of(test, FLOOR) is not Verdict.FAIL


@BOTH
def test_enough_bytes_of_a_stalled_sender_prove_the_floor(direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=200_000_000, queue=500_000), 103e6, 2, direction)
    late = replace(fixed_rate.stalled(report, 60_000), send_span_us=round(report.send_span_us * 1.03))
    assert signs.judge(late, 100e6, OwnTraffic(0.0)).finding is Finding.CLEAR
    too_late = replace(late, receive_span_us=round(report.receive_span_us * 1.06))
    assert signs.judge(too_late, 100e6, OwnTraffic(0.0)).finding is Finding.INVALID


@BOTH
def test_a_slow_sender_that_delivered_all_is_no_pass(direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000), 8e6, 2, direction)
    slow = replace(
        fixed_rate.stalled(report, 38_000),
        send_span_us=round(report.send_span_us * 1.019),
        receive_span_us=round(report.receive_span_us * 1.019),
    )
    assert signs.judge(slow, FLOOR, OwnTraffic(0.0)).failure in (Failure.SENDER_SLOW, Failure.PEER_SLOW)


@BOTH
@pytest.mark.parametrize("idle_us", [(0, 0), (0, 60_000), (60_000, 60_000)])
def test_a_late_senders_window_counts_only_where_the_path_is_still(
    direction: Direction, idle_us: tuple[int, int]
) -> None:
    """A path that is longer half of the time keeps packets waiting as a queue does."""
    report, own = fixed_rate.run(LineSettings(rate=7_600_000, queue=500_000), 8e6, 2, direction)
    assert isinstance(own, OwnTraffic)
    own = OwnTraffic(0.0, window=BusyWindow(900_000, 7.6e6, 0.0, 0.0))
    late = fixed_rate.stalled(report, 60_000)
    base = min(one.delay_min_us for one in report.intervals if one.delay_min_us is not None)
    drain = tuple(
        DrainSample(offset_us=offset, delay_us=base + idle_us[offset // 100_000 % 2])
        for offset in range(200_000, 700_000, 10_000)
    )
    test = signs.judge(replace(late, drain=drain), FLOOR, own)
    if any(idle_us):
        assert test.failure is Failure.SENDER_STALLED
    else:
        assert test.finding is Finding.QUEUE
    # Without probes nothing excludes that the path moved.
    assert signs.judge(replace(late, drain=()), FLOOR, own).failure is Failure.SENDER_STALLED


@pytest.mark.parametrize(("floor", "offered"), [(8e6, 8e6), (20e6, 20e6), (100e6, 103e6), (1e9, 1e9)])
def test_the_first_test_leaves_a_busy_host_some_margin(floor: float, offered: float) -> None:
    step = floor_rules.next_step([], floor)
    assert isinstance(step, Step)
    assert step.rate_bps == pytest.approx(offered)


def test_a_spoilt_test_that_gave_way_is_the_last_one() -> None:
    test = structs.replace(
        given_up(8.4e6, Direction.DOWN), finding=Finding.INVALID, failure=Failure.SENDER_STALLED
    )
    assert floor_rules.next_step([test], FLOOR) == Conclusion(Verdict.INVALID, Failure.SITE_IN_USE)


@pytest.mark.parametrize(
    ("other", "verdict"), [((0.0, 0.1e6), "fail"), ((0.1e6, 3e6), "unconfirmed"), ((3e6, 3e6), "unconfirmed")]
)
def test_other_traffic_known_as_a_span_must_leave_no_doubt(other: tuple[float, float], verdict: str) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000))
    test = signs.judge(report, FLOOR, OwnTraffic(other[0], most_bps=other[1]))
    assert floor_rules.verdict_of(test, FLOOR) == verdict
