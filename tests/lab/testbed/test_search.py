"""The capacity probe over real kernel queues against the real peer; without root these tests are skipped."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from agent.probes.capacity.probe import CapacityProbe
from agent.service import wiring as assembly
from agent.settings import file as agent_settings
from agent.task.task import Reading
from host.clock import Clock
from host.units import BitRate, Seconds
from lab.netns import inside
from lab.netns.names import End
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.kernel_testbed import KernelStand
from wire.records import CapacityValues, Direction, LineCounters, Outcome

TRIES = 3
"""A search that a busy machine spoilt says nothing of the line."""


def search(agent_file: Path, direction: Direction) -> Reading:
    """Runs inside the site."""
    chosen = agent_settings.load(agent_file)
    capacity = msgspec.structs.replace(chosen.capacity, highest=BitRate(40_000_000), duration=Seconds(6))
    chosen = msgspec.structs.replace(chosen, capacity=capacity)
    probe = CapacityProbe.of(assembly.surroundings(chosen, Clock().read))
    task = next(task for task in probe.tasks() if task.direction is direction)
    return asyncio.run(probe.run(task, lambda _: None))


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(("direction", "rate"), [(Direction.DOWN, 4_000_000), (Direction.UP, 8_400_000)])
def test_a_search_finds_the_rate_of_the_line(tmp_path: Path, direction: Direction, rate: int) -> None:
    line = KernelLineSettings(rate=rate, queue=rate // 80)
    with KernelStand(tmp_path, KernelLinkSettings(line, line)) as stand:
        site = stand.link.namespace(End.SITE)
        for _ in range(TRIES):
            reading = inside.call(site, search, stand.agent_file, direction)
            values = reading.values
            if reading.outcome is Outcome.OK and isinstance(values, CapacityValues) and not values.bound:
                break
    assert (reading.outcome, reading.failure) == (Outcome.OK, None)
    assert isinstance(values, CapacityValues)
    assert values.maximum_bps == pytest.approx(rate, rel=0.01)
    assert values.bound is None
    assert values.line_counters is LineCounters.INLINE
    assert values.other_traffic_bps is not None
    assert values.other_traffic_bps < 0.03 * rate
    assert values.under_load is not None
    assert values.under_load.loaded is not None
    assert values.under_load.loaded.p95_us > values.under_load.idle.p95_us + 20_000, "the queue shows"
    assert (tmp_path / "byte-budget.json").exists()
