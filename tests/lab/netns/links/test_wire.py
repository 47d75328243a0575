"""Wires in namespaces. Skipped without root.

Delays have only a lower bound here: a busy machine makes packets late, and the log reports how late.
"""

import os
import signal
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab.links.line import DropCause
from lab.netns import inside
from lab.netns.links.link import KernelLink
from lab.netns.links.passages import Passage
from lab.netns.links.tap import Tap
from lab.netns.names import LinkNode
from lab.netns.places import FAR_ADDRESS, SITE_ADDRESS
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings, WirePlace
from tests.processes import wait_until
from wire.records import Direction

pytestmark = pytest.mark.usefixtures("kernel")

PORT = 9009
MS = 10**6
listening: list[socket.socket] = []


def listen(address: str) -> None:
    """Bind a socket that stays open in the process inside the namespace."""
    listening.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    listening[0].bind((address, PORT))
    listening[0].settimeout(10)


def received(count: int) -> list[int]:
    """Return the numbers of the next datagrams in their order of arrival."""
    return [struct.unpack_from("!I", listening[0].recv(2000))[0] for _ in range(count)]


def send(address: str, count: int, spacing_s: float = 0.0, payload: int = 100) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for number in range(count):
            sock.sendto(struct.pack("!I", number) + bytes(payload - 4), (address, PORT))
            time.sleep(spacing_s)


def carried(
    settings: KernelLinkSettings, count: int, spacing_s: float = 0.0
) -> tuple[list[int], list[Passage]]:
    """Send packets up; return their numbers in order of arrival, and the log of the wire."""
    with KernelLink(settings) as link, inside.executor(link.namespace(LinkNode.FAR)) as far:
        far.submit(listen, FAR_ADDRESS).result()
        arrived = far.submit(received, count)
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, count, spacing_s)
        return arrived.result(), link.log(Direction.UP)


def number_of(passage: Passage) -> int:
    number: int = struct.unpack_from("!I", passage.head, 28)[0]
    return number


def test_each_packet_is_delayed_and_logged() -> None:
    line = KernelLineSettings(delay=20 * MS)
    arrived, log = carried(KernelLinkSettings(up=line, logged=True), 300, 0.001)
    assert arrived == list(range(300))
    assert [number_of(one) for one in log] == arrived
    assert all(one.ip_bytes == 128 for one in log)
    assert all(one.delay_ns is not None and one.delay_ns >= 20 * MS for one in log)


def test_jitter_does_not_reorder() -> None:
    line = KernelLineSettings(delay=MS, jitter=30 * MS, seed=3)
    arrived, log = carried(KernelLinkSettings(up=line, logged=True), 200, 0.001)
    assert arrived == list(range(200))
    delays = [one.delay_ns or 0 for one in log]
    assert max(delays) - min(delays) > 15 * MS


def test_a_share_of_packets_is_overtaken() -> None:
    line = KernelLineSettings(reordering=0.1, reordering_delay=20 * MS, seed=1)
    arrived, log = carried(KernelLinkSettings(up=line, logged=True), 500, 0.001)
    left = sorted(log, key=lambda one: one.left_ns or 0)
    assert [number_of(one) for one in left] == arrived
    overtaken = sum(number < max(arrived[:place], default=0) for place, number in enumerate(arrived))
    held = sum((one.delay_ns or 0) >= 20 * MS for one in log)
    assert 20 <= held <= 90
    assert abs(overtaken - held) <= 20


def test_the_direction_without_a_wire_is_not_delayed() -> None:
    settings = KernelLinkSettings(down=KernelLineSettings(delay=20 * MS), logged=True)
    with KernelLink(settings) as link:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, 10)
        inside.call(link.namespace(LinkNode.FAR), send, SITE_ADDRESS, 20)
        wait_until(lambda: sent_through(link) == 20, "20 packets have left the link")
        assert all((one.delay_ns or 20 * MS) >= 20 * MS for one in link.log(Direction.DOWN))
        assert min(one.delay_ns or 20 * MS for one in link.log(Direction.UP)) < 20 * MS
        assert len(wire_processes(os.getpid())) == 1


