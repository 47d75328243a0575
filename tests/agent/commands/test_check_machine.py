"""Findings of ``plancher-agent check`` about the machine."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from agent.commands import machine
from agent.commands.check import advised
from agent.commands.machine import NetworkInterface, RunningProgram
from agent.configuration import SETTINGS
from agent.settings.sections import LineCountersSettings, PeerAccessSettings, SnmpSettings
from host.exits import Exit
from host.finding import CheckFinding

LO = NetworkInterface("lo", ("127.0.0.1", "::1"), on=True, running=True, loopback=True)
ETH0 = NetworkInterface("eth0", ("192.168.1.2", "2001:db8::2"), on=True, running=True, speed_bps=1e9)
ETH1 = NetworkInterface("eth1", on=True)
WLAN0 = NetworkInterface("wlan0")
MB = 1_000_000


@pytest.mark.parametrize(
    ("found", "way_out", "told"),
    [
        (
            (LO, WLAN0, ETH1, ETH0),
            ETH0,
            (
                "ok     interfaces: eth0 (up, 1000 Mbit/s, 192.168.1.2, 2001:db8::2) is the outgoing one;"
                " eth1 (no link); wlan0 (down)"
            ),
        ),
        (
            (LO, ETH1),
            None,
            (
                "note   interfaces: eth1 (no link); none is outgoing: is a cable connected,"
                " is there an address and a default route?"
            ),
        ),
        (
            tuple(NetworkInterface(f"veth{number}") for number in range(9)),
            None,
            (
                "note   interfaces: veth0 (down); veth1 (down); veth2 (down); veth3 (down); veth4 (down);"
                " veth5 (down); veth6 (down); veth7 (down); and 1 more; none is outgoing:"
                " is a cable connected, is there an address and a default route?"
            ),
        ),
    ],
)
def test_which_interfaces_there_are(
    found: tuple[NetworkInterface, ...], way_out: NetworkInterface | None, told: str
) -> None:
    assert str(machine.interfaces(found, way_out)) == told


def test_the_interfaces_are_this_machines() -> None:
    found = {link.name: link for link in machine.links()}
    assert set(found) == {name for _, name in socket.if_nameindex()}
    assert (found["lo"].loopback, found["lo"].running) == (True, True)
    assert "127.0.0.1" in found["lo"].addresses


def test_the_loopback_leads_nowhere_and_an_own_address_no_further() -> None:
    """Towards a peer on this machine the outgoing interface is that of any other address."""
    found = machine.links()
    anywhere = machine.outward(found, None)
    assert machine.outward(found, "127.0.0.1") == anywhere
    assert machine.outward((LO,), "127.0.0.1") is None
    for link in found:
        for address in () if link.loopback or not link.running else link.addresses:
            assert machine.outward(found, address) == anywhere


ROUTER = (
    "; this machine forwards packets of others: if it does so for all of the site, set"
    " line_counters.source to inline and interface to eth0, the outgoing one"
)
BESIDE = "; this machine forwards no packets of others: read the router's counters (source: snmp)"
ASKED = LineCountersSettings("snmp", snmp=SnmpSettings("router", "wan0", community="word"))


@pytest.mark.parametrize(("chosen", "way_out", "is_router", "told"), [
    (LineCountersSettings(), ETH0, True, ROUTER),
    (LineCountersSettings(), ETH0, False, BESIDE),
    (LineCountersSettings(), None, True, ""),
    (LineCountersSettings("inline", "wlan0"), ETH0, True, " (likely eth0, the outgoing one)"),
    (LineCountersSettings("inline", "eth0"), ETH0, True, ""),
    (LineCountersSettings("inline", "wlan0"), None, True, ""),
    (ASKED, ETH0, True, ""),
])  # fmt: skip
def test_what_to_set_the_counters_to(
    chosen: LineCountersSettings, way_out: NetworkInterface | None, is_router: bool, told: str
) -> None:
    assert machine.counters_hint(chosen, way_out, is_router=is_router) == told


def test_only_what_does_not_work_is_advised_on() -> None:
    settings = SETTINGS("A", PeerAccessSettings(), line_counters=LineCountersSettings("inline", "eth9"))
    missing = CheckFinding("line counters", "this machine has no interface eth9", Exit.CONFIGURATION)
    assert str(advised(missing, settings, ETH0)) == (
        "WRONG  line counters: this machine has no interface eth9 (likely eth0, the outgoing one)"
    )
    fine = CheckFinding("line counters", "inline: eth9")
    assert advised(fine, settings, ETH0) is fine


@pytest.mark.parametrize(
    ("kind", "free", "wanted", "told"),
    [
        (
            "ext4",
            12_300 * MB,
            64 * MB,
            "ok     space: 12.3 GB free at /var, the journal may still take 64 MB",
        ),
        ("ext4", 64 * MB, 64 * MB, "ok     space: 64 MB free at /var, the journal may still take 64 MB"),
        (
            "ext4",
            63 * MB,
            64 * MB,
            (
                "WRONG  space: 63 MB free at /var, the journal may still take 64 MB: make room there, or"
                " lower journal.size"
            ),
        ),
        (
            "tmpfs",
            500 * MB,
            64 * MB,
            (
                "note   space: /var is in memory (tmpfs): unsent measurements are lost when this machine"
                " stops; give journal.path a place on a disk"
            ),
        ),
        (
            "tmpfs",
            1 * MB,
            64 * MB,
            (
                "WRONG  space: 1 MB free at /var, the journal may still take 64 MB: make room there, or lower"
                " journal.size"
            ),
        ),
    ],
)
def test_room_for_the_journal(kind: str, free: int, wanted: int, told: str) -> None:
    assert str(machine.room(Path("/var"), kind, free, wanted)) == told


def test_what_the_journal_has_already_is_not_wanted_again(tmp_path: Path) -> None:
    journal = tmp_path / "journal.db"
    for used, wanted in (([], 30), ([""], 20), (["", "-wal"], 10)):
        for suffix in used:
            with (tmp_path / f"journal.db{suffix}").open("wb") as file:
                file.truncate(10 * MB)  # a hole: nothing of it is on the disk
        told = machine.space(tmp_path, journal, 30 * MB).text
        assert told.endswith(f" free at {tmp_path}, the journal may still take {wanted} MB")


def test_a_place_that_cannot_be_asked_is_a_note(tmp_path: Path) -> None:
    finding = machine.space(tmp_path / "none", tmp_path / "none" / "journal.db", MB)
    assert str(finding) == f"note   space: {tmp_path}/none: No such file or directory"


@pytest.mark.parametrize(
    ("place", "kind"),
    [("/", "ext4"), ("/data", "xfs"), ("/data/a", "xfs"), ("/database", "ext4"), ("/twice/b", "tmpfs")],
)
def test_the_file_system_of_a_place(place: str, kind: str) -> None:
    mounts = [("/", "ext4"), ("/data", "xfs"), ("/twice", "ext4"), ("/twice", "tmpfs")]
    assert machine.file_system(Path(place), mounts) == kind


@pytest.mark.parametrize(
    ("busy_ratio", "cores", "seconds", "told"),
    [
        (0.12, 4, 0.4, "ok     other programs: 12% of 4 cores busy"),
        (0.7, 4, 1.0, "ok     other programs: 70% of 4 cores busy"),
        (0.79, 8, 0.4, "ok     other programs: 79% of 8 cores busy"),
        (
            0.8,
            8,
            0.1,
            ("note   other programs: 80% of 8 cores busy: tests on a busy machine may be late, and invalid"),
        ),
        (
            0.8,
            8,
            0.5,
            (
                "note   other programs: 80% of 8 cores busy, most by backup (process 42, 50% of a core):"
                " tests on a busy machine may be late, and invalid"
            ),
        ),
        (0.2, 1, 0.1, "ok     other programs: 20% of 1 core busy"),
        (
            0.97,
            2,
            0.98,
            (
                "note   other programs: 97% of 2 cores busy, most by backup (process 42, 98% of a core):"
                " tests on a busy machine may be late, and invalid"
            ),
        ),
        (
            0.3,
            1,
            0.3,
            (
                "note   other programs: 30% of 1 core busy, most by backup (process 42, 30% of a core):"
                " tests on a busy machine may be late, and invalid"
            ),
        ),
    ],
)
def test_a_program_that_leaves_no_core(busy_ratio: float, cores: int, seconds: float, told: str) -> None:
    most = RunningProgram(42, "backup", 2 * seconds)
    assert str(machine.leaves_room(busy_ratio, cores, most, 2.0)) == told


def test_no_program_is_named_on_an_idle_machine() -> None:
    assert str(machine.leaves_room(1.0, 2, None, 1.0)) == (
        "note   other programs: 100% of 2 cores busy: tests on a busy machine may be late, and invalid"
    )


def test_the_busiest_program_had_the_most_time_in_between() -> None:
    before = {(1, 0.0): RunningProgram(1, "init", 90.0), (2, 0.0): RunningProgram(2, "old", 50.0)}
    assert machine.busiest(before, before) is None
    after = {(1, 0.0): RunningProgram(1, "init", 90.1), (2, 5.0): RunningProgram(2, "new", 0.5)}
    assert machine.busiest(before, after) == RunningProgram(2, "new", 0.5)


def test_a_busy_program_is_named_without_its_arguments() -> None:
    name = "busy\x1b[31m"
    spin = f"open('/proc/self/comm', 'w').write({name!r})\nprint(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", spin, "secret"], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout
            child.stdout.readline()
            before = {key: one for key, one in machine.programs().items() if one.number == child.pid}
            after = before
            while machine.busiest(before, after) is None:
                after = {key: one for key, one in machine.programs().items() if one.number == child.pid}
        finally:
            child.kill()
    most = machine.busiest(before, after)
    assert most is not None
    assert (most.number, most.name) == (child.pid, "busy?[31m")
    assert os.getpid() not in {one.number for one in machine.programs().values()}
