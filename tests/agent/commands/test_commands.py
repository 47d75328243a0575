"""The commands as a deployer runs them: real processes, real sockets on loopback."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from agent.commands.measure import BY_NAME_ONLY
from agent.configuration import load
from agent.probes import PROBES
from agent.report.measurement import Tone
from collector.certificates.authority import Authority, Usage
from tests.brokers import mosquitto
from tests.processes import free_port, running, wait_until
from tests.starvation import Starvation
from tests.verdicts import until_decided

SITE = "0631234A"
ROOT = Path(__file__).parents[3]
ONLY_FLOOR_AND_STAMP = {"interface": None, "capacity": None, "path": None, "reachability": None}


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "agent", *(str(argument) for argument in arguments)]


def call(*arguments: str | Path, within_s: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, timeout=within_s, cwd=ROOT)


def agent_file(directory: Path, **sections: object) -> Path:
    document: dict[str, object] = {
        "site": SITE,
        "peer": {"key": "example-key-change-me", "udpstp_port": free_port(), "stamp_port": free_port()},
        "stamp": {"packets": 4, "spacing": "50 ms", "timeout": "500 ms"},
        "broker": {"port": free_port()},
        "journal": {"path": str(directory / "state" / "journal.db")},
        "runtime_directory": str(directory / "run"),
    }
    path = directory / "agent.yaml"
    path.write_text(json.dumps(document | sections))  # JSON is YAML too
    return path


def of_schema(text: str) -> dict[str, Any]:
    """Parse what ``measure --json`` printed, after a comparison with the published schema."""
    document: dict[str, Any] = json.loads(text)
    schema = json.loads((ROOT / "docs" / "measure.schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)
    return document


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, object]]:
    """The real peer; gives the agent's section about it."""
    directory = tmp_path_factory.mktemp("peer")
    section = {"key": "example-key-change-me", "udpstp_port": free_port(), "stamp_port": free_port()}
    (directory / "peer.yaml").write_text(
        json.dumps(
            {
                "keys": [{"id": 1, "key": section["key"]}],
                "udpstp": {"port": section["udpstp_port"]},
                "stamp": {"port": section["stamp_port"]},
            }
        )
    )
    log = directory / "log"
    started = [sys.executable, "-m", "peer", "run", str(directory / "peer.yaml")]
    with running(started, lambda: "serving load tests" in log.read_text(), log):
        yield section


@pytest.fixture(scope="module")
def broker_port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as broker:
        yield broker.port


def test_a_pre_drain_on_demand_excludes_a_token_bucket(
    tmp_path: Path, peer: dict[str, object], starvation: Starvation
) -> None:
    path = agent_file(
        tmp_path,
        peer=peer,
        floor={"down": "2 Mbit/s", "up": None, "pre_drain": "500 kB", "pre_drain_every": 10_000},
    )
    asked = ("--probe", "floor", "--json")
    bytes_spent = {}
    for drained, more in ((False, ()), (True, ("--pre-drain",))):
        (record,) = json.loads(call("measure", path, *asked, *more).stdout)["measurements"]
        tests = record["values"]["tests"]
        # A machine that is too busy for the load may end it before its burst.
        found = [bool(test.get("predrain_bytes")) for test in tests]
        starvation.expect(found == [drained] * len(tests), f"pre-drained: {record}")
        bytes_spent[drained] = record["bytes_received"]
    assert bytes_spent[True] > bytes_spent[False] + 400_000


def test_measure_shows_a_table_and_exits_with_the_verdict(tmp_path: Path, peer: dict[str, object]) -> None:
    done = call("measure", agent_file(tmp_path, peer=peer), "--probe", "stamp")
    assert done.stderr == ""
    assert done.returncode == 0, done.stdout
    for words in (
        f"site {SITE} against peer at 127.0.0.1",
        "stamp dscp 0",
        "RTT min/p50/p95/p99",
        "loss up 0 %",
    ):
        assert words in done.stdout
    assert done.stdout.splitlines()[-1] == "measured"  # no floor was tested, so none was passed
    assert not (tmp_path / "state").exists()


def test_measure_reports_which_targets_answer(
    tmp_path: Path, peer: dict[str, object], broker_port: int
) -> None:
    path = agent_file(tmp_path, peer=peer, broker={"port": broker_port})
    done = call("measure", path, "--probe", "reachability", "--json")
    [found] = of_schema(done.stdout)["measurements"]
    assert (found["outcome"], found["detail"]) == ("ok", "peer answers, broker answers")


