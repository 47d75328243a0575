"""Kernel links in namespaces. Skipped without root."""

import math
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from agent.line.counters import InterfaceSource
from agent.line.readings import CounterReading, Unavailable
from lab.links.line import DropCause
from lab.netns import inside, names
from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.places import FAR_ADDRESS, INTERFACE, SITE_ADDRESS
from lab.netns.requirements import KernelLinkError
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from wire.records import Direction

pytestmark = pytest.mark.usefixtures("kernel")

PACKETS, PAYLOAD_BYTES = 20_000, 100
LOSS, DUPLICATION = 0.05, 0.03
DISCARD_PORT = 9
listening: list[socket.socket] = []
CREATE_AND_WAIT = """
from lab.netns.links.link import KernelLink
from lab.netns.names import LinkNode
from lab.netns.settings import KernelLinkSettings
with KernelLink(KernelLinkSettings()) as link:
    print(*(link.namespace(end) for end in LinkNode), flush=True)
    input()
"""


def send(destination: str, packets: int = PACKETS) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for _ in range(packets):
            sock.sendto(bytes(PAYLOAD_BYTES), (destination, DISCARD_PORT))


def listen() -> None:
    """Bind a socket that stays open in the process at the far end, for ``last_after_first``."""
    listening.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    listening[0].bind((FAR_ADDRESS, DISCARD_PORT))
    listening[0].settimeout(10)


def last_after_first(packets: int) -> float:
    """Return the seconds from the first to the last of ``count`` arrivals."""
    listening[0].recv(2000)
    began = time.monotonic()
    for _ in range(packets - 1):
        listening[0].recv(2000)
    return time.monotonic() - began


def read_line() -> CounterReading | Unavailable:
    return InterfaceSource(INTERFACE).read()


def within_interval(count: int, of: int, probability: float) -> bool:
    """Compare with the binomial 99.99 % interval (3.9 standard deviations)."""
    return abs(count - of * probability) <= 3.9 * math.sqrt(of * probability * (1 - probability))


def run(link: KernelLink, end: LinkNode, *command: str) -> str:
    ended = subprocess.run(link.inside(end, *command), capture_output=True, text=True, check=True)
    return ended.stdout


def test_loss_and_duplication_follow_the_settings_of_their_direction() -> None:
    settings = KernelLinkSettings(KernelLineSettings(duplication=DUPLICATION), KernelLineSettings(loss=LOSS))
    with KernelLink(settings) as link:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS)
        up = link.counters(Direction.UP)
        before = link.counters(Direction.DOWN)
        inside.call(link.namespace(LinkNode.FAR), send, SITE_ADDRESS)
        down = link.counters(Direction.DOWN)
    lost = up.dropped_packets[DropCause.LOSS]
    assert within_interval(lost, PACKETS, LOSS)
    assert up.delivered_packets == PACKETS - lost
    assert up.delivered_bytes == up.delivered_packets * (PAYLOAD_BYTES + 28)
    assert up.duplicated_packets == 0
    copies = down.duplicated_packets - before.duplicated_packets
    assert within_interval(copies, PACKETS, DUPLICATION)
    assert down.delivered_packets - before.delivered_packets == PACKETS + copies
    assert down.dropped_packets == {}


def test_the_rate_is_an_ip_layer_rate_for_small_packets_too() -> None:
    line, packets = KernelLineSettings(rate=8_000_000, queue=1_000_000), 5000
    with (
        KernelLink(KernelLinkSettings(up=line)) as link,
        inside.executor(link.namespace(LinkNode.FAR)) as far,
    ):
        far.submit(listen).result()
        span = far.submit(last_after_first, packets)
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS, packets)
        # With the Ethernet header counted it would be 11 % longer.
        expected = (packets * (PAYLOAD_BYTES + 28) - line.bucket) * 8 / 8_000_000
        assert span.result() == pytest.approx(expected, rel=0.04)


