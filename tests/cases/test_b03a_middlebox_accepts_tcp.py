"""Case B03a: the access line is cut behind a gateway that accepts every TCP connection itself."""

import sys
import time
from pathlib import Path

import pytest

from tests.cases.testbed import INPUTS, CaseTestbed
from wire.records import Cause

ACCEPTOR = INPUTS / "acceptor.py"
PORTAL = """nft -f - <<X
table ip portal {
 chain cpre { type nat hook prerouting priority -100; iifname "e1" tcp dport 1-65535 redirect to :9999; }
 chain cfwd { type filter hook forward priority 0; counter drop; }
 chain cout { type filter hook postrouting priority 300; oifname "e0" counter drop; }
}
X
"""


@pytest.mark.usefixtures("kernel")
def test_b03a_is_an_outage_of_the_line_with_its_begin_and_end(tmp_path: Path) -> None:
    with CaseTestbed(tmp_path) as testbed:
        testbed.start_servers()
        testbed.write_agent_settings()
        testbed.start_agent()
        testbed.wait_until_well()
        before = len(testbed.recorded())
        testbed.start("acceptor", testbed.gateway, sys.executable, str(ACCEPTOR))
        cut_at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        testbed.at(testbed.gateway, PORTAL)
        testbed.wait(lambda: len(testbed.recorded()) > before)
        testbed.wait(lambda: "something answers in the broker's place" in testbed.status())
        mended_at = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
        testbed.at(testbed.gateway, "nft delete table ip portal")
        testbed.stop("acceptor")
        testbed.wait(lambda: testbed.recorded()[-1].end is not None)
        records = testbed.recorded()[before:]
    assert {one.cause for one in records} == {Cause.ACCESS}
    assert {one.outage for one in records} == {records[0].outage}
    begun, ended = records[0], records[-1]
    assert (begun.gateway, begun.first_hop, begun.peer, begun.broker) == (True, False, False, False)
    assert begun.begin.boot_us - begun.begin_error_us <= cut_at <= begun.begin.boot_us
    assert ended.end is not None
    assert ended.end_error_us is not None
    assert ended.end.boot_us - ended.end_error_us <= mended_at <= ended.end.boot_us
    assert ended.impostor
