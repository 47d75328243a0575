"""Walk of one measurement: the files that a STAMP record passes, from the probe to page and receipt.

The real programs run as a site and its collector have them, over Mosquitto, with a peer that reflects on
loopback. An emulated link of the laboratory delays each reply, so the record has a round trip that nothing
else has. A profiler in agent and collector notes every call. It notes whether the record, its identity or
its receipt was in hand: in an argument, in a closure, or in what was returned.

A *cycle* goes from the start of a train to the end of a request for ``/metrics``, made when the receipt has
passed the broker. A function is on the walk when it had the record in hand in every cycle, a file when one of
its functions is. Libraries, peer and laboratory are not counted. At 312fabb this gives 44 files; the issue
says 48.

The second figure is wider: files with a function that runs in every cycle and never between cycles. It also
has what serves the record without touching it: the schedule, the packets of the train, other metric families.

No module of the product is imported here. The programs are started by their commands and told apart by files
alone, so the same script follows the walk of an older revision. The link is always today's.
"""

import argparse
import itertools
import json
import os
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from tests.brokers import mosquitto
from tests.house.tree import ROOT, NoTreeError, archive
from tests.processes import free_port, running, wait_until

BAR = 30
SITE = "0631234A"
# Starts are random, so one cycle may run into the next; it takes no part then.
CYCLES, CLEAN_CYCLES = 5, 3
WITHIN_S = 60.0

# The profiler knows the record by this; see its bounds.
ROUND_TRIP = "1850ms"

_LINK = f"127.1.{os.getpid() // 250 % 250}.{os.getpid() % 250 + 1}"
# The agent has the receipt when the broker has passed it to everybody, and then has work to do.
_SETTLED_AFTER_S = 0.5
# The scheduler starts the run a moment before the probe is entered.
_BEFORE_PROBE_NS = 5_000_000
_QUIET_NS = 500_000_000
_PROBE = "agent/probes/stamp"
# The environment of the programs is inside the tree: libraries are no files of the product.
_NOT_COUNTED = (".venv/", "lab/", "peer/", "tests/")
_TRACER = Path(__file__).with_name("tracer")

# Files in the order in which the record reaches them, each with its functions.
Files = dict[str, list[str]]


class Call(NamedTuple):
    """Call of a function, or return from it; ``has_record`` if the record or receipt was in hand."""

    moment: int
    file: str
    name: str
    has_record: bool


class WalkError(Exception):
    """Programs that did not do what the walk needs; the text tells a person what and where to look."""


def follow(calls: Iterable[Call], ends: Sequence[int]) -> tuple[Files, Files]:
    """Find the walk and the wider walk in all calls; ``ends`` are those of the requests for the page."""
    calls = sorted(call for call in calls if not call.file.startswith(_NOT_COUNTED))
    # All cycles but the first, which also opens, creates and greets; clean if no other one overlaps it.
    cycles, clean = [], []
    for before, end in itertools.pairwise(ends):
        starts = (one.moment for one in calls if before < one.moment < end and one.file.startswith(_PROBE))
        if begin := next(starts, None):
            cycles.append((begin - _BEFORE_PROBE_NS, end))
            clean += cycles[-1:] if begin - before > _QUIET_NS else []
    if len(clean) < CLEAN_CYCLES:
        raise WalkError(f"{len(clean)} of {len(cycles)} measurements had the line alone: run it again")
    inside = [[call for call in calls if begin <= call.moment <= end] for begin, end in clean]
    between = {
        call[1:3]
        for (_, end), (begin, _) in itertools.pairwise(cycles)
        for call in calls
        if end < call.moment < begin
    }
    return (
        _in_each([[call for call in found if call.has_record] for found in inside]),
        _in_each([[call for call in found if call[1:3] not in between] for found in inside]),
    )


def _in_each(cycles: Sequence[Sequence[Call]]) -> Files:
    """Functions that every cycle has, by file, in the order of the first cycle."""
    common = set.intersection(*({call[1:3] for call in cycle} for cycle in cycles))
    files: Files = {}
    for file, name in dict.fromkeys(call[1:3] for call in cycles[0]):
        if (file, name) in common:
            files.setdefault(file, []).append(name)
    return files


