"""Command ``plancher-lab link`` in a process of its own."""

import contextlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from host.exits import Exit
from lab.__main__ import command
from lab.links.command import describe
from lab.links.datagrams import RelayedDatagram
from lab.links.line import EmulatedLine, EmulatedLineCounters, LineSettings
from lab.links.link import LinkReport, OwnLosses, decode_report, encode_report
from tests.lab.conftest import DEADLINE_SECONDS, End, until

MakeEnd = Callable[..., End]
RATE = 8_000_000
PACKETS, PAYLOAD_BYTES = 1000, 1000


@contextlib.contextmanager
def running(*options: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "link", *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            assert process.stdout is not None
            assert "relaying" in process.stdout.readline()
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[str], number: signal.Signals = signal.SIGTERM) -> str:
    process.send_signal(number)
    output, errors = process.communicate(timeout=DEADLINE_SECONDS)
    assert (process.returncode, errors) == (Exit.OK, "")
    return output


def send_faster_than_the_line(sender: End, destination: tuple[str, int]) -> None:
    gap = (PAYLOAD_BYTES + 28) * 8 / (1.5 * RATE)
    began = time.monotonic()
    for number in range(PACKETS):
        time.sleep(max(0, began + number * gap - time.monotonic()))
        sender.send(bytes(PAYLOAD_BYTES), destination)


def collect(receiver: End) -> list[RelayedDatagram]:
    received: list[RelayedDatagram] = []

    def all_there() -> bool:
        received.extend(receiver.take())
        return len(received) == PACKETS

    until(all_there)
    return received


@pytest.mark.parametrize("direction", ["down", "up"])
def test_the_rate_is_the_rate(end: MakeEnd, address: str, direction: str) -> None:
    site, peer = end(), end()
    with running("--listen", address, "--ports", str(peer.port), f"--{direction}", "8M", "--queue", "1MB",
                 "--json") as link:  # fmt: skip
        site.send(b"hello", (address, peer.port))
        client = peer.receive()[1]
        if direction == "down":
            send_faster_than_the_line(peer, client)
            received = collect(site)
        else:
            send_faster_than_the_line(site, (address, peer.port))
            received = collect(peer)
        report = json.loads(finish(link))
    span = (received[-1].arrival - received[0].arrival) / 1e9
    assert span == pytest.approx((PACKETS - 1) * (PAYLOAD_BYTES + 28) * 8 / RATE, rel=0.03)
    assert report[direction]["dropped_packets"] == {}
    assert report["releases"] == PACKETS + 1


def test_the_counters_outlive_the_link_and_ctrl_c_is_a_clean_end(
    end: MakeEnd, address: str, tmp_path: Path
) -> None:
    site, peer = end(), end()
    options = ("--listen", address, "--ports", str(peer.port), "--counters", str(tmp_path))
    with running(*options) as link:
        site.send(bytes(100), (address, peer.port))
        peer.receive()
        output = finish(link, signal.SIGINT)
    assert "up   1 packets (128 B) in, 1 (128 B) out\n" in output
    assert "down 0 packets (0 B) in, 0 (0 B) out\n" in output
    found = {file.name: int(file.read_text()) for file in tmp_path.iterdir()}
    assert found == {"rx_bytes": 0, "rx_packets": 0, "tx_bytes": 142, "tx_packets": 1}


def test_a_second_link_into_the_same_directory_starts_from_zero(
    end: MakeEnd, address: str, tmp_path: Path
) -> None:
    (tmp_path / "rx_bytes").write_text("77\n")
    peer = end()
    with running("--listen", address, "--ports", str(peer.port), "--counters", str(tmp_path)) as link:
        until(lambda: (tmp_path / "rx_bytes").read_text().strip() == "0")
        finish(link)


LISTEN = ("link", "--listen", "127.0.1.5")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("link",), "the following arguments are required: --listen"),
        ((*LISTEN, "--down", "8,4M"),
         "argument --down: expected a rate such as 8.4M (bit/s; k, M or G), got '8,4M'"),
        ((*LISTEN, "--loss", "1%,2"), "argument --loss: expected a share such as 1%, got '2'"),
        ((*LISTEN, "--delay", "9"), "argument --delay: expected a time such as 10ms (us, ms or s), got '9'"),
        ((*LISTEN, "--ports", "1;2"), "argument --ports: expected ports such as 24601,8862, got '1;2'"),
        ((*LISTEN, "--dscp", "46"),
         "argument --dscp: expected pairs of code points such as 46:0,10:8, got '46'"),
        (("link", "--listen", "localhost"),
         "argument --listen: expected an IPv4 address such as 127.0.1.5, got 'localhost'"),
    ],
)  # fmt: skip
def test_an_unreadable_value_is_reported(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        command(options)
    assert caught.value.code == Exit.USAGE
    assert capsys.readouterr().err.splitlines()[-1] == f"plancher-lab link: {message}"


@pytest.mark.parametrize(("options", "message"), [
    ((*LISTEN, "--policer"), "down: a policer needs a rate; up: a policer needs a rate"),
    ((*LISTEN, "--up", "8M", "--queue", "1kB"), "up: the queue needs room for at least 1500 B, not 1000 B"),
    (("link", "--listen", "192.0.2.1"), "a link listens on loopback only (127.0.0.0/8), not on 192.0.2.1"),
    ((*LISTEN, "--reorder", "1%,0"), "down: reordering needs a reordering delay"),
])  # fmt: skip
def test_impossible_settings_are_reported(
    options: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(options) == Exit.USAGE
    assert capsys.readouterr().err == f"plancher-lab: configuration: {message}\n"


def test_a_port_in_use_is_reported_with_the_remedy(
    end: MakeEnd, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    holder = end(address)
    assert command(("link", "--listen", address, "--ports", str(holder.port))) == Exit.UNAVAILABLE
    assert capsys.readouterr().err == (
        f"plancher-lab: configuration: cannot listen on {address}, ports {holder.port}: in use. Choose "
        "another --listen address. If a peer listens on all addresses of this machine, let it listen on "
        "127.0.0.1 only.\n"
    )


def test_unwritable_counters_are_reported(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "statistics"
    assert command(("link", "--listen", address, "--counters", str(place))) == Exit.CANNOT_CREATE
    assert capsys.readouterr().err == (
        f"plancher-lab: configuration: cannot write counters into {place}: Not a directory\n"
    )


def test_the_report_names_every_error_of_the_link() -> None:
    lost = OwnLosses(unsent=2, overflowed=3, crowded=4)
    report = LinkReport(EmulatedLineCounters(), EmulatedLineCounters(), up_lost=lost, stray=1, seconds=2.0)
    report.late_p50, report.late_p99, report.late_largest, report.cpu_seconds = (
        45_000,
        130_000,
        2_000_000,
        0.2,
    )
    assert describe(report).splitlines()[2:] == [
        "up   2 refused by the kernel",
        "up   3 lost in full socket buffers: the link read too slowly",
        "up   4 dropped: too many packets in the link",
        "1 datagrams from unknown ports of the peer",
        "releases late by: p50 45 us, p99 130 us, largest 2000 us",
        "2.0 s, 10.0% of a core",
    ]


def test_a_report_is_read_as_it_was_written() -> None:
    line = EmulatedLine(LineSettings(rate=8_000_000, queue=1500))
    for _ in range(3):
        line.offer(0, 1500)
    report = LinkReport(
        line.counters, EmulatedLineCounters(), up_lost=OwnLosses(overflowed=3), late_p50=45_000
    )
    assert decode_report(encode_report(report)) == report
