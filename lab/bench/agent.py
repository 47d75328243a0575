"""``make bench-agent``: what the resident agent weighs and works, all probes on, over mutual TLS.

The real agent measures against the real peer on loopback and sends to the real collector through Mosquitto,
with certificates made for the occasion. It runs in an environment that holds the base install alone, as a
deployer's does. Exit status 0 only if it stays within its budget.
"""

import os
import sqlite3
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from agent.probes import PROBES
from agent.settings.sections import Schedule
from host import command_line
from host.exits import Exit
from lab.bench import base_install, weighing
from lab.bench.weighing import Doing, Sample, Span, Weight
from lab.testbed.base import StandError
from lab.testbed.secure_testbed import SecureStand
from outbox.rows import State
from wire.messages import envelope as messages
from wire.records import Outcome, probe_of

PROGRAM = "bench-agent"
BUDGET_BYTES = 32_000_000
BUDGET_IDLE_SHARE = 0.005
SAMPLE_S = 0.5
CLASSES = [{"name": "best-effort", "dscp": 0}, {"name": "voice", "dscp": 46}]
SETTINGS = {
    # Denser than a real site's day, so that a minute and a half holds several of everything that recurs.
    "schedule": {"floor": "30 s", "stamp": "10 s", "first_within": "8 s"},
    "stamp": {"classes": CLASSES, "packets": 20, "spacing": "100 ms", "timeout": "1 s"},
    # Up to 1 Gbit/s, which loopback carries.
    "capacity": {"hours": "always"},
}
PATH_EXTRA = ("scapy",)
DOINGS = {"floor": Doing.FLOOR, "capacity": Doing.SEARCH, "path": Doing.TRACE}
TRAIN_S = 10.0
"""How long a train of the default settings lasts."""
COMPARED = (
    ("python3", "pass"),
    ("python3 with asyncio", "import asyncio"),
    ("the agent's imports", "import agent.service.__main__"),
)

Rows = list[tuple[str, Weight]]


@dataclass(frozen=True, slots=True)
class Observed:
    """An agent watched from its connection on. ``compared``: what other interpreters weigh."""

    compared: Rows
    samples: list[Sample]
    spans: list[Span]
    outcomes: Counter[str]
    committed: int
    largest: int

    @property
    def works(self) -> dict[Doing, weighing.Work]:
        """Processor time by what was going on."""
        return weighing.work(self.samples, self.spans)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print what was found, and return the exit status."""
    parser = command_line.parser(PROGRAM, "What the resident agent weighs and works.")
    parser.add_argument("--seconds", type=float, default=90, help="how long to watch (default: 90)")
    options = parser.parse_args(arguments)
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 100)
    try:
        console.print(f"Probes {', '.join(PROBES)}; mutual TLS through Mosquitto; {options.seconds:g} s ...")
        observed = observe(options.seconds)
    except StandError as error:
        Console(stderr=True, soft_wrap=True).print(f"{PROGRAM}: {error}", markup=False)
        return Exit.UNAVAILABLE
    return _show(observed, console)


def observe(seconds: float) -> Observed:
    """Watch an agent for so long, in an environment of its own. Raises StandError."""
    with tempfile.TemporaryDirectory(prefix="plancher-bench-") as name:
        python = base_install.make(Path(name) / "installed", PATH_EXTRA)
        with SecureStand(Path(name), python, SETTINGS) as stand:
            compared = [(name, weighing.weigh(stand.start_python(name, code))) for name, code in COMPARED]
            pid = stand.start_agent()
            samples = _watch(stand, pid, seconds)
            largest = weighing.largest_resident(pid)
            return Observed(compared, samples, *_journalled(stand.journal), largest)


def _show(observed: Observed, console: Console) -> Exit:
    console.print(_weights(observed.compared, observed.samples, observed.spans))
    console.print(_works(observed.works, observed.spans))
    counted = ", ".join(f"{count} {name}" for name, count in sorted(observed.outcomes.items()))
    total = sum(observed.outcomes.values())
    console.print(f"Journalled: {total} ({counted}); committed by the collector: {observed.committed}")
    found = verdicts(observed)
    for text, kept in found:
        console.print(f"{'kept  ' if kept else 'BROKEN'}  {text}")
    return Exit.OK if all(kept for _, kept in found) else Exit.FAIL


def _watch(stand: SecureStand, pid: int, seconds: float) -> list[Sample]:
    samples = [weighing.sample(pid)]
    end_us = samples[0].at_us + seconds * 1e6
    while samples[-1].at_us < end_us:
        stand.wait(SAMPLE_S)
        samples.append(weighing.sample(pid))
    return samples


def _journalled(journal: Path) -> tuple[list[Span], Counter[str], int]:
    """Every measurement's time, how many there were by outcome, and how many the collector committed."""
    with closing(sqlite3.connect(f"file:{journal}?mode=ro", uri=True)) as connection:
        rows = connection.execute("SELECT state, record FROM record ORDER BY position").fetchall()
    spans: list[Span] = []
    outcomes: Counter[str] = Counter()
    for _, raw in rows:
        record = messages.decode_measurement(raw)
        if isinstance(record, messages.Fault):
            raise StandError(f"the journal holds what is no measurement: {record.detail}")
        probe = probe_of(record)
        outcomes[f"{probe} {record.outcome}"] += 1
        doing = DOINGS.get(probe, Doing.TRAIN)
        name = f"{probe} {record.direction or ''}".strip()
        if probe == "interface" or record.outcome is Outcome.SKIPPED:
            continue  # what is read all the time, or was not done, belongs to what the agent does when idle
        begin = record.start.boot_us
        spans.append(Span(begin, begin + record.duration_us, doing, name))
    return spans, outcomes, sum(state == State.COMMITTED for state, _ in rows)


