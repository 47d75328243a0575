"""Fixed-rate loads by the agent's client and by iperf3, each in processes of its own, with their processor
time.

Processor time is user and system time by the kernel's account. It covers the test for our client, and the
time from before the test to after it for the peer. For iperf3's two processes it covers their whole life.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent.load.udpstp_client import run_load
from lab.bench import process_usage
from wire.ip_layer import IPV4_UDP_BYTES
from wire.records import Direction
from wire.udpstp import rates

KEY_ID = 1
# Payload of the full packets of the sending-rate table (RFC 9946); iperf3 sends the same.
PAYLOAD = 1222

# iperf3 counts payload.
IPERF_SHARE = PAYLOAD / (PAYLOAD + IPV4_UDP_BYTES)

SLACK_S = 20.0

# Returns the command line that runs a command at one end of the line.
Inside = Callable[..., tuple[str, ...]]


class LoadToolError(Exception):
    """A load tool failed; the text is its message."""


@dataclass(frozen=True, slots=True)
class LoadLine:
    """A line: ways to run a program at its site and at its far end, and the far end's address."""

    name: str
    at_site: Inside
    at_far: Inside
    far_address: str
    control_port: int
    iperf_port: int


@dataclass(frozen=True, slots=True)
class Cost:
    """One test: IP-layer bit/s sent and received, shares of packets lost and of time stalled, CPU seconds.

    ``drops`` are datagrams that the receiving host lost for want of buffer. ``site_cpu_s`` is of the process
    at the site, ``far_cpu_s`` of the one at the far end.
    """

    sent_bps: float
    received_bps: float
    loss: float
    received_bytes: int
    site_cpu_s: float
    far_cpu_s: float
    drops: int = 0
    stall: float = 0.0

    @property
    def site_per_gb(self) -> float:
        """CPU seconds at the site for 10^9 received bytes."""
        return self.site_cpu_s * 1e9 / self.received_bytes

    @property
    def far_per_gb(self) -> float:
        """CPU seconds at the far end for 10^9 received bytes."""
        return self.far_cpu_s * 1e9 / self.received_bytes

    @property
    def per_gb(self) -> float:
        """CPU seconds of both ends for 10^9 received bytes."""
        return self.site_per_gb + self.far_per_gb


def ours(
    place: LoadLine, peer: int, secret: str, direction: Direction, rate_bps: float, seconds: int
) -> Cost:
    """Run a test of our client against the peer with process id ``peer``. Raises LoadToolError."""
    row = str(rates.row_for(rate_bps))
    command = place.at_site(
        sys.executable, "-m", "lab.bench.load_tools", place.far_address, str(place.control_port),
        direction, row, str(seconds),
    )  # fmt: skip
    before, drops = process_usage.sample(peer).cpu_ns, _drops(peer)
    try:
        ended = subprocess.run(  # noqa: S603 -- our own arguments, no shell
            command, input=secret, capture_output=True, text=True, timeout=seconds + SLACK_S
        )
    except subprocess.TimeoutExpired:
        raise LoadToolError(f"our client did not end within {seconds + SLACK_S:g} s") from None
    if ended.returncode:
        raise LoadToolError(f"our client: {ended.stderr.strip()[-300:]}")
    figures = json.loads(ended.stdout)
    if figures["ending"] != "completed" or not figures["received_bytes"]:
        raise LoadToolError(f"our client: {figures['ending']} {figures['detail']}")
    return Cost(
        sent_bps=figures["sent_bps"],
        received_bps=figures["received_bps"],
        loss=figures["lost"] / figures["sent_packets"],
        received_bytes=figures["received_bytes"],
        site_cpu_s=figures["cpu_s"],
        far_cpu_s=(process_usage.sample(peer).cpu_ns - before) / 1e9,
        drops=figures["drops"] if direction is Direction.DOWN else _drops(peer) - drops,
        stall=figures["stall_us"] / figures["span_us"],
    )


def _drops(pid: int) -> int:
    """Return the datagrams that sockets in the namespace of ``pid`` lost for want of buffer."""
    lines = Path(f"/proc/{pid}/net/snmp").read_text(encoding="ascii").splitlines()
    names, values = (line.split() for line in lines if line.startswith("Udp:"))
    return int(values[names.index("RcvbufErrors")])


