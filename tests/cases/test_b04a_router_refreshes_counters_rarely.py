"""Case B04a: the site downloads 14 of 20 Mbit/s, and the router refreshes its counters each 15 or 60 s."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cases.testbed import INPUTS, CaseTestbed
from tests.servers import require
from tests.starvation import Starvation

FAKE = Path(__file__).parents[1] / "agent" / "line" / "fake_snmp.py"
SNMP = {"host": "10.77.1.2", "port": 1161, "interface": "wan0", "community": "public"}
DOWNLOAD = "-c 10.77.1.1 -u -b 14M -l 1172 -t 170"


@pytest.fixture(scope="module")
def testbed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CaseTestbed]:
    with CaseTestbed(tmp_path_factory.mktemp("b04a")) as testbed:
        testbed.start_servers(with_collector=False)
        testbed.at(testbed.hop, "tc qdisc add dev e1 root tbf rate 20300kbit burst 10k latency 100ms")
        for program in (FAKE, INPUTS / "gwfake.py"):
            shutil.copy(program, testbed.folder)
        testbed.write_agent_settings(
            floor={"down": "8 Mbit/s", "up": None, "site_hours": "never", "quiet_hours": "never"},
            line_counters={"source": "snmp", "snmp": SNMP},
        )
        yield testbed


def verdict(testbed: CaseTestbed, refresh_s: int) -> tuple[int, str]:
    """Exit status and verdict beside a router of this refresh."""
    router = (str(testbed.folder / "gwfake.py"), "1161", str(refresh_s), "e0")
    testbed.start("snmp", testbed.gateway, sys.executable, *router)
    try:
        code, record = testbed.measure_floor_down()
    finally:
        testbed.stop("snmp")
    return code, record["values"]["verdict"]


@pytest.mark.usefixtures("kernel")
def test_b04a_an_idle_line_passes(testbed: CaseTestbed) -> None:
    assert verdict(testbed, 0) == (0, "pass")


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("refresh_s", [0, 15, 60])
def test_b04a_a_downloading_site_never_fails(
    testbed: CaseTestbed, refresh_s: int, starvation: Starvation
) -> None:
    iperf = str(require("iperf3"))
    testbed.start("server", testbed.site, iperf, "-s", "--forceflush", sign="listening")
    testbed.start("download", testbed.far, iperf, *DOWNLOAD.split(), "--forceflush", sign="connected")
    try:
        found = verdict(testbed, refresh_s)
        assert found[1] != "fail"
        starvation.expect(found == (2, "unconfirmed"), str(found))
    finally:
        testbed.stop("download")
        testbed.stop("server")