def _weights(compared: Rows, samples: Sequence[Sample], spans: Sequence[Span]) -> Table:
    table = Table("", "RSS, MB", "PSS, MB", title="Weight (MB = 10^6 bytes; PSS shares out common pages)")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, weight in (*compared, *_over_time(samples, spans)):
        table.add_row(name, f"{weight.resident / 1e6:.1f}", f"{weight.proportional / 1e6:.1f}")
    return table


def _over_time(samples: Sequence[Sample], spans: Sequence[Span]) -> Rows:
    """The agent's weight when connected, after the first measurement of each kind, and at the end."""
    rows = [("agent, connected", samples[0].weight)]
    for name in dict.fromkeys(span.name for span in spans):
        ended = next(span.end_us for span in spans if span.name == name)
        found = weighing.after(samples, ended)
        rows += [(f"agent, after the first {name}", found.weight)] if found else []
    return [*rows, ("agent, at the end", samples[-1].weight)]


def _works(works: dict[Doing, weighing.Work], spans: Sequence[Span]) -> Table:
    table = Table("", "of a core", "CPU ms each", "watched, s", title="Work")
    for column in table.columns[1:]:
        column.justify = "right"
    for doing, work in works.items():
        count = sum(span.doing is doing for span in spans)
        each = f"{work.cpu_s * 1e3 / count:.0f}" if count else ""
        table.add_row(doing.value, f"{work.share:.2%}", each, f"{work.lasted_s:.0f}")
    table.add_row("a real site's day, from the above", f"{_ordinary_share(works, spans):.2%}", "", "")
    return table


def _ordinary_share(works: dict[Doing, weighing.Work], spans: Sequence[Span]) -> float:
    """What the default schedule costs with one class: idle, a train a minute, two floor tests an hour."""
    schedule = Schedule()
    tests = sum(span.doing is Doing.FLOOR for span in spans)
    each_test_s = works[Doing.FLOOR].cpu_s / tests if tests else 0.0
    train = (works[Doing.TRAIN].share - works[Doing.IDLE].share) * TRAIN_S / schedule.stamp
    return works[Doing.IDLE].share + max(0.0, train) + 2 * each_test_s / schedule.floor


def verdicts(observed: Observed) -> list[tuple[str, bool]]:
    """What an agent has to keep to, in words with its figure, and whether it did."""
    idle, largest = observed.works[Doing.IDLE].share, observed.largest
    # Reachability is recorded when something is out, and without root nobody here may trace a path.
    needed = set(PROBES) - {"reachability"} - ({"path"} if os.geteuid() else set())
    lacking = [name for name in PROBES if name in needed and not observed.outcomes[f"{name} {Outcome.OK}"]]
    return [
        (f"largest RSS {largest / 1e6:.1f} MB, budget {BUDGET_BYTES / 1e6:g} MB", largest <= BUDGET_BYTES),
        (f"idle {idle:.2%} of a core, budget {BUDGET_IDLE_SHARE:.2%}", idle <= BUDGET_IDLE_SHARE),
        ("every probe measured" + (f": not {', '.join(lacking)}" if lacking else ""), not lacking),
    ]


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
