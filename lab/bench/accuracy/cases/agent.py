"""What the resident agent weighs and works: all probes on, over mutual TLS, as ``make bench-agent`` does.

Its searches go up to 1 Gbit/s over loopback, and its path traces go through a helper of their own: after
each kind of measurement it has to weigh what it weighed before.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.probes import PROBES
from lab.bench import agent as bench_agent
from lab.bench import base_install, weighing
from lab.bench.accuracy.result import Bar, Effort, Figure, Headline, Result, Row, Table, Tell
from lab.bench.agent import Observed
from lab.bench.weighing import Doing, Sample, Span

SHORT_S, FULL_S = 60, 600
IMPORTS = {
    "python3 alone": "pass",
    "asyncio": "import asyncio",
    "the agent": "import agent.service.__main__",
    "scapy, which the agent does without": "import scapy.all",
}
SHORT_RUNS, FULL_RUNS = 5, 30
TIMED = "import time; began = time.perf_counter(); {code}; print(time.perf_counter() - began)"
UNCHANGED_BYTES = 300_000
"""What a trace may leave behind: the modules that start the helper, loaded at the first one."""

NOTE = (
    "MB are 10^6 bytes. Before and after: the nearest samples, half a second apart, around the first "
    "measurement of each kind; most: during any of them. Searches climb to 1 Gbit/s over loopback."
)


def measure(effort: Effort, tell: Tell) -> Result:
    """The part ``agent``."""
    imports = dict(_import_times(effort.times(SHORT_RUNS, FULL_RUNS)))
    tell(f"imports: {', '.join(f'{name} {figure.median:.0f} ms' for name, figure in imports.items())}")
    seconds = FULL_S if effort.full else SHORT_S
    tell(f"probes {', '.join(PROBES)}; {seconds} s ...")
    observed = bench_agent.observe(seconds)
    tell(f"largest {observed.largest / 1e6:.1f} MB; {dict(observed.outcomes)}")
    return judge(observed, imports)


def _import_times(runs: int) -> Iterator[tuple[str, Figure]]:
    """Milliseconds, in an environment with the base install and the extra for the path."""
    with tempfile.TemporaryDirectory(prefix="plancher-bench-") as name:
        python = base_install.make(Path(name) / "installed", bench_agent.PATH_EXTRA)
        for what, code in IMPORTS.items():
            command = (python, "-P", "-c", TIMED.format(code=code))
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- writes compiled modules
            times = (
                float(subprocess.run(command, check=True, capture_output=True).stdout) * 1e3  # noqa: S603
                for _ in range(runs)
            )
            if figure := Figure.of(times):
                yield what, figure


def judge(observed: Observed, imports: dict[str, Figure]) -> Result:
    """Tables, bars and headlines of an agent that was watched."""
    compared = [
        Row(name, None, None, {"beside it": weight.resident / 1e6}) for name, weight in observed.compared
    ]
    weights = Table(
        title="Resident set size, MB",
        rows=(*_weight_rows(observed), *compared),
        truth="before",
        note=NOTE,
    )
    works = Table(
        title="Processor time",
        rows=tuple(_work_rows(observed)),
        decimals=2,
        truth="watched, s",
        note="ours: percent of a core. CPU ms: of the agent, for one such measurement.",
    )
    times = Table(
        title="Import time, ms",
        rows=tuple(Row(name, IMPORTS[name], figure) for name, figure in imports.items()),
        truth="code",
        note="Of a fresh interpreter, modules already compiled.",
    )
    return Result((weights, works, times), tuple(_bars(observed)), tuple(_headlines(observed, imports)))


def _weight_rows(observed: Observed) -> Iterator[Row]:
    first = observed.samples[0].weight.resident
    yield Row("connected", None, first / 1e6)
    for name in dict.fromkeys(span.name for span in observed.spans):
        spans = [span for span in observed.spans if span.name == name]
        earlier, later = _around(observed.samples, spans[0])
        yield Row(
            case=name,
            truth=earlier.weight.resident / 1e6 if earlier else None,
            ours=later.weight.resident / 1e6 if later else None,
            more={"most": _most(observed.samples, spans), "n": len(spans)},
        )
    yield Row("largest ever", None, observed.largest / 1e6)


def _around(samples: list[Sample], span: Span) -> tuple[Sample | None, Sample | None]:
    """The last sample before a measurement and the first after it."""
    return weighing.before(samples, span.begin_us), weighing.after(samples, span.end_us)


def _most(samples: list[Sample], spans: list[Span]) -> float | None:
    during = (
        one.weight.resident / 1e6
        for one in samples
        for span in spans
        if span.begin_us <= one.at_us <= span.end_us
    )
    return max(during, default=None)


def _work_rows(observed: Observed) -> Iterator[Row]:
    for doing, work in observed.works.items():
        count = sum(span.doing is doing for span in observed.spans)
        each = work.cpu_s * 1e3 / count if count else None
        yield Row(doing.value, work.lasted_s, 100 * work.share, more={"n": count, "CPU ms": each})


def _bars(observed: Observed) -> list[Bar]:
    growth = trace_growth_bytes(observed)
    told = "no trace was seen" if growth is None else f"{growth / 1e6:+.2f} MB"
    return [
        *(Bar(text, kept) for text, kept in bench_agent.verdicts(observed)),
        Bar(
            f"a path trace leaves nothing behind in the agent (anonymous memory): {told}",
            met=growth is not None and growth <= UNCHANGED_BYTES,
        ),
    ]


def trace_growth_bytes(observed: Observed) -> int | None:
    """What the first path trace left behind in the resident agent; None where none was seen whole.

    Pages of files are left out: the agent gives them back now and then, and reads again what it uses.
    """
    for span in observed.spans:
        earlier, later = _around(observed.samples, span)
        if span.doing is Doing.TRACE and earlier and later:
            return later.weight.anonymous - earlier.weight.anonymous
    return None


def _headlines(observed: Observed, imports: dict[str, Figure]) -> list[Headline]:
    idle = observed.works[Doing.IDLE].share
    loaded = imports.get("the agent")
    return [
        Headline(
            "resident agent, all probes, TLS: largest RSS; idle; import",
            "budget 32 MB; 0.5 % of a core",
            f"{observed.largest / 1e6:.1f} MB; {idle:.2%}; {loaded.median:.0f} ms" if loaded else "none",
        )
    ]