def sent_through(link: KernelLink) -> int:
    numbered = [one for one in link.log(Direction.DOWN) if one.ip_bytes == 128]
    return sum(one.left_ns is not None for one in numbered)


@pytest.mark.parametrize("place", WirePlace)
def test_the_rate_is_the_same_with_the_wire_before_and_after_the_queue(place: WirePlace) -> None:
    line = KernelLineSettings(rate=8_000_000, queue=1_000_000, delay=5 * MS, wire_place=place)
    with (
        KernelLink(KernelLinkSettings(up=line, logged=True)) as link,
        inside.executor(link.namespace(LinkNode.FAR)) as far,
    ):
        far.submit(listen, FAR_ADDRESS).result()
        arrived = far.submit(received, 400)
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, 400, 0.0, 1472)
        assert arrived.result() == list(range(400))
        counters = link.counters(Direction.UP)
        log = link.log(Direction.UP)
    assert (counters.delivered_packets, counters.delivered_bytes) == (400, 400 * 1500)
    shaped_s = (400 * 1500 - line.bucket) * 8 / 8_000_000
    # The first packet meets no queue, the last the whole of it; both meet the wire.
    first, last = log[0].delay_ns or 0, (log[-1].left_ns or 0) - log[0].entered_ns
    assert first >= 5 * MS
    assert last / 1e9 > shaped_s * 0.9


def test_an_overflowed_tap_counts_its_losses() -> None:
    with KernelLink(KernelLinkSettings(logged=True)) as link, small_tap(link) as tap:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, 2000)
        wait_until(lambda: len(link.log(Direction.UP)) >= 2000, "all have passed")
        assert tap.overflowed >= 2000 - 512
        assert any(not seen.outgoing for seen in tap.read())


def small_tap(link: KernelLink) -> Tap:
    return Tap(link.namespace(LinkNode.ROUTER), "site", packets=500)


def test_a_lost_packet_has_an_entry_and_no_exit() -> None:
    settings = KernelLinkSettings(up=KernelLineSettings(loss=0.2), logged=True)
    with KernelLink(settings) as link:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, 500)
        log = link.log(Direction.UP)
        lost = link.counters(Direction.UP).dropped_packets[DropCause.LOSS]
    assert lost > 0
    assert sum(one.left_ns is None for one in log) == lost


def test_a_link_without_a_log_refuses_to_read_it() -> None:
    with KernelLink(KernelLinkSettings()) as link:
        link.forget_log()
        with pytest.raises(KernelLinkError, match=r"^this link has no log"):
            link.log(Direction.UP)


def test_the_end_of_a_wires_process_is_reported() -> None:
    with KernelLink(KernelLinkSettings(up=KernelLineSettings(delay=MS), logged=True)) as link:
        process = wire_processes(os.getpid())
        assert len(process) == 1
        os.kill(process[0], signal.SIGKILL)
        with pytest.raises(KernelLinkError, match=r"^the process of a wire has ended \(status -9\)$"):
            wait_until(lambda: bool(link.log(Direction.UP)), "its end is noticed")


def test_wires_end_with_their_killed_creator() -> None:
    code = (
        "from lab.netns.links.link import KernelLink\n"
        "from lab.netns.settings import KernelLineSettings as Line, KernelLinkSettings as Link\n"
        "with KernelLink(Link(Line(delay=1), Line(delay=1))): print('up', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as creator:
        assert creator.stdout is not None
        creator.stdout.readline()
        wires = wire_processes(creator.pid)
        assert len(wires) == 2
        creator.kill()
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in wires), "the wires end")


def wire_processes(creator: int) -> list[int]:
    children = Path(f"/proc/{creator}/task/{creator}/children").read_text().split()
    return [int(pid) for pid in children if b"wire_process" in Path(f"/proc/{pid}/cmdline").read_bytes()]
