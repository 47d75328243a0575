"""Floors on lines that carry frames, in packets of the sizes of our peer and of foreign ones."""

import asyncio
from pathlib import Path

import pytest

from agent.load.rules.validity import SENDERS
from agent.probes.floor.contract import Contract
from agent.probes.floor.rules import decision, signs
from lab.netns.links.link import tool
from lab.netns.names import LinkNode
from lab.netns.settings import KernelLinkSettings
from lab.testbed.kernel_testbed import KernelTestbed
from tests.lab.conftest import kernel  # noqa: F401 -- a fixture
from tests.starvation import Starvation
from tests.wire.udpstp.simulation import Way, World, plan_for
from wire.records import Direction, FloorValues, Layer, Verdict

BOTH = pytest.mark.parametrize("direction", list(Direction))
SMALL = 125
FRAMES = [
    (Layer.ETHERNET, 18),
    (Layer.ETHERNET_WITHOUT_FCS, 14),
    (Layer.VLAN, 22),
    (Layer.PPPOE, 26),
]


def verdict(
    direction: Direction, contract: Contract, line_bps: float, frame_bytes: int, packet_bytes: int | None
) -> Verdict:
    """Verdict of one test of a whole floor over a line whose frames have this rate."""
    world = World()
    way = Way(rate=line_bps, frame_bytes=frame_bytes, queue_ms=1000)
    if direction is Direction.DOWN:
        world.down = way
    else:
        world.up = way
    row = round(contract.bps / 1e6)
    seconds = 4 if packet_bytes else 2
    report = world.run(plan_for(direction, row=row, seconds=seconds, packet_bytes=packet_bytes))
    floor_bps = contract.floor_for(report.sent_ip_bytes / report.sent_packets)
    return decision.verdict_of(signs.judge(report, floor_bps, None), floor_bps)


@BOTH
@pytest.mark.parametrize(("line", "right"), [(1.045, Verdict.PASS), (0.955, Verdict.FAIL)])
def test_floor_1_is_tested_in_full_size_packets(direction: Direction, line: float, right: Verdict) -> None:
    """Shaped as the kernel's tbf shapes: 14 bytes of frame count."""
    assert verdict(direction, Contract(1e6), line * 1e6 * 1514 / 1500, 14, 1250) is right


@BOTH
@pytest.mark.parametrize(("layer", "frame_bytes"), FRAMES)
@pytest.mark.parametrize("packet_bytes", [1250, 500, None])
@pytest.mark.parametrize(("share", "right"), [(1.03, Verdict.PASS), (0.95, Verdict.FAIL)])
def test_a_contract_of_frames_is_converted_by_the_sizes_sent(
    direction: Direction,
    layer: Layer,
    frame_bytes: int,
    packet_bytes: int | None,
    share: float,
    right: Verdict,
) -> None:
    assert verdict(direction, Contract(2e6, layer), share * 2e6, frame_bytes, packet_bytes) is right


def test_small_packets_of_a_foreign_peer_refute_no_contract_at_the_ip_layer() -> None:
    contract = Contract(1e6)
    # A line of 1.05 Mbit/s of Ethernet carries 0.918 in packets of 125 bytes: no proof of less than 1.
    assert not contract.surely_missed(1.05e6 * SMALL / (SMALL + 18), SMALL)
    assert contract.surely_missed(0.95e6 * SMALL / (SMALL + 18), SMALL)
    assert contract.surely_missed(0.97e6, 1250)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("filtered", [False, True])
def test_a_path_with_a_small_mtu_gets_a_verdict(
    tmp_path: Path, filtered: bool, starvation: Starvation
) -> None:
    """Case B17: a path MTU of 1200 and a floor of 20 Mbit/s, with and without the routers' messages."""
    with KernelTestbed(tmp_path, KernelLinkSettings()) as testbed:
        router = testbed.link.namespace(LinkNode.ROUTER)
        for device in (LinkNode.SITE, LinkNode.FAR):
            tool("ip", "-n", router, "link", "set", "dev", device, "mtu", "1200")
        if filtered:
            rules = (
                "table ip quiet { chain out { type filter hook output priority 0;"
                " icmp type destination-unreachable drop; }; }\n"
            )
            tool(*testbed.link.inside(LinkNode.ROUTER, "nft", "-f", "-"), stdin=rules)
        for direction in Direction:
            reading = asyncio.run(testbed.verdict(direction, 20_000_000))
            assert isinstance(reading.values, FloorValues), reading
            assert {test.sent_packets > 1000 for test in reading.values.tests} == {True}
            # A busy machine holds up the sender of 20 Mbit/s.
            is_right = reading.values.verdict is Verdict.PASS or reading.failure in SENDERS
            starvation.expect(is_right, f"{reading.values.verdict}, {reading.failure}")
