"""Walk of one measurement: the files that a STAMP record passes, from the probe to page and receipt.

The real programs run as a site and its collector have them, over Mosquitto, with a peer that reflects on
loopback. A relay holds each reply back, so the record has a round trip that nothing else has. A profiler in
agent and collector notes every call, and whether the record, its identity or its receipt was in hand: in an
argument, in a closure, or in what was returned.

A *cycle* goes from the start of a train to the end of a request for ``/metrics``, made when the receipt has
passed the broker. A function is on the walk when it had the record in hand in every cycle, a file when one of
its functions is. Peer and laboratory are not counted. At 312fabb this gives 44 files; the issue says 48.

The second figure is wider: files with a function that runs in every cycle and never between cycles. It also
has what serves the record without touching it, such as the schedule, the packets of the train, and the metric
families of other probes.

No module of the product is imported here. The programs are started by their commands and told apart by files
alone, so the same script follows the walk of an older revision.
"""

import argparse
import itertools
import json
import os
import queue
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

from tests.brokers import mosquitto
from tests.house.relay import relaying
from tests.house.tree import ROOT, NoTreeError, archive
from tests.processes import free_port

BAR = 30
SITE = "0631234A"
# Starts are random, so one cycle may run into the next; it takes no part then.
CYCLES, CLEAN_CYCLES = 5, 3
WITHIN_S = 60.0

# The profiler knows the record by this; see its bounds.
ROUND_TRIP_S = 1.85

_KEY = "example-key-change-me"
_END_WITHIN_S = 15.0
# The agent has the receipt when the broker has passed it to everybody, and then has work to do.
_SETTLED_AFTER_S = 0.5
# The scheduler starts the run a moment before the probe is entered.
_BEFORE_PROBE_NS = 5_000_000
_QUIET_NS = 500_000_000
_PROBE = "agent/probes/stamp"
_NOT_COUNTED = ("lab/", "peer/", "tests/")
_TRACER = Path(__file__).with_name("tracer")

Function = tuple[str, str]


@dataclass(frozen=True, order=True)
class Call:
    """Call of a function, or return from it; ``has_record`` if the record or receipt was in hand."""

    moment: int
    file: str
    name: str
    has_record: bool


@dataclass(frozen=True)
class Cycle:
    """Time of one measurement, nanoseconds of CLOCK_MONOTONIC; clean if no other one overlaps it."""

    begin: int
    end: int
    is_clean: bool


@dataclass(frozen=True)
class Walk:
    """Files in the order in which the record reaches them, each with its functions."""

    files: dict[str, list[str]]
    wider: dict[str, list[str]]


class WalkError(Exception):
    """Programs that did not do what the walk needs; the text tells a person what and where to look."""


def follow(calls: Iterable[Call], ends: Sequence[int]) -> Walk:
    """Find the walk in the calls of all programs; ``ends`` are those of the requests for the page."""
    calls = sorted(call for call in calls if not call.file.startswith(_NOT_COUNTED))
    cycles = _cycles(calls, ends)
    clean = [cycle for cycle in cycles if cycle.is_clean]
    if len(clean) < CLEAN_CYCLES:
        raise WalkError(f"{len(clean)} of {len(cycles)} measurements had the line alone: run it again")
    inside = [[call for call in calls if cycle.begin <= call.moment <= cycle.end] for cycle in clean]
    between = {
        (call.file, call.name)
        for call in calls
        if cycles[0].begin < call.moment < cycles[-1].end
        and not any(cycle.begin <= call.moment <= cycle.end for cycle in cycles)
    }
    return Walk(
        _in_each([[call for call in found if call.has_record] for found in inside]),
        _in_each([[call for call in found if (call.file, call.name) not in between] for found in inside]),
    )


def _in_each(cycles: Sequence[Sequence[Call]]) -> dict[str, list[str]]:
    """Functions that every cycle has, by file, in the order of the first cycle."""
    common = set.intersection(*({(call.file, call.name) for call in cycle} for cycle in cycles))
    files: dict[str, list[str]] = {}
    for file, name in dict.fromkeys((call.file, call.name) for call in cycles[0]):
        if (file, name) in common:
            files.setdefault(file, []).append(name)
    return files


def _cycles(calls: Sequence[Call], ends: Sequence[int]) -> list[Cycle]:
    """All cycles but the first, which also opens, creates and greets."""
    cycles = []
    for before, end in itertools.pairwise(ends):
        starts = (one.moment for one in calls if before < one.moment < end and one.file.startswith(_PROBE))
        begin = next(starts, None)
        if begin is not None:
            cycles.append(Cycle(begin - _BEFORE_PROBE_NS, end, begin - before > _QUIET_NS))
    return cycles


def measure(root: Path, folder: Path) -> Walk:
    """Run the programs of the tree at ``root`` until enough records went all the way."""
    traces = folder / "traces"
    traces.mkdir()
    web_port, stamp_port, relay_port = free_port(), free_port(), free_port()
    plain = os.environ | {"PYTHONPATH": str(root)}
    traced = plain | {
        "PYTHONPATH": os.pathsep.join([str(_TRACER), str(root)]),
        "WALK_ROOT": str(root),
        "WALK_FOLDER": str(traces),
    }
    with ExitStack() as stack:
        broker = stack.enter_context(mosquitto(folder))
        receipts = stack.enter_context(_receipts(broker.port))
        stack.enter_context(relaying(relay_port, stamp_port, ROUND_TRIP_S))
        _write_settings(folder, broker.port, web_port, stamp_port, relay_port)
        for name, environment in (("peer", plain), ("collector", traced), ("agent", traced)):
            stack.enter_context(_program(name, folder, environment))
        ends = list(_ask_for_pages(receipts, web_port))
    return follow(_calls(traces), ends)


