"""Benchmark ``make bench-agent``: memory and processor time of the resident agent with all probes, over
mutual TLS.

The real agent measures against the real peer on loopback and sends to the real collector through Mosquitto.
It runs in an environment with only the base install, as at a site. Exit status 0 only if it stays within its
budget.
"""

import os
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from agent.probes import PROBES
from host import command_line
from host.exits import Exit
from lab.bench import base_install, frame, process_usage
from lab.bench.process_usage import Activity, ActivitySpan, MemoryUse, Sample
from lab.programs import installed
from lab.testbed.base import TestbedError
from lab.testbed.resolver import EmulatedResolver, resolving
from lab.testbed.secure_testbed import SecureTestbed
from outbox.rows import State
from wire.messages import envelope as messages
from wire.records import Outcome, probe_of

PROGRAM = "bench-agent"
PROGRAMS = {"mosquitto": "mosquitto", "openssl": "openssl"}
BUDGET_BYTES = 36_000_000
BUDGET_IDLE_SHARE = 0.005
SAMPLE_S = 0.5
CLASSES = [{"name": "best-effort", "dscp": 0}, {"name": "voice", "dscp": 46}]
SETTINGS = {
    # Denser than at a real site: a minute and a half has several measurements of each kind.
    "schedule": {"floor": "30 s", "stamp": "10 s", "dns": "20 s", "first_within": "8 s"},
    "stamp": {"classes": CLASSES, "packets": 20, "spacing": "100 ms", "timeout": "1 s"},
    # Searches run at any hour, and up to 1 Gbit/s, which loopback carries.
    "capacity": {"hours": "always"},
}
NAMES = {f"{number}.example.fr": ("192.0.2.1", "2001:db8::1") for number in range(4)}
PATH_EXTRA = ("scapy",)
ACTIVITIES = {"floor": Activity.FLOOR, "capacity": Activity.SEARCH, "path": Activity.TRACE}
# A train of the default settings lasts so long.
TRAIN_S = 10.0
COMPARED = (
    ("python3", "pass"),
    ("python3 with asyncio", "import asyncio"),
    ("the agent's imports", "import agent.service.__main__"),
)

Rows = list[tuple[str, MemoryUse]]


@dataclass(frozen=True, slots=True)
class ObservedAgent:
    """Agent observed from its first connection on. ``compared``: memory of other interpreters."""

    compared: Rows
    samples: list[Sample]
    spans: list[ActivitySpan]
    outcomes: Counter[str]
    committed: int
    largest: int

    @property
    def works(self) -> dict[Activity, process_usage.CpuUse]:
        """Processor time by activity."""
        return process_usage.cpu_use(self.samples, self.spans)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print the results, and return the exit status."""
    parser = command_line.parser(
        PROGRAM, "Measure memory and processor time of the resident agent, with all probes."
    )
    parser.add_argument("--seconds", type=float, default=90, help="how long to measure (default: 90)")
    options = parser.parse_args(arguments)
    console = frame.console(100)
    if lacking := installed.lacking(PROGRAMS):
        return frame.refuse(PROGRAM, frame.lacks(lacking))
    try:
        console.print(f"Probes {', '.join(PROBES)}; mutual TLS through Mosquitto; {options.seconds:g} s ...")
        observed = observe(options.seconds)
    except TestbedError as error:
        return frame.refuse(PROGRAM, error)
    return _show(observed, console)


def observe(seconds: float) -> ObservedAgent:
    """Observe an agent for ``seconds`` in an environment of its own. Raises TestbedError."""
    with tempfile.TemporaryDirectory(prefix="plancher-bench-") as name:
        python = base_install.make(Path(name) / "installed", PATH_EXTRA)
        with resolving(NAMES) as resolver, SecureTestbed(Path(name), python, _settings(resolver)) as testbed:
            compared = [
                (name, process_usage.memory_use(testbed.start_python(name, code))) for name, code in COMPARED
            ]
            pid = testbed.start_agent()
            samples = _watch(testbed, pid, seconds)
            largest = process_usage.peak_resident(pid)
            return ObservedAgent(compared, samples, *_journalled(testbed.journal), largest)


def _settings(resolver: EmulatedResolver) -> dict[str, Any]:
    dns = {"names": list(NAMES), "resolvers": [resolver.host], "port": resolver.port}
    return {**SETTINGS, "dns": dns}


def _show(observed: ObservedAgent, console: Console) -> Exit:
    console.print(_weights(observed.compared, observed.samples, observed.spans))
    console.print(_works(observed.works, observed.spans))
    counted = ", ".join(f"{count} {name}" for name, count in sorted(observed.outcomes.items()))
    total = sum(observed.outcomes.values())
    console.print(f"Journalled: {total} ({counted}); committed by the collector: {observed.committed}")
    found = verdicts(observed)
    for text, kept in found:
        console.print(f"{'met   ' if kept else 'MISSED'}  {text}")
    return Exit.OK if all(kept for _, kept in found) else Exit.FAIL


def _watch(testbed: SecureTestbed, pid: int, seconds: float) -> list[Sample]:
    samples = [process_usage.sample(pid)]
    end_us = samples[0].at_us + seconds * 1e6
    while samples[-1].at_us < end_us:
        testbed.wait(SAMPLE_S)
        samples.append(process_usage.sample(pid))
    return samples


def _journalled(journal: Path) -> tuple[list[ActivitySpan], Counter[str], int]:
    """Return the times of all measurements, their number by outcome, and the number committed by the
    collector.
    """
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT state, record FROM record ORDER BY position").fetchall()
    spans: list[ActivitySpan] = []
    outcomes: Counter[str] = Counter()
    for _, raw in rows:
        record = messages.decode_measurement(raw)
        if isinstance(record, messages.Fault):
            raise TestbedError(f"cannot decode a measurement of the agent's journal: {record.detail}")
        probe = probe_of(record)
        outcomes[f"{probe} {record.outcome}"] += 1
        activity = ACTIVITIES.get(probe, Activity.TRAIN)
        name = f"{probe} {record.direction or ''}".strip()
        if probe == "interface" or record.outcome is Outcome.SKIPPED:
            continue  # counters are read all the time: that work counts as idle
        begin = record.start.boot_us
        spans.append(ActivitySpan(begin, begin + record.duration_us, activity, name))
    return spans, outcomes, sum(state == State.COMMITTED for state, _ in rows)


def _weights(compared: Rows, samples: Sequence[Sample], spans: Sequence[ActivitySpan]) -> Table:
    table = Table(
        "", "RSS, MB", "PSS, MB", title="Memory (MB = 10^6 bytes; PSS divides shared pages among processes)"
    )
    for column in table.columns[1:]:
        column.justify = "right"
    for name, weight in (*compared, *_over_time(samples, spans)):
        table.add_row(name, f"{weight.resident / 1e6:.1f}", f"{weight.proportional / 1e6:.1f}")
    return table


def _over_time(samples: Sequence[Sample], spans: Sequence[ActivitySpan]) -> Rows:
    """Return the agent's memory when connected, after the first measurement of each kind, and at the end."""
    rows = [("agent, connected", samples[0].weight)]
    for name in dict.fromkeys(span.name for span in spans):
        ended = next(span.end_us for span in spans if span.name == name)
        found = process_usage.after(samples, ended)
        rows += [(f"agent, after the first {name}", found.weight)] if found else []
    return [*rows, ("agent, at the end", samples[-1].weight)]


