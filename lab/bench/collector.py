"""Benchmark ``make bench-collector``: ingest and metrics page of the collector, beside a straightforward way.

Ingest: decoded, validated and durable measurements a second, in batches of a backlog (100) and of live data
(4). Beside it the json module, one row for each measurement, and one transaction for each message. Metrics
page: 6,000 sites from a cache of lines, beside prometheus_client with the same samples. The figures are
medians of repeated runs with their spread. Our page is sent in pieces and timed so, after every site has sent
its minute. Exit status 0 only if the budgets of the design are met.
"""

import argparse
import gc
import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from rich.table import Table

from collector.ingest.decode import judge
from collector.kinds.views import observe
from collector.ledger.write.writer import Ledger
from collector.model.message import Accepted, Arrival, Batch
from collector.service.views import Views
from host import command_line
from host.exits import Exit
from lab.bench import frame
from lab.simulate import fleet
from wire.messages import topics
from wire.messages.topics import Kind, PeerKind, peer_topic, topic

PROGRAM = "bench-collector"
LEAST_A_SECOND = 10_000
MOST_PAGE_MS = 50.0
GROUP = 200  # messages in a transaction, as in the collector's writer
NOW_US = 1_775_000_000_000_000
_PLAIN_SCHEMA = """
PRAGMA journal_mode=WAL;
PRAGMA synchronous=FULL;
CREATE TABLE t (site, epoch, seq, record, PRIMARY KEY (site, epoch, seq));
"""


@dataclass(frozen=True, slots=True)
class BudgetFigure:
    """One row: runs of ours and of the other way, the budget, and whether it is met."""

    what: str
    ours: Sequence[float]
    other: Sequence[float]
    budget: str
    met: bool

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        ratio = median(self.ours) / median(self.other)
        return self.what, _spread(self.ours), _spread(self.other), f"{ratio:.3g}", self.budget, _yes(self.met)


def _spread(runs: Sequence[float]) -> str:
    middle, least, most = (
        f"{run:,.{0 if run > 100 else 1}f}" for run in (median(runs), min(runs), max(runs))
    )
    return f"{middle} ({least}-{most})"


def _yes(met: bool) -> str:
    return "yes" if met else "NO"