def test_a_full_queue_drops_without_blocking_the_sender() -> None:
    settings = KernelLinkSettings(up=KernelLineSettings(rate=8_000_000, queue=20_000))
    with KernelLink(settings) as link:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS)
        up = link.counters(Direction.UP)
        sent = inside.call(link.namespace(LinkNode.SITE), read_line)
    assert isinstance(sent, CounterReading)
    assert sent.sent_packets == PACKETS
    assert up.delivered_packets + up.waiting_packets + up.dropped_packets[DropCause.QUEUE_FULL] == PACKETS
    assert up.dropped_packets[DropCause.QUEUE_FULL] > PACKETS / 2


def test_the_interface_counts_the_traffic_of_the_site() -> None:
    with KernelLink(KernelLinkSettings()) as link:
        inside.call(link.namespace(LinkNode.SITE), send, FAR_ADDRESS)
        reading = inside.call(link.namespace(LinkNode.SITE), read_line)
        shown = run(link, LinkNode.SITE, "cat", f"/sys/class/net/{INTERFACE}/statistics/tx_bytes")
    assert isinstance(reading, CounterReading)
    assert reading.sent_ip_bytes == PACKETS * (PAYLOAD_BYTES + 28)
    assert int(shown) == reading.sent_bytes


def test_a_namespace_has_loopback_and_unprivileged_icmp_and_no_way_out() -> None:
    with KernelLink(KernelLinkSettings()) as link:
        for end in (LinkNode.SITE, LinkNode.FAR):
            assert run(link, end, "cat", "/proc/sys/net/ipv4/ping_group_range").split() == ["0", "2147483647"]
            assert "LOWER_UP" in run(link, end, "ip", "link", "show", "lo")
            assert "10.90." in run(link, end, "ip", "route", "show", "default")
        assert run(link, LinkNode.ROUTER, "ip", "route", "show", "default") == ""
        devices = run(link, LinkNode.ROUTER, "ls", "/sys/class/net").split()
    assert devices == ["far", "lo", "site"]


def test_two_links_do_not_collide_and_leave_nothing() -> None:
    with KernelLink(KernelLinkSettings()) as one, KernelLink(KernelLinkSettings()) as other:
        ours = {link.namespace(end) for link in (one, other) for end in LinkNode}
        assert len(ours) == 6
        assert ours <= set(names.present())
    assert not ours & set(names.present())


def fail_inside(link: KernelLink) -> None:
    with link:
        raise ZeroDivisionError


def test_a_crash_inside_the_block_leaves_nothing() -> None:
    link = KernelLink(KernelLinkSettings())
    with pytest.raises(ZeroDivisionError):
        fail_inside(link)
    assert link.namespace(LinkNode.SITE) not in names.present()


def test_a_refusal_of_the_kernel_is_reported_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    link = KernelLink(KernelLinkSettings())
    monkeypatch.setattr("lab.netns.rules.queue", lambda *_: ("qdisc", "replace", "dev", "nowhere"))
    with pytest.raises(KernelLinkError, match=r'^tc -n .* \.\.\.: Cannot find device "nowhere"$'), link:
        pass
    assert not {link.namespace(end) for end in LinkNode} & set(names.present())


def test_namespaces_of_a_killed_creator_are_removed_by_the_next_start() -> None:
    with subprocess.Popen([sys.executable, "-c", CREATE_AND_WAIT], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, text=True) as creator:  # fmt: skip
        assert creator.stdout is not None
        left = creator.stdout.readline().split()
        with KernelLink(KernelLinkSettings()):
            assert set(left) <= set(names.present()), "a living creator's namespaces were removed"
        creator.kill()
    assert len(left) == 3
    with KernelLink(KernelLinkSettings()):
        assert not set(left) & set(names.present())


def test_a_missing_namespace_cannot_be_entered() -> None:
    assert not Path(names.DIRECTORY, "plancher-0-0-0-site").exists()
    with pytest.raises(RuntimeError):
        inside.call("plancher-0-0-0-site", read_line)
