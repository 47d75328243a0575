"""Fixed-rate load tests over kernel links against the real peer. Skipped without root."""

import asyncio
from pathlib import Path

import pytest

from lab.netns import names
from lab.netns.names import LinkNode
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.kernel_testbed import KernelTestbed
from tests.starvation import Starvation
from wire.records import Direction
from wire.udpstp.load import Ending, LoadReport

TRIES = 3
MOST_STALL_US = 20_000


def settings(rate: int) -> KernelLinkSettings:
    """Return settings of a line with a queue of 100 ms in both directions."""
    line = KernelLineSettings(rate=rate, queue=rate // 80)
    return KernelLinkSettings(line, line)


async def undisturbed(testbed: KernelTestbed, direction: Direction, rate_bps: float) -> LoadReport:
    """Repeat a test whose sender was held up by a busy machine."""
    for _ in range(TRIES):
        report = await testbed.load(direction, rate_bps, seconds=2)
        if report.ending is Ending.COMPLETED and report.stall_us < MOST_STALL_US:
            break
    return report


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("direction", "rate"), [(Direction.DOWN, 7_600_000), (Direction.UP, 8_400_000)])
def test_the_rate_received_is_the_rate_of_the_line(
    tmp_path: Path, direction: Direction, rate: int, starvation: Starvation
) -> None:
    with KernelTestbed(tmp_path, settings(rate)) as testbed:
        report = asyncio.run(undisturbed(testbed, direction, 10e6))
        inside = {testbed.link.namespace(end) for end in LinkNode}
        assert inside <= set(names.present())
    assert report.ending is Ending.COMPLETED
    right = report.received_bps == pytest.approx(rate, rel=0.01)
    starvation.expect(right, f"{report.received_bps} bit/s over a line of {rate}")
    assert report.lost > 0
    assert not inside & set(names.present())
