"""Floor verdicts over kernel links where a short test is easily misled. Skipped without root."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.netns.names import LinkNode
from lab.netns.places import SITE_ADDRESS
from lab.netns.settings import KernelLineSettings, KernelLinkSettings
from lab.testbed.kernel_testbed import KernelTestbed
from tests.processes import wait_until
from tests.starvation import Starvation
from wire.records import Direction, Finding, FloorValues, Verdict

FLOOR = 8_000_000
TRIES = 4

pytestmark = pytest.mark.usefixtures("kernel")


def both(line: KernelLineSettings) -> KernelLinkSettings:
    return KernelLinkSettings(line, line)


def decided(
    testbed: KernelTestbed, direction: Direction, starvation: Starvation, *, pre_drain: bool = False
) -> FloorValues:
    """Return the first verdict that is neither invalid nor undetermined.

    A busy machine can spoil single measurements; on a starved one the test is skipped.
    """
    for _ in range(TRIES):
        reading = asyncio.run(testbed.verdict(direction, FLOOR, pre_drain=pre_drain))
        assert isinstance(reading.values, FloorValues), reading.detail
        if reading.values.verdict not in (Verdict.INVALID, Verdict.UNDETERMINED):
            break
    starvation.expect(
        reading.values.verdict not in (Verdict.INVALID, Verdict.UNDETERMINED),
        f"{reading.values.verdict} {TRIES} times: {reading.failure}",
    )
    return reading.values


SENDER = """
import socket, sys, time
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
due = time.monotonic()
while True:
    sock.sendto(bytes(1200 - 28), (sys.argv[1], 9))
    due += 1200 * 8 / float(sys.argv[2])
    time.sleep(max(0.0, due - time.monotonic()))
"""


@contextmanager
def download(testbed: KernelTestbed, bps: float) -> Iterator[None]:
    """Send datagrams to the site's discard port at an IP-layer rate."""
    command = testbed.link.inside(LinkNode.FAR, sys.executable, "-c", SENDER, SITE_ADDRESS, str(bps))
    before = testbed.link.counters(Direction.DOWN).delivered_bytes
    with subprocess.Popen(command) as sending:
        try:
            wait_until(
                lambda: testbed.link.counters(Direction.DOWN).delivered_bytes > before + 300_000, "a download"
            )
            yield
        finally:
            sending.kill()


@pytest.mark.parametrize("direction", list(Direction))
def test_a_bucket_of_two_megabytes_over_a_slow_line_is_found(
    tmp_path: Path, direction: Direction, starvation: Starvation
) -> None:
    line = KernelLineSettings(rate=6_000_000, queue=75_000, burst=2_000_000)
    with KernelTestbed(tmp_path, both(line)) as testbed:
        values = decided(testbed, direction, starvation, pre_drain=True)
    assert values.verdict is Verdict.FAIL
    assert values.capacity_bps == pytest.approx(6e6, rel=0.02)
    # A sender that is held up sends less in the time of a pre-drain.
    predrained = values.tests[0].predrain_bytes
    starvation.expect(predrained > 2_000_000, f"pre-drain of {predrained} B")
    assert values.tests[-1].series


def test_a_pre_drain_does_not_fail_a_good_line(tmp_path: Path, starvation: Starvation) -> None:
    # A bucket of 10 ms: with less, a link loses as much of its rate as its processor is taken away.
    line = KernelLineSettings(rate=8_400_000, queue=420_000, burst=10_500)
    with KernelTestbed(tmp_path, both(line)) as testbed:
        values = decided(testbed, Direction.DOWN, starvation, pre_drain=True)
    starvation.expect(values.verdict is Verdict.PASS, str(values.verdict))


def test_a_policer_is_distinguished_from_random_loss(tmp_path: Path, starvation: Starvation) -> None:
    (tmp_path / "policer").mkdir()
    (tmp_path / "lossy").mkdir()
    with KernelTestbed(
        tmp_path / "policer", both(KernelLineSettings(rate=7_500_000, policer=True))
    ) as testbed:
        policed = decided(testbed, Direction.DOWN, starvation)
    lossy_line = KernelLineSettings(rate=20_000_000, queue=250_000, loss=0.05)
    with KernelTestbed(tmp_path / "lossy", both(lossy_line)) as testbed:
        lossy = decided(testbed, Direction.DOWN, starvation)
    assert policed.verdict is Verdict.FAIL
    finding = policed.tests[-1].finding
    starvation.expect(finding is Finding.POLICED, f"a policer is found to be {finding}")
    assert lossy.verdict is Verdict.PASS
    assert lossy.loss_ratio == pytest.approx(0.05, abs=0.03)


@pytest.mark.parametrize(("rate", "right"), [(7_400_000, Verdict.FAIL), (8_600_000, Verdict.PASS)])
def test_the_sites_own_download_does_not_change_the_verdict(
    tmp_path: Path, rate: int, right: Verdict, starvation: Starvation
) -> None:
    line = KernelLineSettings(rate=rate, queue=rate // 80)
    with KernelTestbed(tmp_path, both(line)) as testbed, download(testbed, 3e6):
        values = decided(testbed, Direction.DOWN, starvation)
    assert values.verdict is right
    (test,) = values.tests
    assert test.ended_early
    assert test.other_traffic_bps is not None
    carried = test.other_traffic_bps + test.received_bps
    starvation.expect(carried == pytest.approx(rate, rel=0.02), f"{carried} bit/s over a line of {rate}")