def _works(works: dict[Activity, process_usage.CpuUse], spans: Sequence[ActivitySpan]) -> Table:
    table = Table("", "of a core", "CPU ms each", "watched, s", title="Processor time")
    for column in table.columns[1:]:
        column.justify = "right"
    for activity, work in works.items():
        count = sum(span.activity is activity for span in spans)
        each = f"{work.cpu_s * 1e3 / count:.0f}" if count else ""
        table.add_row(activity.value, f"{work.share:.2%}", each, f"{work.lasted_s:.0f}")
    table.add_row("a day with the default schedule, computed", f"{_ordinary_share(works, spans):.2%}", "", "")
    return table


def _ordinary_share(works: dict[Activity, process_usage.CpuUse], spans: Sequence[ActivitySpan]) -> float:
    """Compute the share of a core of the default schedule: idle, one train a minute, two floor tests an
    hour.
    """
    floor_s, stamp_s = (float(PROBES[name].interval.value) for name in ("floor", "stamp"))
    tests = sum(span.activity is Activity.FLOOR for span in spans)
    each_test_s = works[Activity.FLOOR].cpu_s / tests if tests else 0.0
    train = (works[Activity.TRAIN].share - works[Activity.IDLE].share) * TRAIN_S / stamp_s
    return works[Activity.IDLE].share + max(0.0, train) + 2 * each_test_s / floor_s


def verdicts(observed: ObservedAgent) -> list[tuple[str, bool]]:
    """Return the agent's budgets with the measured figures, and whether each was met."""
    idle, largest = observed.works[Activity.IDLE].share, observed.largest
    # Reachability records outages, of which there are none here. Tracing a path needs root.
    needed = set(PROBES) - {"reachability"} - ({"path"} if os.geteuid() else set())
    lacking = [name for name in PROBES if name in needed and not observed.outcomes[f"{name} {Outcome.OK}"]]
    return [
        (f"largest RSS {largest / 1e6:.1f} MB, budget {BUDGET_BYTES / 1e6:g} MB", largest <= BUDGET_BYTES),
        (f"idle {idle:.2%} of a core, budget {BUDGET_IDLE_SHARE:.2%}", idle <= BUDGET_IDLE_SHARE),
        ("every probe measured" + (f", except {', '.join(lacking)}" if lacking else ""), not lacking),
    ]


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
