"""Our own load test over real kernel queues against the real peer; without root these tests are skipped."""

import asyncio
from pathlib import Path

import pytest

from lab.netns import names
from lab.netns.names import End
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.kernel_testbed import KernelStand
from wire.records import Direction
from wire.udpstp.load import Ending, LoadReport

TRIES = 3
MOST_STALL_US = 20_000


def settings(rate: int) -> KernelLinkSettings:
    """Both directions alike; the queue takes 100 ms at the rate."""
    line = KernelLineSettings(rate=rate, queue=rate // 80)
    return KernelLinkSettings(line, line)


async def undisturbed(stand: KernelStand, direction: Direction, rate_bps: float) -> LoadReport:
    """A test that a busy machine spoilt at its sender says nothing of the line: it is tried again."""
    for _ in range(TRIES):
        report = await stand.load(direction, rate_bps, seconds=2)
        if report.ending is Ending.COMPLETED and report.stall_us < MOST_STALL_US:
            break
    return report


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("direction", "rate"), [(Direction.DOWN, 7_600_000), (Direction.UP, 8_400_000)])
def test_the_rate_received_is_the_rate_of_the_line(tmp_path: Path, direction: Direction, rate: int) -> None:
    with KernelStand(tmp_path, settings(rate)) as stand:
        report = asyncio.run(undisturbed(stand, direction, 10e6))
        inside = {stand.link.namespace(end) for end in End}
        assert inside <= set(names.present())
    assert report.ending is Ending.COMPLETED
    assert report.received_bps == pytest.approx(rate, rel=0.01)
    assert report.lost > 0
    assert not inside & set(names.present())