@pytest.mark.timeout(240)  # five measurements, on a machine that is too busy for the first four
def test_measure_for_machines(tmp_path: Path, peer: dict[str, object], starvation: Starvation) -> None:
    path = agent_file(tmp_path, peer=peer)

    def measure() -> "subprocess.CompletedProcess[str]":
        done = call("measure", path, "--probe", "floor", "--direction", "up", "--json")
        document = of_schema(done.stdout)
        [measurement] = document["measurements"]
        assert done.returncode == {"pass": 0, "undecided": 2}[document["verdict"]]
        assert (measurement["probe"], measurement["direction"]) == ("floor", "up")
        assert "seq" not in measurement
        return done

    document = json.loads(until_decided(measure).stdout)
    [measurement] = document["measurements"]
    assert document["site"] == SITE
    starvation.expect(document["verdict"] == "pass", f"a floor test of loopback: {measurement}")
    assert measurement["values"]["at_least_bps"] == pytest.approx(8e6, rel=0.05)


def test_measure_shows_progress_to_a_terminal(tmp_path: Path, peer: dict[str, object]) -> None:
    ours, theirs = pty.openpty()
    shown: list[bytes] = []

    def watch() -> None:
        try:
            while chunk := os.read(ours, 4096):
                shown.append(chunk)
        except OSError:
            return  # the other end is gone

    watching = threading.Thread(target=watch)
    watching.start()
    arguments = command("measure", agent_file(tmp_path, peer=peer), "--probe", "stamp", "--json")
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=theirs, timeout=60, cwd=ROOT)
    os.close(theirs)
    watching.join(10)
    os.close(ours)
    assert done.returncode == 0
    assert b"1/1 stamp dscp 0: 4 packets to 127.0.0.1" in b"".join(shown)


def test_measure_without_a_peer_is_undetermined_and_names_the_fault(tmp_path: Path) -> None:
    done = call("measure", agent_file(tmp_path), "--probe", "stamp")
    assert done.returncode == 2
    assert "failed" in done.stdout
    told = " ".join(done.stdout.replace("│", " ").split())
    whose = "(the peer: is it running, are peer's ports and key the same there?)"
    assert re.search(r"nothing listens on 127\.0\.0\.1 port \d+ " + re.escape(whose), told)
    assert told.count("running") == 1


@pytest.mark.parametrize(("arguments", "message"), [
    (["--probe", "path"], "nothing to measure: schedule.path is null: set how often it is to run"),
    (["--probe", "stamp", "--direction", "up"],
     "nothing to measure: stamp takes both directions at once: leave out --direction"),
    (["--peer", "192.0.2.1"],
     "peer.key: the example key is known to everybody: only a peer on this machine may use it"),
])  # fmt: skip
def test_measure_refuses_what_makes_no_sense(tmp_path: Path, arguments: list[str], message: str) -> None:
    done = call("measure", agent_file(tmp_path, schedule=ONLY_FLOOR_AND_STAMP), *arguments)
    assert (done.returncode, done.stderr) == (78, f"plancher-agent: {message}\n")


@pytest.mark.parametrize(("settings", "arguments", "why"), [
    ({}, ["--probe", "interface"],
     "line_counters.source is none: say where the line's counters are (inline, directory or snmp)"),
    ({"line_counters": {"source": "inline", "interface": "eth0"}, "schedule": ONLY_FLOOR_AND_STAMP},
     ["--probe", "interface"], "schedule.interface is null: set how often it is to run"),
    ({"stamp": {"classes": []}}, ["--probe", "path"], "stamp.classes is empty: name a class of service"),
    ({"floor": {"up": None}}, ["--probe", "floor", "--direction", "up"],
     "the settings promise no floor in that direction: set floor.down or floor.up"),
])  # fmt: skip
def test_measure_reports_why_a_probe_has_no_task(
    tmp_path: Path, settings: dict[str, object], arguments: list[str], why: str
) -> None:
    done = call("measure", agent_file(tmp_path, **settings), *arguments)
    assert (done.returncode, done.stderr) == (78, f"plancher-agent: nothing to measure: {why}\n")


@pytest.mark.parametrize("verb", ["check", "measure", "run"])
def test_a_missing_key_is_reported_with_the_settings_file(tmp_path: Path, verb: str) -> None:
    path = agent_file(tmp_path, peer={"key_file": f"{tmp_path}/none"})
    done = call(verb, path)
    assert done.returncode == 73
    assert f": {path}: peer.key_file: {tmp_path}/none: no such file: " in done.stdout + done.stderr


