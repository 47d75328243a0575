"""The path helper as a program: what it answers when it cannot look."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from agent.probes.path import child as path_child
from agent.probes.path import helper as path_helper
from agent.probes.path import sockets as path_sockets
from wire.path.exchange import PathAnswer, PathRequest, decode_answer
from wire.records import Failure
from wire.stamp.sender import SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

WITHOUT_SCAPY = """
import sys
sys.modules["scapy"] = None
from agent.probes.path import child as path_child
sys.exit(path_child.main())
"""


def request(address: str = "127.0.0.1", count: int = 30) -> bytes:
    sender = SessionSender(SenderSettings(7))
    packets = tuple(sender.packet(0, ErrorEstimate()) for _ in range(count))
    asked = PathRequest(
        address=address,
        port=9,
        dscp=0,
        hops=1,
        packets=1,
        within_s=10,
        authenticated=False,
        test_packets=packets,
    )
    return msgspec.json.encode(asked)


def answered(*command: str, document: bytes, **options: object) -> PathAnswer:
    done = subprocess.run(
        (sys.executable, "-I", *command), input=document, capture_output=True, timeout=60, **options
    )
    assert done.returncode == 0, done.stderr
    return decode_answer(done.stdout)


def may_open_raw_sockets() -> bool:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    effective = next(line for line in status.splitlines() if line.startswith("CapEff"))
    return bool(int(effective.split()[1], 16) >> 13 & 1)


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW: use sudo")
def test_without_scapy_the_answer_names_the_package() -> None:
    found = answered("-c", WITHOUT_SCAPY, document=request())
    assert (found.failure, found.detail) == (Failure.CONFIGURATION, path_child.NO_SCAPY)
    assert "plancher[path]" in found.detail


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW: use sudo")
def test_on_loopback_the_first_hop_is_the_peer() -> None:
    """Nothing listens at the discard port: the peer itself says so."""
    found = answered("-m", "agent.probes.path.child", document=request())
    assert found.values is not None, found
    assert found.values.reached
    assert [(hop.address, hop.answered) for hop in found.values.hops] == [("127.0.0.1", 1)]
    assert found.bytes_sent > 0


def test_without_the_capability_the_answer_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(path_sockets, "open_to", refused)
    monkeypatch.setattr("signal.alarm", lambda _: 0)
    found = path_child.answer(request())
    assert (found.failure, found.detail) == (Failure.CONFIGURATION, path_child.NO_RIGHT)
    assert "CAP_NET_RAW" in found.detail
    assert found.values is None


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become somebody else")
def test_an_ordinary_user_is_refused_by_the_kernel() -> None:
    code = "import os, sys\nos.setuid(65534)\nfrom agent.probes.path import child\nsys.exit(child.main())"
    preloaded = f"import agent.probes.path.child, wire.path.exchange\n{code}"
    assert answered("-c", preloaded, document=request()).failure is Failure.CONFIGURATION


@pytest.mark.skipif(shutil.which("setpriv") is None or os.geteuid() != 0, reason="needs root and setpriv")
def test_one_capability_is_all_that_an_ordinary_user_needs() -> None:
    """As a service manager starts it: no root, CAP_NET_RAW ambient, and no way to gain more."""
    one_right = ("--reuid", "65534", "--clear-groups", "--no-new-privs", "--bounding-set", "-all,+net_raw",
                 "--inh-caps", "-all,+net_raw", "--ambient-caps", "-all,+net_raw")  # fmt: skip
    if subprocess.run(("setpriv", *one_right, sys.executable, "-c", ""), capture_output=True).returncode:
        pytest.skip(f"an ordinary user cannot load {sys.executable}: it was installed for one user")
    done = subprocess.run(
        ("setpriv", *one_right, *path_helper.COMMAND), input=request(), capture_output=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    found = decode_answer(done.stdout)
    assert found.values is not None, found
    assert found.values.reached


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW: use sudo")
def test_it_serves_one_connection_as_a_service_manager_hands_it_over(tmp_path: Path) -> None:
    """Socket activation with ``Accept=yes``: the connection is its standard input and output."""

    async def asked() -> bytes:
        return await path_helper.ask_socket(str(tmp_path / "s"), request(), 100_000)

    def serve(listening: socket.socket) -> int:
        connection, _ = listening.accept()
        with connection:
            return subprocess.call(path_helper.COMMAND, stdin=connection, stdout=connection, timeout=60)

    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        served = pool.submit(serve, listening)
        found = decode_answer(asyncio.run(asked()))
        assert served.result() == 0
    assert found.values is not None, found
    assert found.values.reached


def test_it_does_not_wait_for_a_request_that_never_comes() -> None:
    code = "from agent.probes.path import child\nchild.GRACE_S = 1\nchild.main()"
    with subprocess.Popen((sys.executable, "-I", "-c", code), stdin=subprocess.PIPE) as waiting:
        assert waiting.wait(60) == -signal.SIGALRM


def test_a_missing_route_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: object) -> None:
        raise OSError(101, "Network is unreachable")

    monkeypatch.setattr(path_sockets, "open_to", unreachable)
    monkeypatch.setattr("signal.alarm", lambda _: 0)
    found = path_child.answer(request("198.51.100.9"))
    assert (found.failure, found.detail) == (Failure.UNREACHABLE, "198.51.100.9: Network is unreachable")


@pytest.mark.parametrize("document", [b"", b"{}", json.dumps({"address": "a"}).encode()])
def test_a_malformed_request_is_answered(document: bytes) -> None:
    found = path_child.answer(document)
    assert found.failure is Failure.INTERNAL
    assert found.detail.startswith("no request: ")


@pytest.mark.skipif(not may_open_raw_sockets(), reason="needs CAP_NET_RAW: use sudo")
def test_once_its_sockets_are_open_it_can_open_no_more() -> None:
    code = (
        "import socket\n"
        "from agent.probes.path import sockets as path_sockets\n"
        "with path_sockets.open_to('127.0.0.1', 9):\n"
        "    path_sockets.give_up_rights()\n"
        "    try:\n"
        "        socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)\n"
        "    except PermissionError:\n"
        "        print('refused')\n"
    )
    done = subprocess.run((sys.executable, "-I", "-c", code), capture_output=True, text=True, timeout=60)
    assert (done.stdout, done.stderr) == ("refused\n", "")


def test_the_largest_packet_worth_trying_is_the_interfaces() -> None:
    assert path_sockets.interface_mtu("127.0.0.1") == path_sockets.JUMBO_MTU
    assert path_sockets.interface_mtu("198.51.100.9") == path_sockets.ORDINARY_MTU


def test_importing_the_helper_does_not_load_scapy() -> None:
    code = "import sys, agent.probes.path.child, agent.probes.path.probe\nassert 'scapy' not in sys.modules"
    done = subprocess.run((sys.executable, "-I", "-c", code), capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr
