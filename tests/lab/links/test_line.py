"""Every property of a line: exact where it is deterministic, by 99.9 % intervals where it is random."""

from dataclasses import replace
from math import sqrt

import pytest

from lab.links.line import DropCause, EmulatedLine, LineSettings, LossPlace, Release

MILLISECOND = 10**6
SECOND = 10**9


def releases(line: EmulatedLine, times: range, ip_bytes: int = 1000) -> list[tuple[int, ...]]:
    return [tuple(release.at for release in line.offer(now, ip_bytes)) for now in times]


def assert_share(found: int, of: int, expected: float) -> None:
    margin = 3.29 * sqrt(of * expected * (1 - expected))
    assert abs(found - of * expected) <= margin


HALF_MS, MS = MILLISECOND // 2, MILLISECOND
SHAPED = LineSettings(rate=8_000_000, queue=5000)  # 1 ms for each 1000 bytes


@pytest.mark.parametrize(("settings", "offered", "released"), [
    (LineSettings(), [5], [5]),
    (SHAPED, [0, 1, 2], [MS, 2 * MS, 3 * MS]),
    (SHAPED, [0, 5 * MS], [MS, 6 * MS]),
    (replace(SHAPED, burst=3000), [0] * 5, [0, 0, 0, MS, 2 * MS]),
    (replace(SHAPED, burst=2000), [0, 0, MS, MS + HALF_MS], [0, 0, MS, 2 * MS]),
    (replace(SHAPED, delay=10 * MS), [0, 1], [11 * MS, 12 * MS]),
], ids=["no rate", "spaced", "idle again", "a burst", "a burst refilled", "a delay after it"])  # fmt: skip
def test_packets_leave_at_the_rate(settings: LineSettings, offered: list[int], released: list[int]) -> None:
    line = EmulatedLine(settings)
    assert [line.offer(now, 1000) for now in offered] == [(Release(at, 0),) for at in released]