def test_measure_leaves_out_what_is_run_by_name_alone(tmp_path: Path) -> None:
    floors = {"down": None, "up": None}
    schedule = {**ONLY_FLOOR_AND_STAMP, "capacity": "30 d"}
    done = call("measure", agent_file(tmp_path, floor=floors, stamp={"classes": []}, schedule=schedule))
    asked = "capacity down, capacity up; by --probe alone: capacity"
    told = f"plancher-agent: nothing to measure: the settings ask for {asked}\n"
    assert (done.returncode, done.stderr) == (78, told)


def test_measure_prints_the_cost_of_a_search(tmp_path: Path) -> None:
    """There is too little of the budget for a search, which is how much it may cost all the same."""
    path = agent_file(tmp_path, capacity={"day_budget": "1.5 MB", "month_budget": "6 GB"})
    done = call("measure", path, "--probe", "capacity")
    assert done.returncode == 2
    budget = r"byte budget: 0\.00 of 0\.00 GB spent today, 0\.00 of 6\.00 GB this month; renews .{10} UTC\n"
    before = r"capacity: fills the line in 2 directions and may cost up to 1\.5 MB; "
    assert re.fullmatch(before + budget, done.stderr)
    after = r"\ncapacity: used 0 B, 1\.5 MB may still be spent; "
    assert re.search(after + budget + r"undecided\n$", done.stdout)
    assert call("measure", path, "--probe", "capacity", "--json").stderr == ""


def test_an_unknown_probe_is_reported_with_all_names(tmp_path: Path) -> None:
    done = call("measure", agent_file(tmp_path), "--probe", "foo")
    assert done.returncode == 64
    names = ", ".join(PROBES)
    assert done.stderr.startswith("usage: plancher-agent measure ")
    assert done.stderr.endswith(f"\nplancher-agent measure: unknown probe foo: choose from {names}\n")
    shown = " ".join(call("measure", "--help").stdout.split())
    assert f"this probe only: {names}" in shown
    assert all(name in shown for name in BY_NAME_ONLY)


def test_the_readme_names_each_verdict_and_what_measure_leaves_out() -> None:
    readme = (ROOT / "README.md").read_text()
    for words in (*(f"`{tone}`" for tone in Tone), *(f"`--probe {name}`" for name in BY_NAME_ONLY)):
        assert words in readme


def test_check_finds_nothing_wrong(tmp_path: Path, peer: dict[str, object], broker_port: int) -> None:
    done = call("check", agent_file(tmp_path, peer=peer, broker={"port": broker_port}))
    assert done.returncode == 0, done.stdout
    told = [line.split(":")[0].split(maxsplit=1) for line in done.stdout.splitlines()]
    assert [what for _, what in told] == [
        "settings",
        "clock",
        "other programs",
        "journal",
        "space",
        "runtime directory",
        "interfaces",
        "line counters",
        "peer's name",
        "peer's STAMP",
        "peer's UDPSTP",
        "reachability",
        "path",
        "broker",
    ]
    of_this_machine = {"clock", "other programs", "space", "interfaces", "line counters", "path"}
    assert {what for word, what in told if word == "note"} <= of_this_machine
    path = next(line for line in done.stdout.splitlines() if " path: " in line)
    assert path.startswith("note") or path == "ok     path: this program may send the packets of a trace"


def test_check_names_everything_that_is_wrong(tmp_path: Path) -> None:
    done = call("check", agent_file(tmp_path, line_counters={"source": "inline", "interface": "lo"}))
    assert done.returncode == 78, "the first that is wrong says how it ends: the line counters"
    wrong = [line.removeprefix("WRONG  ") for line in done.stdout.splitlines() if line.startswith("WRONG")]
    silent = "note   reachability: peer does not answer, broker does not answer: outage, the peer: "
    assert silent in done.stdout, "what does not answer is never ok"
    expected = (
        ("line counters", "lo is a loopback, which counts every byte of a test twice"),
        ("peer's STAMP", "(the peer: is it running, are peer's ports and key the same there?)"),
        ("peer's UDPSTP", "nothing listens at the peer's port"),
        ("broker", "nothing listens there: is the broker running, and is the port right?"),
    )
    told = {line.split(":")[0]: line for line in wrong}
    for what, words in expected:
        assert words in told[what]


