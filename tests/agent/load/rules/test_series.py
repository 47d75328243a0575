"""Parts of a test, and the samples that are kept of it."""

import pytest
from msgspec.structs import replace

from agent.load.rules import series as floor_series
from lab.links.line import LineSettings
from tests.agent.load import fixed_rate
from wire.records import Direction

BOTH = pytest.mark.parametrize("direction", list(Direction))


@BOTH
def test_a_part_counts_what_lies_wholly_within(direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=7_600_000, queue=100_000), 8e6, 5, direction)
    part = floor_series.part_of(report, 1_010_000, 3_040_000)
    assert part is not None
    assert part.intervals == report.intervals[21:60]
    assert part.planned_duration_us == 39 * 50_000
    assert part.received_bps == pytest.approx(7.6e6, rel=0.003)
    assert part.sent_bps == pytest.approx(8e6, rel=0.002)
    assert part.planned_packets == pytest.approx(report.planned_packets * 39 / 100, abs=1)


def test_a_part_has_its_own_losses() -> None:
    lossless, lossy = (
        fixed_rate.run(LineSettings(rate=rate, queue=50_000), 8e6, 3)[0] for rate in (20_000_000, 6_000_000)
    )
    full = floor_series.part_of(lossy, 1_000_000, 3_000_000)
    assert full is not None
    assert full.lost / full.sent_packets == pytest.approx(0.25, abs=0.02)
    assert full.received_bps == pytest.approx(6e6, rel=0.003)
    begin = floor_series.part_of(lossless, 0, 1_000_000)
    assert begin is not None
    assert (begin.lost, begin.sent_packets) == (0, begin.received_packets)


def test_the_whole_is_a_part_of_itself() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=50_000))
    part = floor_series.part_of(report, 0, 10_000_000)
    assert part is not None
    assert (part.sent_packets, part.received_packets, part.lost) == (2000, 2000, 0)
    assert part.received_bps == pytest.approx(report.received_bps, rel=0.001)


@pytest.mark.parametrize(("begin", "end"), [(0, 0), (0, 49_999), (5_000_000, 9_000_000), (300, 200)])
def test_an_empty_part_is_none(begin: int, end: int) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=50_000))
    assert floor_series.part_of(report, begin, end) is None


@BOTH
def test_samples_of_100_ms_hold_every_byte(direction: Direction) -> None:
    report, _ = fixed_rate.run(LineSettings(rate=6_000_000, queue=50_000), 8e6, 2, direction)
    kept = floor_series.samples(report.intervals)
    assert [sample.offset_us for sample in kept] == [100_000 * number for number in range(len(kept))]
    assert sum(sample.ip_bytes for sample in kept) == report.received_ip_bytes
    assert sum(sample.lost for sample in kept) == sum(one.lost for one in report.intervals)
    assert max(sample.delay_max_us or 0 for sample in kept) == pytest.approx(50_000 * 8 / 6, rel=0.05)


def test_at_most_a_minute_is_kept() -> None:
    report, _ = fixed_rate.run(LineSettings(rate=2_000_000, queue=50_000), 0.2e6, 61)
    assert len(floor_series.samples(report.intervals)) == floor_series.MOST_SAMPLES


def test_how_often_a_rate_was_exceeded() -> None:
    capped, _ = fixed_rate.run(LineSettings(rate=7_600_000, policer=True, burst=5000), 10e6)
    bursty, _ = fixed_rate.run(LineSettings(rate=20_000_000, queue=50_000, seed=3), 10e6, bursty_loss=0.25)
    assert floor_series.share_above(capped.intervals, 8.8e6) < 0.1
    assert floor_series.share_above(bursty.intervals, 8.8e6) > 0.5
    assert floor_series.share_above((), 0) == 0


def test_a_peer_whose_times_do_not_run_forward_shows_no_drain() -> None:
    """Up, the times are the peer's: a clock that was set back, or a peer that lies, decides nothing."""
    report, _ = fixed_rate.run(LineSettings(rate=7_000_000, queue=100_000))
    assert floor_series.queue_drain(report) is not None
    still = tuple(replace(one, offset_us=0) for one in report.intervals)
    assert floor_series.queue_drain(replace(report, intervals=still)) is None
    back = tuple(replace(one, offset_us=-one.offset_us) for one in report.intervals)
    assert floor_series.queue_drain(replace(report, intervals=back)) is None