def iperf(place: LoadLine, direction: Direction, rate_bps: float, seconds: int, *, udp: bool) -> Cost:
    """Run a test of iperf3, UDP or TCP. Raises LoadToolError."""
    port = str(place.iperf_port)
    options = ["-u", "-l", str(PAYLOAD)] if udp else []
    options += ["-R"] if direction is Direction.DOWN else []
    rate = str(round(rate_bps * IPERF_SHARE))
    asking = place.at_site(
        "iperf3", "-c", place.far_address, "-p", port, "-b", rate, "-t", str(seconds), "-J", *options
    )
    with _started(place.at_far("iperf3", "-s", "-1", "--forceflush", "-p", port)) as server:
        try:
            _await_line(server, b"listening")
            with _started(asking) as client:
                report, site_cpu_s = _ended(client, seconds + SLACK_S)
            _, far_cpu_s = _ended(server, SLACK_S)
        finally:
            server.kill()
    return _iperf_cost(report, site_cpu_s, far_cpu_s, udp=udp)


def _iperf_cost(report: bytes, site_cpu_s: float, far_cpu_s: float, *, udp: bool) -> Cost:
    try:
        document = json.loads(report)
    except ValueError:
        raise LoadToolError(f"iperf3: {report[-300:]!r}") from None
    if "error" in document:
        raise LoadToolError(f"iperf3: {document['error']}")
    end = document["end"]
    sent, received = end["sum_sent"], end["sum_received"]
    if not received["bytes"]:
        raise LoadToolError("iperf3 received nothing")
    share = IPERF_SHARE if udp else 1.0
    return Cost(
        sent_bps=sent["bits_per_second"] / share,
        received_bps=received["bits_per_second"] / share,
        loss=end["sum"]["lost_percent"] / 100 if udp else 0.0,
        received_bytes=round(received["bytes"] / share),
        site_cpu_s=site_cpu_s,
        far_cpu_s=far_cpu_s,
    )


def _started(command: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(  # noqa: S603 -- our own arguments, no shell
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def _output(process: "subprocess.Popen[bytes]") -> IO[bytes]:
    if process.stdout is None:
        raise ValueError("the process was started without a pipe")
    return process.stdout


def _await_line(process: "subprocess.Popen[bytes]", sign: bytes) -> None:
    while line := _output(process).readline():
        if sign in line:
            return
    raise LoadToolError("the iperf3 server ended before it listened")


def _ended(process: "subprocess.Popen[bytes]", within_s: float) -> tuple[bytes, float]:
    """Wait for the end of a process; return its output and CPU seconds."""
    pipe, limit, output = _output(process), time.monotonic() + within_s, b""
    os.set_blocking(pipe.fileno(), False)
    while time.monotonic() < limit:
        output += pipe.read() or b""
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return output + (pipe.read() or b""), usage.ru_utime + usage.ru_stime
        time.sleep(0.02)
    process.kill()
    process.wait()
    raise LoadToolError(f"iperf3 did not end within {within_s:g} s: {output[-300:]!r}")


def _client(arguments: Sequence[str]) -> None:
    """Run one test in the measured process and write its figures as JSON; the secret comes on standard
    input.
    """
    address, port, direction, row, seconds = arguments
    secret = sys.stdin.read().encode()
    began = time.process_time()
    report = asyncio.run(
        run_load(
            address, int(port), key_id=KEY_ID, secret=secret, direction=Direction(direction), row=int(row),
            duration_s=int(seconds),
        )
    )  # fmt: skip
    figures = {
        "ending": report.ending, "detail": report.detail, "sent_bps": report.sent_bps,
        "received_bps": report.received_bps, "sent_packets": report.sent_packets, "lost": report.lost,
        "received_bytes": report.received_ip_bytes, "drops": report.receiver_drops,
        "stall_us": report.stall_us, "span_us": max(report.send_span_us, 1),
        "cpu_s": time.process_time() - began,
    }  # fmt: skip
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    _client(sys.argv[1:])