def test_check_of_wrong_settings(tmp_path: Path) -> None:
    done = call("check", agent_file(tmp_path, sight="A"))
    assert done.returncode == 78
    assert (
        done.stdout
        == f"WRONG  settings: {tmp_path}/agent.yaml: sight: no such setting; did you mean `site`?\n"
    )


def test_a_wrong_call_is_reported() -> None:
    done = call("mesure")
    assert done.returncode == 64
    assert "invalid choice: 'mesure'" in done.stderr


def test_a_missing_file_is_reported(tmp_path: Path) -> None:
    done = call("run", tmp_path / "none.yaml")
    expected = f"plancher-agent: {tmp_path}/none.yaml: no such file: give the path of a settings file\n"
    assert (done.returncode, done.stderr) == (73, expected)


def test_the_example_is_valid_and_has_the_defaults(tmp_path: Path) -> None:
    example = load(ROOT / "agent.yaml")
    path = tmp_path / "agent.yaml"
    path.write_text("site: 0631234A\npeer: {key: example-key-change-me, stamp_port: 8862}\n")
    assert example == load(path)


def test_the_resident_agent_is_let_in_over_mutual_tls(tmp_path: Path, peer: dict[str, object]) -> None:
    authority = Authority(tmp_path).make()
    server = authority.issue("broker", Usage.SERVER, names=["127.0.0.1"])
    own = authority.issue(SITE)
    options = (
        f"cafile {authority.certificate}",
        f"certfile {server.certificate}",
        f"keyfile {server.key}",
        "require_certificate true",
    )
    tls = {"ca": str(authority.certificate), "certificate": str(own.certificate), "key": str(own.key)}
    with mosquitto(tmp_path, *options) as broker:
        section = {"port": broker.port, "tls": tls}
        path = agent_file(tmp_path, peer=peer, broker=section, floor={"down": None, "up": None})
        log = tmp_path / "log"
        with running(command("run", path), lambda: "connected to broker" in log.read_text(), log):
            pass
    assert "Traceback" not in log.read_text()


def test_run_status_and_a_clean_end(tmp_path: Path, peer: dict[str, object], broker_port: int) -> None:
    path = agent_file(
        tmp_path,
        peer=peer,
        broker={"port": broker_port},
        floor={"down": None, "up": None},
        schedule={"first_within": 0, **ONLY_FLOOR_AND_STAMP},
    )
    stopped = call("status", path)
    assert stopped.returncode == 1
    assert "the agent never ran: no journal at " in stopped.stdout
    with running(
        command("run", path), (tmp_path / "run" / "status.json").exists, tmp_path / "log"
    ) as process:
        results: list[dict[str, str]] = []

        def measured() -> bool:
            status = json.loads(call("status", path, "--json").stdout)
            results[:] = status["results"]
            return bool(results) and not status["problems"]

        wait_until(measured, "a result in the status, and nothing wrong")
        assert (results[0]["task"], results[0]["tone"]) == ("stamp dscp 0", "measured")
        screen = call("status", path)
        assert screen.returncode == 0, screen.stdout
        for words in (f"site      {SITE}", f"process {process}", "connected", "nothing is wrong"):
            assert words in screen.stdout
        second = call("run", path)
        assert second.returncode == 73
        assert f"journal.db: in use by process {process}: end that" in second.stderr
        os.kill(process, signal.SIGTERM)
        wait_until(lambda: not (tmp_path / "run" / "status.json").exists(), "the agent ends", 5)
    told = (tmp_path / "log").read_text()
    assert "Traceback" not in told
    assert told.endswith("info agent: stopped by SIGTERM\n")


def test_a_broker_without_retained_messages_is_found_and_used(
    tmp_path: Path, peer: dict[str, object]
) -> None:
    """Case B13: a broker with ``retain_available false``."""
    with mosquitto(tmp_path, "retain_available false") as broker:
        path = agent_file(tmp_path, peer=peer, broker={"port": broker.port}, floor={"down": None, "up": None})
        found = next(line for line in call("check", path).stdout.splitlines() if " broker: " in line)
        log = tmp_path / "log"
        with running(command("run", path), lambda: "connected to broker" in log.read_text(), log):
            pass
    place = f"127.0.0.1:{broker.port}"
    says = "which keeps no retained messages: it forgets who is connected (set retain_available true)"
    assert found == f"note   broker: {place}: connected, {says}"
    assert f"connected to broker {place}, {says}" in log.read_text()