def test_a_rate_that_divides_nothing_does_not_drift() -> None:
    line = EmulatedLine(LineSettings(rate=8_400_000, queue=1_100_000))
    last = [line.offer(0, 1028) for _ in range(1000)][-1]
    assert last[0].at == -(-1000 * 1028 * 8 * SECOND // 8_400_000)


def test_tail_drop_counts_the_unsent_part_of_the_packet_in_service() -> None:
    line = EmulatedLine(LineSettings(rate=8_000_000, queue=2500))
    assert [bool(line.offer(0, 1000)) for _ in range(3)] == [True, True, False]
    assert not line.offer(MILLISECOND // 2 - 1, 1000)
    assert line.offer(MILLISECOND // 2, 1000) == (Release(3 * MILLISECOND, 0),)
    assert line.counters.dropped_packets == {DropCause.QUEUE_FULL: 2}
    assert line.counters.dropped_bytes == {DropCause.QUEUE_FULL: 2000}


def test_a_policer_drops_what_a_shaper_would_delay() -> None:
    line = EmulatedLine(LineSettings(rate=8_000_000, burst=2000, policer=True))
    assert [bool(line.offer(0, 1000)) for _ in range(3)] == [True, True, False]
    assert not line.offer(MILLISECOND - 1, 1000)
    assert line.offer(MILLISECOND, 1000) == (Release(MILLISECOND, 0),)
    assert line.counters.dropped_packets == {DropCause.POLICED: 2}


def test_jitter_is_uniform_between_packets_far_apart() -> None:
    line = EmulatedLine(LineSettings(delay=10, jitter=999, seed=1))
    extra = [line.offer(now, 100)[0].at - now - 10 for now in range(0, 10_000_000, 1000)]
    assert (min(extra), max(extra)) == (0, 999)
    for tenth in range(10):
        assert_share(sum(tenth * 100 <= value < tenth * 100 + 100 for value in extra), 10_000, 0.1)


def test_a_path_sways_by_a_sine_or_in_steps_and_never_reorders() -> None:
    sine = EmulatedLine(LineSettings(delay=10, sway=1000, sway_period=4000))
    assert [sine.offer(at, 100)[0].at - at for at in (0, 1000, 2000, 8000)] == [10, 510, 1010, 10]
    steps = EmulatedLine(LineSettings(sway=1000, sway_period=4000, sway_share=0.5))
    assert [steps.offer(at, 100)[0].at for at in (0, 1999, 2000, 2999, 3500)] == [
        1000,
        2999,
        2999,
        2999,
        3500,
    ]
    with pytest.raises(ValueError, match="a path that sways needs a period"):
        EmulatedLine(LineSettings(sway=1))


def test_jitter_never_reorders() -> None:
    line = EmulatedLine(LineSettings(jitter=50 * MILLISECOND, seed=2))
    times = [line.offer(now, 100)[0].at for now in range(0, SECOND, MILLISECOND)]
    assert times == sorted(times)
    delays = [at - now for at, now in zip(times, range(0, SECOND, MILLISECOND), strict=True)]
    assert 0 <= min(delays) < max(delays) <= 50 * MILLISECOND


@pytest.mark.parametrize("place", list(LossPlace))
def test_the_share_of_lost_packets_is_that_of_the_settings(place: LossPlace) -> None:
    line = EmulatedLine(LineSettings(loss=0.03, loss_place=place, seed=3))
    lost = sum(not line.offer(now, 100) for now in range(20_000))
    assert_share(lost, 20_000, 0.03)
    assert line.counters.dropped_packets == {DropCause.LOSS: lost}


def test_loss_before_the_queue_leaves_the_line_free_and_after_it_does_not() -> None:
    ends = {}
    for place in LossPlace:
        line = EmulatedLine(LineSettings(rate=8_000_000, queue=200_000, loss=0.5, loss_place=place, seed=4))
        got = [line.offer(0, 1000) for _ in range(100)]
        ends[place] = max(release.at for packet in got for release in packet)
        delivered = line.counters.delivered_packets
        if place is LossPlace.BEFORE_QUEUE:
            assert ends[place] == delivered * MILLISECOND
    assert ends[LossPlace.AFTER_QUEUE] > 95 * MILLISECOND > ends[LossPlace.BEFORE_QUEUE]


def test_only_reordered_packets_have_the_extra_delay() -> None:
    line = EmulatedLine(LineSettings(delay=100, reordering=0.1, reordering_delay=5000, seed=5))
    extra = [line.offer(now, 100)[0].at - now for now in range(0, 10_000_000, 1000)]
    assert set(extra) == {100, 5100}
    assert_share(extra.count(5100), 10_000, 0.1)


def test_a_duplicate_leaves_with_its_original() -> None:
    line = EmulatedLine(LineSettings(delay=7, duplication=0.2, seed=6))
    copies = [line.offer(now, 100, tos=4) for now in range(10_000)]
    assert set(copies) <= {(Release(now + 7, 4),) * n for now in range(10_000) for n in (1, 2)}
    assert_share(sum(len(packet) == 2 for packet in copies), 10_000, 0.2)
    assert line.counters.duplicated_packets == sum(len(packet) == 2 for packet in copies)


def test_dscp_is_rewritten_and_ecn_is_not() -> None:
    line = EmulatedLine(LineSettings(dscp_rewrite={46: 0, 10: 12}))
    found = [line.offer(0, 100, tos)[0].tos for tos in (46 << 2 | 1, 10 << 2 | 3, 8 << 2 | 2)]
    assert found == [1, 12 << 2 | 3, 8 << 2 | 2]


def test_the_counters_balance() -> None:
    line = EmulatedLine(
        LineSettings(
            rate=8_000_000, queue=5000, loss=0.1, duplication=0.1, reordering=0.1, reordering_delay=9, seed=7
        )
    )
    out = [line.offer(now, 500) for now in range(0, 2 * SECOND, 400_000)]
    counters = line.counters
    assert counters.offered_packets == 5000
    assert counters.delivered_packets == sum(map(len, out))
    assert counters.dropped_packets[DropCause.LOSS] > 0
    assert counters.dropped_packets[DropCause.QUEUE_FULL] > 0
    dropped = counters.dropped_packets.total()
    assert counters.offered_packets + counters.duplicated_packets == counters.delivered_packets + dropped
    assert counters.offered_bytes == 500 * counters.offered_packets
    assert counters.delivered_bytes == 500 * counters.delivered_packets
    assert counters.dropped_bytes.total() == 500 * dropped


def test_the_same_seed_has_the_same_results() -> None:
    settings = LineSettings(loss=0.3, jitter=1000, duplication=0.2, seed=8)
    first, second = EmulatedLine(settings), EmulatedLine(settings)
    assert releases(first, range(500)) == releases(second, range(500))


@pytest.mark.parametrize(("settings", "message"), [
    (LineSettings(rate=0, queue=9000), "rate must be at least 1 bit/s, not 0"),
    (LineSettings(rate=10, queue=100), "the queue needs room for at least 1500 B, not 100 B"),
    (LineSettings(rate=10, policer=True), "a policer needs a burst of at least 1500 B, not 0 B"),
    (LineSettings(policer=True), "a policer needs a rate"),
    (LineSettings(burst=2000), "a burst needs a rate"),
    (LineSettings(loss=1.5), "loss must lie between 0 and 1, not 1.5"),
    (LineSettings(jitter=-1), "delay, jitter, reordering delay and burst cannot be negative"),
    (LineSettings(reordering=0.1), "reordering needs a reordering delay"),
    (LineSettings(dscp_rewrite={46: 64}), "DSCP code points lie between 0 and 63"),
])  # fmt: skip
def test_impossible_settings_are_named(settings: LineSettings, message: str) -> None:
    assert settings.faults() == (message,)
    with pytest.raises(ValueError) as caught:
        EmulatedLine(settings)
    assert str(caught.value) == message
