"""Rate of a line while its queue stands, from logs of which the truth is known."""

import pytest

from lab.bench.truth.standing import standing_rate_bps
from lab.netns.links.passages import Passage
from lab.netns.settings import KernelLineSettings

RATE, BYTES, MS = 8_000_000, 1250, 1_000_000
SPACING_NS = BYTES * 8 * 10**9 // RATE
LINE = KernelLineSettings(rate=RATE, queue=RATE // 8, delay=20 * MS, sway=300 * MS, sway_period=1000 * MS)


def log(count: int, *, waited_ns: int, spacing_ns: int = SPACING_NS, begin_ns: int = 0) -> list[Passage]:
    return [
        Passage(left_ns - waited_ns, left_ns, BYTES, b"")
        for left_ns in range(begin_ns, begin_ns + count * spacing_ns, spacing_ns)
    ]


def test_a_standing_queue_leaves_at_the_rate() -> None:
    assert standing_rate_bps(log(3000, waited_ns=900 * MS), LINE, 0) == pytest.approx(RATE)


def test_times_in_which_the_wire_alone_may_delay_do_not_count() -> None:
    slow = log(500, waited_ns=320 * MS, spacing_ns=2 * SPACING_NS)
    full = log(3000, waited_ns=700 * MS, begin_ns=slow[-1].left_ns or 0)
    assert standing_rate_bps(slow + full, LINE, 0) == pytest.approx(RATE)
    assert standing_rate_bps(slow, LINE, 0) is None


def test_a_bucket_that_still_passes_more_does_not_count() -> None:
    fast = log(4000, waited_ns=900 * MS, spacing_ns=SPACING_NS // 3)
    end_ns = fast[-1].left_ns or 0
    full = log(3000, waited_ns=900 * MS, begin_ns=end_ns + SPACING_NS)
    assert standing_rate_bps(fast + full, LINE, end_ns + 1) == pytest.approx(RATE)


def test_lost_packets_neither_count_nor_end_the_time() -> None:
    lossy = [
        one._replace(left_ns=None) if number % 50 == 7 else one
        for number, one in enumerate(log(3000, waited_ns=900 * MS))
    ]
    assert standing_rate_bps(lossy, LINE, 0) == pytest.approx(RATE * 0.98, rel=1e-3)


def test_a_policer_has_no_queue_to_wait_for() -> None:
    policer = KernelLineSettings(rate=RATE, policer=True)
    assert standing_rate_bps(log(3000, waited_ns=0), policer, 0) == pytest.approx(RATE)