def measure(root: Path, folder: Path) -> tuple[Files, Files]:
    """Run the programs of the tree at ``root`` until enough records went all the way."""
    traces = folder / "traces"
    traces.mkdir()
    web_port, stamp_port = free_port(), free_port(_LINK)
    plain, traced = [f"PYTHONPATH={root}"], [f"PYTHONPATH={_TRACER}{os.pathsep}{root}"]
    traced += [f"WALK_ROOT={root}", f"WALK_FOLDER={traces}"]
    link = ["link", "--listen", _LINK, "--ports", str(stamp_port), "--delay", f"{ROUND_TRIP},0"]
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder, "log_type all"))
        _write_settings(folder, broker.port, web_port, stamp_port)
        for name, variables, words in (
            ("lab", [f"PYTHONPATH={ROOT}"], link),
            ("peer", plain, ["run", "peer.yaml"]),
            ("collector", traced, ["run", "collector.yaml"]),
            ("agent", traced, ["run", "agent.yaml"]),
        ):
            command = ["env", "-C", folder, *variables, sys.executable, "-m", name, *words]
            stack.enter_context(running(command, lambda: True, folder / f"{name}.log"))
        ends = list(_pages(folder / f"mosquitto-{broker.port}.log", f"http://127.0.0.1:{web_port}/metrics"))
    calls = []
    for file in traces.iterdir():
        record = json.loads(file.read_text(encoding="utf-8"))
        calls += [Call(at, *record["functions"][number], has) for at, number, has in record["calls"]]
    return follow(calls, ends)


def _write_settings(folder: Path, broker_port: int, web_port: int, stamp_port: int) -> None:
    """One site that does nothing but send trains, as often as a walk wants them."""
    for name, text in {
        "sites.csv": f"site_id,name\n{SITE},Lycée\n",
        "peer.yaml": f"""
            keys: [{{id: 1, key: an-example-of-a-key}}]
            udpstp: {{port: {free_port()}}}
            stamp: {{port: {stamp_port}}}""",
        "collector.yaml": f"""
            inventory: sites.csv
            broker: {{port: {broker_port}}}
            ledger: {{path: ledger.db}}
            web: {{port: {web_port}}}""",
        "agent.yaml": f"""
            site: {SITE}
            peer: {{host: {_LINK}, key: an-example-of-a-key, stamp_port: {stamp_port}}}
            broker: {{port: {broker_port}}}
            floor: {{down: null, up: null}}
            stamp: {{packets: 4, spacing: 50 ms, timeout: 4 s}}
            schedule: {{stamp: 6 s, first_within: 3 s, interface: null, capacity: null, path: null,
                        reachability: null}}
            uplink: {{interval: 1 s, backlog_interval: 1 s}}
            journal: {{path: journal.db}}
            runtime_directory: run""",
    }.items():
        (folder / name).touch(mode=0o600)  # or a program would refuse the key in it
        (folder / name).write_text(text, encoding="utf-8")


def _pages(broker_log: Path, metrics: str) -> Iterator[int]:
    """Ask for the metrics after each receipt; gives the moments at which the answers were there."""

    def receipts() -> int:
        lines = broker_log.read_text(encoding="utf-8").splitlines()
        return sum("Received PUBLISH" in line and "/receipt" in line for line in lines)

    for _ in range(1 + CYCLES):
        before = receipts()
        wait_until(lambda before=before: receipts() > before, "a receipt passes the broker", WITHIN_S)
        time.sleep(_SETTLED_AFTER_S)
        with urllib.request.urlopen(metrics, timeout=WITHIN_S) as answer:
            if SITE not in answer.read().decode():
                raise WalkError(f"/metrics does not name site {SITE}, of which a receipt has passed")
        yield time.monotonic_ns()


def main() -> int:
    """Follow a measurement through this tree, or through an older revision."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.walk")
    parser.add_argument("--base", metavar="REV", help="follow it through this revision, and compare")
    options = parser.parse_args()
    counts = {}
    with TemporaryDirectory(prefix="walk-") as folder:
        try:
            trees = {"now": ROOT}
            if options.base:
                trees = {options.base: Path(folder, "tree")} | trees
                with archive(options.base) as tar:
                    tar.extractall(trees[options.base], filter="data")
            for name, tree in trees.items():
                place = Path(folder, name)
                place.mkdir()
                walk, wider = measure(tree, place)
                print(f"{name}:")
                for number, (file, functions) in enumerate(walk.items(), 1):
                    # Comprehensions and lambdas say nothing beside the function that they are in.
                    names = dict.fromkeys(function.partition(".<")[0] for function in functions)
                    print(f"{number:3}  {file}: {', '.join(names)}")
                counts[name] = f"{len(walk)} (wider: {len(wider)}) {name}"
        except (NoTreeError, WalkError, AssertionError) as error:
            logs = [f"{log.name}:\n{log.read_text()}" for log in Path(folder).glob("*/[aclp]*.log")]
            print(error, *logs, sep="\n", file=sys.stderr)
            return 2
    print(f"Files that one measurement passes: {', '.join(counts.values())}; at most {BAR} are wanted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