def _write_settings(folder: Path, broker_port: int, web_port: int, stamp_port: int, relay_port: int) -> None:
    """One site that does nothing but send trains, as often as a walk wants them."""
    broker = {"port": broker_port}
    never = dict.fromkeys(["interface", "capacity", "path", "reachability"])
    documents: dict[str, dict[str, object]] = {
        "peer": {
            "keys": [{"id": 1, "key": _KEY}],
            "udpstp": {"port": free_port()},
            "stamp": {"port": stamp_port},
        },
        "collector": {
            "inventory": "sites.csv",
            "broker": broker,
            "ledger": {"path": "ledger.db"},
            "web": {"port": web_port},
        },
        "agent": {
            "site": SITE,
            "peer": {"key": _KEY, "stamp_port": relay_port},
            "broker": broker,
            "floor": {"down": None, "up": None},
            "stamp": {"packets": 4, "spacing": "50 ms", "timeout": "4 s"},
            "schedule": never | {"stamp": "6 s", "first_within": "3 s"},
            "uplink": {"interval": "1 s", "backlog_interval": "1 s"},
            "journal": {"path": "journal.db"},
            "runtime_directory": "run",
        },
    }
    (folder / "sites.csv").write_text(f"site_id,name\n{SITE},Lycée\n", encoding="utf-8")
    for name, document in documents.items():
        path = folder / f"{name}.yaml"
        path.touch(mode=0o600)  # or a program would refuse the key in it
        path.write_text(json.dumps(document), encoding="utf-8")  # YAML, too


@contextmanager
def _program(name: str, folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    """Run one of the programs; it ends in order, as it writes its record only then."""
    log = folder / f"{name}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", name, "run", f"{name}.yaml"]
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)
    try:
        yield
        if process.poll() is not None:
            raise WalkError(f"{name} ended by itself:\n{log.read_text(encoding='utf-8')}")
    except WalkError as error:
        raise WalkError(f"{error}\n{name} says:\n{log.read_text(encoding='utf-8')}") from None
    finally:
        process.terminate()
        try:
            process.wait(_END_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def _receipts(port: int) -> Iterator[queue.Queue[str]]:
    """Topics of the receipts that pass the broker."""
    topics: queue.Queue[str] = queue.Queue()
    client = mqtt.Client(CallbackAPIVersion.VERSION2)
    client.on_message = lambda _client, _data, message: topics.put(message.topic)
    client.connect("127.0.0.1", port)
    client.subscribe("#")
    client.loop_start()
    try:
        yield topics
    finally:
        client.loop_stop()


def _ask_for_pages(topics: "queue.Queue[str]", web_port: int) -> Iterator[int]:
    """Ask for the metrics after each receipt; gives the moments at which the answers were there."""
    for _ in range(1 + CYCLES):
        _wait_for_receipt(topics)
        time.sleep(_SETTLED_AFTER_S)
        with urllib.request.urlopen(f"http://127.0.0.1:{web_port}/metrics", timeout=WITHIN_S) as answer:
            if SITE not in answer.read().decode():
                raise WalkError(f"/metrics does not name site {SITE}, of which a receipt has passed")
        yield time.monotonic_ns()


def _wait_for_receipt(topics: "queue.Queue[str]") -> None:
    deadline = time.monotonic() + WITHIN_S
    while True:
        try:
            if "receipt" in topics.get(timeout=max(deadline - time.monotonic(), 0)):
                return
        except queue.Empty:
            raise WalkError(f"no receipt passed the broker within {WITHIN_S:.0f} s") from None


def _calls(traces: Path) -> Iterator[Call]:
    """Calls that the programs recorded."""
    for file in traces.iterdir():
        record = json.loads(file.read_text(encoding="utf-8"))
        for moment, number, has_record in record["calls"]:
            file_of_function, name = record["functions"][number]
            yield Call(moment, file_of_function, name, bool(has_record))


def lines(files: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """Walk as a person reads it."""
    for number, (file, functions) in enumerate(files.items(), 1):
        # Comprehensions and lambdas say nothing beside the function that they are in.
        names = dict.fromkeys(name.partition(".<")[0] for name in functions)
        yield f"{number:3}  {file}: {', '.join(names)}"


def main() -> int:
    """Follow a measurement through this tree, or through an older revision."""
    parser = argparse.ArgumentParser(prog="python -m tests.house.walk")
    parser.add_argument("--wider", action="store_true", help="print the wider walk, too")
    parser.add_argument("--base", metavar="REV", help="follow it through this revision, and compare")
    options = parser.parse_args()
    counts = {}
    try:
        with TemporaryDirectory(prefix="walk-") as folder:
            trees = {"now": ROOT}
            if options.base:
                trees = {options.base: Path(folder, "tree")} | trees
                with archive(options.base) as tar:
                    tar.extractall(trees[options.base], filter="data")
            for name, tree in trees.items():
                place = Path(folder, name)
                place.mkdir()
                walk = measure(tree, place)
                print(f"{name}:", *lines(walk.files), sep="\n")
                if options.wider:
                    print(f"{name}, wider:", *lines(walk.wider), sep="\n")
                counts[name] = f"{len(walk.files)} (wider: {len(walk.wider)}) {name}"
    except (NoTreeError, WalkError) as error:
        print(error, file=sys.stderr)
        return 2
    print(f"Files that one measurement passes: {', '.join(counts.values())}; at most {BAR} are wanted.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
