"""Runner of one target, which keeps the inputs that crashed."""

import random
import time
import traceback
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fuzz.mutation import LONGEST, mutate

MOST_BYTES = 48_000_000
_MEASURE_MEMORY_EVERY = 97  # tracing costs much more than decoding
_KEPT = 400


@dataclass(frozen=True)
class Target:
    """Decoder of at most ``longest`` bytes.

    ``run`` returns one of the declared outcomes, and raises otherwise.
    """

    name: str
    run: Callable[[bytes], str]
    examples: tuple[bytes, ...]
    longest: int = LONGEST
    slowest_s: float = 2.0  # for 600 kB, on a machine that does other things, too


@dataclass
class Result:
    """Result of one target. ``crashes``: input and report by the place of the crash."""

    name: str
    seed: int
    executions: int = 0
    outcomes: set[str] = field(default_factory=set)
    slowest_s: float = 0.0
    most_bytes: int = 0
    crashes: dict[str, tuple[bytes, str]] = field(default_factory=dict)

    def __str__(self) -> str:
        return (
            f"{self.name:24} {self.executions:9} executions  {len(self.outcomes):4} outcomes  slowest "
            f"{self.slowest_s * 1e3:7.1f} ms  most {self.most_bytes / 1e6:5.1f} MB  seed {self.seed}  "
            f"crashes {len(self.crashes)}"
        )


def run(target: Target, seconds: float, seed: int, *, least: int = 0, most: int = 2**62) -> Result:
    """Run the examples, then inputs made from them and from inputs with a new outcome.

    It makes at least ``least`` executions, however slow the machine is.
    """
    chance, result = random.Random(f"{seed} {target.name}"), Result(target.name, seed)
    corpus = [*target.examples]
    ends = time.monotonic() + seconds
    waiting = list(target.examples)
    while waiting or result.executions < least or (time.monotonic() < ends and result.executions < most):
        data = waiting.pop() if waiting else mutate(chance, corpus)[: target.longest]
        if _execute(target, data, result) and len(corpus) < _KEPT:
            corpus.append(data)
    return result


def save(result: Result, folder: Path) -> list[Path]:
    """Write each crashing input to a file, for ``python -m tests.fuzz --input FILE``."""
    folder.mkdir(parents=True, exist_ok=True)
    saved = []
    for number, (data, told) in enumerate(result.crashes.values()):
        path = folder / f"{result.name}-{result.seed}-{number}"
        path.write_bytes(data)
        path.with_name(f"{path.name}.txt").write_text(told)
        saved.append(path)
    return saved


def _execute(target: Target, data: bytes, result: Result) -> bool:
    """Run one input; return whether its outcome is new."""
    began = time.perf_counter()
    measured = result.executions % _MEASURE_MEMORY_EVERY == 0
    result.executions += 1
    try:
        with _memory(result) if measured else _unmeasured():
            outcome = target.run(data)
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{type(error).__name__} at {Path(place.filename).name}:{place.lineno}"
        result.crashes.setdefault(where, (data, traceback.format_exc(limit=-6)))
        return False
    took_s = time.perf_counter() - began
    result.slowest_s = max(result.slowest_s, took_s)
    if took_s > target.slowest_s:
        result.crashes.setdefault("too slow", (data, f"took {took_s:.1f} s"))
    if result.most_bytes > MOST_BYTES:
        result.crashes.setdefault("too large", (data, f"took more than {MOST_BYTES} bytes"))
    new = outcome not in result.outcomes
    result.outcomes.add(outcome)
    return new


@contextmanager
def _memory(result: Result) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        result.most_bytes = max(result.most_bytes, tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()


@contextmanager
def _unmeasured() -> Iterator[None]:
    yield
