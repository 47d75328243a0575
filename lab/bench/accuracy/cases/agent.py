"""Part ``agent``: memory and processor time of the resident agent, with all probes over mutual TLS.

It is observed as by ``make bench-agent``. Searches go up to 1 Gbit/s over loopback, and path traces run in a
helper process. After each kind of measurement the agent has to need no more memory than before.
"""

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from agent.probes import PROBES
from lab.bench import agent as bench_agent
from lab.bench import base_install, process_usage
from lab.bench.accuracy.result import (
    Bar,
    BenchEffort,
    Headline,
    PartResult,
    ResultRow,
    ResultTable,
    SampleSummary,
    Tell,
)
from lab.bench.agent import ObservedAgent
from lab.bench.process_usage import Activity, ActivitySpan, Sample

SHORT_S, FULL_S = 60, 600
IMPORTS = {
    "python3 alone": "pass",
    "asyncio": "import asyncio",
    "the agent": "import agent.service.__main__",
    "scapy, which the agent does not load": "import scapy.all",
}
SHORT_RUNS, FULL_RUNS = 5, 30
TIMED = "import time; began = time.perf_counter(); {code}; print(time.perf_counter() - began)"
# Allowed growth by a trace: the modules that start the helper are loaded at the first one.
UNCHANGED_BYTES = 300_000

NOTE = (
    "MB are 10^6 bytes. Before and after: the nearest samples, half a second apart, around the first "
    "measurement of each kind; most: during any of them. Searches go up to 1 Gbit/s over loopback."
)


def measure(effort: BenchEffort, tell: Tell) -> PartResult:
    """Run the part ``agent``."""
    imports = dict(_import_times(effort.times(SHORT_RUNS, FULL_RUNS)))
    tell(f"imports: {', '.join(f'{name} {figure.median:.0f} ms' for name, figure in imports.items())}")
    seconds = FULL_S if effort.full else SHORT_S
    tell(f"probes {', '.join(PROBES)}; {seconds} s ...")
    observed = bench_agent.observe(seconds)
    tell(f"largest {observed.largest / 1e6:.1f} MB; {dict(observed.outcomes)}")
    return judge(observed, imports)


def _import_times(runs: int) -> Iterator[tuple[str, SampleSummary]]:
    """Measure import times in ms, in an environment with the base install and the extra for the path."""
    with tempfile.TemporaryDirectory(prefix="plancher-bench-") as name:
        python = base_install.make(Path(name) / "installed", bench_agent.PATH_EXTRA)
        for what, code in IMPORTS.items():
            command = (python, "-P", "-c", TIMED.format(code=code))
            subprocess.run(command, check=True, capture_output=True)  # noqa: S603 -- writes compiled modules
            times = (
                float(subprocess.run(command, check=True, capture_output=True).stdout) * 1e3  # noqa: S603
                for _ in range(runs)
            )
            if figure := SampleSummary.of(times):
                yield what, figure


def judge(observed: ObservedAgent, imports: dict[str, SampleSummary]) -> PartResult:
    """Build tables, bars and headlines from an observed agent."""
    compared = [
        ResultRow(name, None, None, {"alone": weight.resident / 1e6}) for name, weight in observed.compared
    ]
    weights = ResultTable(
        title="Resident set size, MB", rows=(*_weight_rows(observed), *compared), truth="before", note=NOTE
    )
    works = ResultTable(
        title="Processor time",
        rows=tuple(_work_rows(observed)),
        decimals=2,
        truth="observed, s",
        note="Plancher: percent of a core. CPU ms: of the agent, for one such measurement.",
    )
    times = ResultTable(
        title="Import time, ms",
        rows=tuple(ResultRow(name, IMPORTS[name], figure) for name, figure in imports.items()),
        truth="code",
        note="In a new interpreter, with compiled modules.",
    )
    return PartResult((weights, works, times), tuple(_bars(observed)), tuple(_headlines(observed, imports)))


def _weight_rows(observed: ObservedAgent) -> Iterator[ResultRow]:
    first = observed.samples[0].weight.resident
    yield ResultRow("connected", None, first / 1e6)
    for name in dict.fromkeys(span.name for span in observed.spans):
        spans = [span for span in observed.spans if span.name == name]
        earlier, later = _around(observed.samples, spans[0])
        yield ResultRow(
            case=name,
            truth=earlier.weight.resident / 1e6 if earlier else None,
            ours=later.weight.resident / 1e6 if later else None,
            more={"most": _most(observed.samples, spans), "n": len(spans)},
        )
    yield ResultRow("largest ever", None, observed.largest / 1e6)


def _around(samples: list[Sample], span: ActivitySpan) -> tuple[Sample | None, Sample | None]:
    """Return the last sample before a measurement and the first after it."""
    return process_usage.before(samples, span.begin_us), process_usage.after(samples, span.end_us)


def _most(samples: list[Sample], spans: list[ActivitySpan]) -> float | None:
    during = (
        one.weight.resident / 1e6
        for one in samples
        for span in spans
        if span.begin_us <= one.at_us <= span.end_us
    )
    return max(during, default=None)


def _work_rows(observed: ObservedAgent) -> Iterator[ResultRow]:
    for activity, work in observed.works.items():
        count = sum(span.activity is activity for span in observed.spans)
        each = work.cpu_s * 1e3 / count if count else None
        yield ResultRow(activity.value, work.lasted_s, 100 * work.share, more={"n": count, "CPU ms": each})


def _bars(observed: ObservedAgent) -> list[Bar]:
    growth = trace_growth_bytes(observed)
    change = "no trace was observed" if growth is None else f"{growth / 1e6:+.2f} MB"
    return [
        *(Bar(text, kept) for text, kept in bench_agent.verdicts(observed)),
        Bar(
            f"a path trace does not increase the agent's anonymous memory: {change}",
            met=growth is not None and growth <= UNCHANGED_BYTES,
        ),
    ]


def trace_growth_bytes(observed: ObservedAgent) -> int | None:
    """Return the growth of anonymous memory by the first path trace; None where none was observed whole.

    Pages of files are left out: the agent releases them from time to time and reads them again.
    """
    for span in observed.spans:
        earlier, later = _around(observed.samples, span)
        if span.activity is Activity.TRACE and earlier and later:
            return later.weight.anonymous - earlier.weight.anonymous
    return None


def _headlines(observed: ObservedAgent, imports: dict[str, SampleSummary]) -> list[Headline]:
    idle = observed.works[Activity.IDLE].share
    loaded = imports.get("the agent")
    return [
        Headline(
            "running agent, all probes, TLS: most memory; processor while idle; time of its imports",
            "budget 36 MB; 0.5 % of a core",
            f"{observed.largest / 1e6:.1f} MB; {idle:.2%}; {loaded.median:.0f} ms" if loaded else "none",
        )
    ]
