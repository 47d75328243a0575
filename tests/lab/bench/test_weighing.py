"""Work is counted to what was going on, and this process weighs something."""

import os
import subprocess
import sys
import time

import pytest

from lab.bench import weighing
from lab.bench.weighing import AFTERMATH_US, Doing, Sample, Span, Weight, Work

NOTHING = Weight(0, 0, 0)


def samples(*seen: tuple[float, float]) -> list[Sample]:
    """(second, processor seconds so far)"""
    return [Sample(round(at * 1e6), NOTHING, round(cpu * 1e9)) for at, cpu in seen]


def span(begin_s: float, end_s: float, doing: Doing) -> Span:
    return Span(round(begin_s * 1e6), round(end_s * 1e6), doing, doing.value)


def test_work_is_counted_to_the_heaviest_thing_going_on() -> None:
    seen = samples((0, 0), (1, 0.1), (2, 0.3), (3, 0.6), (4, 1.0))
    spans = [span(1.2, 1.4, Doing.TRAIN), span(2.5, 2.6, Doing.FLOOR), span(2.0, 2.9, Doing.TRAIN)]
    found = weighing.work(seen, spans)
    assert found[Doing.IDLE] == Work(pytest.approx(0.1), pytest.approx(1))
    assert found[Doing.TRAIN] == Work(pytest.approx(0.2), pytest.approx(1))
    assert found[Doing.FLOOR] == Work(pytest.approx(0.7), pytest.approx(2)), "the aftermath belongs to it"


def test_a_measurement_long_over_leaves_the_sample_idle() -> None:
    end_s = 1 - AFTERMATH_US / 1e6 - 0.01
    assert weighing.work(samples((1, 0), (2, 1)), [span(0, end_s, Doing.FLOOR)])[Doing.IDLE].cpu_s == 1


def test_a_share_of_no_time_is_nothing() -> None:
    assert Work().share == 0


def test_the_first_sample_after_a_time() -> None:
    seen = samples((1, 0), (2, 0))
    assert weighing.after(seen, 1_500_000) == seen[1]
    assert weighing.after(seen, 2_500_000) is None


def test_the_processor_time_and_weight_of_another_process() -> None:
    code = "import time\nwhile time.process_time() < 0.3: pass\nprint('done', flush=True)\ntime.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as busy:
        assert busy.stdout is not None
        busy.stdout.readline()
        found = weighing.sample(busy.pid)
        largest = weighing.largest_resident(busy.pid)
        busy.kill()
    assert 0.3e9 <= found.cpu_ns < 2e9
    assert 1e6 < found.weight.proportional <= found.weight.resident <= largest


def test_this_process_has_used_what_it_says_itself() -> None:
    assert weighing.sample(os.getpid()).cpu_ns == pytest.approx(time.process_time_ns(), abs=5e7)
