"""Processor time by activity, and memory of another process."""

import subprocess
import sys

import pytest

from lab.bench import process_usage
from lab.bench.process_usage import AFTERMATH_US, Activity, ActivitySpan, CpuUse, MemoryUse, Sample

NOTHING = MemoryUse(0, 0, 0)


def samples(*seen: tuple[float, float]) -> list[Sample]:
    """Return samples from pairs of second and processor seconds so far."""
    return [Sample(round(at * 1e6), NOTHING, round(cpu * 1e9)) for at, cpu in seen]


def span(begin_s: float, end_s: float, activity: Activity) -> ActivitySpan:
    return ActivitySpan(round(begin_s * 1e6), round(end_s * 1e6), activity, activity.value)


def test_processor_time_counts_to_the_heaviest_activity() -> None:
    seen = samples((0, 0), (1, 0.1), (2, 0.3), (3, 0.6), (4, 1.0))
    spans = [span(1.2, 1.4, Activity.TRAIN), span(2.5, 2.6, Activity.FLOOR), span(2.0, 2.9, Activity.TRAIN)]
    found = process_usage.cpu_use(seen, spans)
    assert found[Activity.IDLE] == CpuUse(pytest.approx(0.1), pytest.approx(1))
    assert found[Activity.TRAIN] == CpuUse(pytest.approx(0.2), pytest.approx(1))
    assert found[Activity.FLOOR] == CpuUse(pytest.approx(0.7), pytest.approx(2)), (
        "the work after a measurement belongs to it"
    )


def test_a_sample_long_after_a_measurement_is_idle() -> None:
    end_s = 1 - AFTERMATH_US / 1e6 - 0.01
    assert (
        process_usage.cpu_use(samples((1, 0), (2, 1)), [span(0, end_s, Activity.FLOOR)])[Activity.IDLE].cpu_s
        == 1
    )


def test_processor_time_and_memory_of_another_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        found = process_usage.sample(busy.pid)
        largest = process_usage.peak_resident(busy.pid)
        busy.kill()
    assert 0.3e9 <= found.cpu_ns < 2e9
    assert 1e6 < found.weight.proportional <= found.weight.resident <= largest
