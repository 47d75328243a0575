"""Capacity searches over kernel links against the real peer. Skipped without root."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent import configuration
from agent.probes.capacity.probe import CapacityProbe
from agent.probes.capacity.settings import CapacitySettings
from agent.service import wiring
from agent.task.task import Reading
from host.clock import Clock
from host.units import BitRate, Seconds
from lab.netns import inside
from lab.netns.names import LinkNode
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.kernel_testbed import KernelTestbed
from tests.starvation import Starvation
from wire.records import CapacityValues, Direction, LineCounters, Outcome

# A busy machine can spoil single searches.
TRIES = 3


def search(agent_file: Path, direction: Direction) -> Reading:
    """Run one search; called inside the site's namespace."""
    chosen = configuration.load(agent_file)
    capacity = msgspec.structs.replace(
        chosen.section(CapacitySettings), highest=BitRate(40_000_000), duration=Seconds(6)
    )
    chosen = msgspec.structs.replace(chosen, capacity=capacity)
    probe = CapacityProbe.of(wiring.probe_context(chosen, Clock().read))
    task = next(task for task in probe.tasks() if task.direction is direction)
    return asyncio.run(probe.run(task, lambda _: None))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("direction", "rate"), [(Direction.DOWN, 4_000_000), (Direction.UP, 8_400_000)])
def test_a_search_finds_the_rate_of_the_line(
    tmp_path: Path, direction: Direction, rate: int, starvation: Starvation
) -> None:
    line = KernelLineSettings(rate=rate, queue=rate // 80)
    with KernelTestbed(tmp_path, KernelLinkSettings(line, line)) as testbed:
        site = testbed.link.namespace(LinkNode.SITE)
        for _ in range(TRIES):
            reading = inside.call(site, search, testbed.agent_file, direction)
            values = reading.values
            if reading.outcome is Outcome.OK and isinstance(values, CapacityValues) and not values.bound:
                break
    starvation.expect((reading.outcome, reading.failure) == (Outcome.OK, None), f"a search is {reading}")
    assert isinstance(values, CapacityValues)
    right = values.maximum_bps == pytest.approx(rate, rel=0.01) and values.bound is None
    starvation.expect(right, f"a search found {values.maximum_bps} bit/s, bound {values.bound}")
    assert values.line_counters is LineCounters.INLINE
    assert values.other_traffic_bps is not None
    assert values.other_traffic_bps < 0.03 * rate
    assert values.under_load is not None
    assert values.under_load.loaded is not None
    assert values.under_load.loaded.p95_us > values.under_load.idle.p95_us + 20_000, (
        "the queue delays packets under load"
    )
    assert (tmp_path / "byte-budget.json").exists()