def arrivals(measurements: int, batch: int, sites: int, *, started: bool = False) -> list[Arrival]:
    """Return messages of ``batch`` measurements each, from all sites in turn, with the peer's records of
    their tests.
    """
    agents = [(site, fleet.SimulatedAgent(site, NOW_US, started=started)) for site in fleet.sites(sites)]
    found = []
    for index in range(measurements // batch):
        site, agent = agents[index % len(agents)]
        found.append(Arrival(topic(site, Kind.RESULTS), agent.envelope(batch), NOW_US))
        if tests := agent.peer_envelope():
            found.append(Arrival(peer_topic(fleet.PEER, PeerKind.TESTS), tests, NOW_US))
    return found


def into_ledger(messages: Sequence[Arrival], folder: Path) -> None:
    """Commit messages as the collector does, in one thread."""
    ledger = Ledger(folder / "ledger.db")
    try:
        for begin in range(0, len(messages), GROUP):
            ledger.commit([judge(one) for one in messages[begin : begin + GROUP]])
    finally:
        ledger.close()


def into_plain_sqlite(messages: Sequence[Arrival], folder: Path) -> None:
    """Commit messages in the straightforward way: one row for each measurement, one transaction for each
    message.
    """
    database = sqlite3.connect(folder / "plain.db", isolation_level=None)
    try:
        database.executescript(_PLAIN_SCHEMA)
        for one in messages:
            found = json.loads(one.payload)
            database.execute("BEGIN")
            for record in () if topics.parse_peer(one.topic) else found["records"]:
                identity = (found["sender"], record["epoch"], record["seq"])
                database.execute(
                    "INSERT OR IGNORE INTO t VALUES (?, ?, ?, ?)", (*identity, json.dumps(record))
                )
            database.execute("COMMIT")
    finally:
        database.close()


def rates(way: Callable[[Sequence[Arrival], Path], None], messages: Sequence[Arrival], count: int) -> float:
    """Return the measurements a second of one way into an empty file; peer records come on top."""
    with TemporaryDirectory(prefix="plancher-bench-") as folder:
        gc.collect()
        began = time.perf_counter()
        way(messages, Path(folder))
        return count / (time.perf_counter() - began)


def taking(batch: int, measurements: int, runs: int) -> BudgetFigure:
    """Measure durable measurements a second, both ways in turn."""
    messages = arrivals(measurements, batch, sites=600, started=True)
    ours, other = [], []
    for _ in range(runs):
        ours.append(rates(into_ledger, messages, measurements))
        other.append(rates(into_plain_sqlite, messages, measurements))
    met = median(ours) >= LEAST_A_SECOND
    return BudgetFigure(
        f"durable measurements/s, batches of {batch}", ours, other, f">= {LEAST_A_SECOND:,}", met
    )


# The same samples, as prometheus_client has them.
class _Page(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families or [GaugeMetricFamily("none", "none")]


def showing(sites: int, runs: int) -> tuple[BudgetFigure, int]:
    """Measure the milliseconds to render the fleet's page; return them with the number of samples."""
    views = Views(fleet.sites(sites))
    with TemporaryDirectory(prefix="plancher-bench-") as folder:
        ledger = Ledger(Path(folder) / "ledger.db")
        committed = ledger.commit([judge(one) for one in arrivals(sites * fleet.EARLY, fleet.EARLY, sites)])
        for message in committed.messages:
            views.learn(message.observations, NOW_US)
        views.learn_comparisons(committed.compared, NOW_US)
        ledger.close()
    page = b"".join(views.pieces())
    registry = CollectorRegistry()
    registry.register(_Page(text_string_to_metric_families(page.decode())))
    ours = []
    agents = {site: fleet.SimulatedAgent(site, NOW_US, started=True) for site in fleet.sites(sites)}
    for minute in range(max(runs, 5)):
        _renew(views, agents, NOW_US + minute * 1_000_000)
        ours.append(_milliseconds(lambda: sum(map(len, views.pieces()))))
    other = [_milliseconds(lambda: generate_latest(registry)) for _ in range(min(runs, 3))]
    samples = sum(not line.startswith(b"#") for line in page.splitlines())
    met = median(ours) <= MOST_PAGE_MS
    return BudgetFigure(
        f"ms for /metrics, {sites:,} sites", ours, other, f"<= {MOST_PAGE_MS:g}", met
    ), samples


def _renew(views: Views, agents: Mapping[str, fleet.SimulatedAgent], now_us: int) -> None:
    """Send a minute's measurements of every site: trains and counters."""
    for site, agent in agents.items():
        batch = judge(Arrival(topic(site, Kind.RESULTS), agent.envelope(3), now_us))
        assert isinstance(batch, Batch)  # noqa: S101 -- the fleet is ours
        seen = (
            observe(site, item.record, time_us=now_us, order=now_us, received_us=now_us)
            for item in batch.items
            if isinstance(item, Accepted)
        )
        views.learn(seen, now_us)


def _milliseconds(work: Callable[[], object]) -> float:
    gc.collect()
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark; return 0 if every budget is met."""
    options = _options(arguments)
    console = frame.console(140)
    table = Table(title="the collector: median (minimum-maximum)")
    for heading in ("what", "ours", "straightforward way", "ratio", "budget", "met"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    page, samples = showing(options.sites, options.runs)
    figures = [taking(batch, options.measurements, options.runs) for batch in (100, 4)]
    for figure in (*figures, page):
        table.add_row(*figure.row())
    console.print(table)
    console.print(f"{samples:,} samples on the page, {samples / options.sites:.0f} a site")
    return Exit.OK if all(figure.met for figure in (*figures, page)) else Exit.FAIL


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = command_line.parser(
        PROGRAM, "Measure the collector's ingest and metrics page, beside a straightforward way."
    )
    parser.add_argument("--runs", type=int, default=5, help="repetitions (default: 5)")
    parser.add_argument(
        "--measurements", type=int, default=60_000, help="measurements in a run (default: 60000)"
    )
    parser.add_argument("--sites", type=int, default=6000, help="sites on the page (default: 6000)")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    command_line.run(main, PROGRAM)
