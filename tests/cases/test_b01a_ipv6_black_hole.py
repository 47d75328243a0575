"""Case B01a: peer and broker have addresses of both families, and IPv6 is a black hole from the start."""

import time
from pathlib import Path

import pytest

from tests.cases.testbed import FAR, CaseTestbed

# Outages without end began within 15 s of reachability checks each 2 s.
WITHOUT_OUTAGE_S = 20.0
HOSTS = f"{FAR} srv.test\n2001:db8:3::2 srv.test\n"
CUT = """
nft add table ip6 cut
nft add chain ip6 cut f '{ type filter hook forward priority 0; }'
nft add rule ip6 cut f drop
"""


@pytest.mark.usefixtures("kernel")
def test_b01a_is_a_finding_and_no_outage(tmp_path: Path) -> None:
    with CaseTestbed(tmp_path, with_ipv6=True) as testbed:
        testbed.start_servers(peer_host="0.0.0.0")
        testbed.resolve(HOSTS)
        uplink = {"interval": "1 min", "receipt_timeout": "1 min", "backlog_interval": "30 s"}
        testbed.write_agent_settings("srv.test", "srv.test", uplink=uplink)
        testbed.at(testbed.gateway, CUT)
        testbed.start_agent()
        testbed.wait(lambda: "srv.test:1883, connected, last receipt" in testbed.status())
        testbed.wait(lambda: "2001:db8:3::2" in testbed.status().partition("what is wrong")[2])
        time.sleep(WITHOUT_OUTAGE_S)
        assert testbed.recorded() == []
        status = testbed.status()
        assert "outage" not in status, status
        assert "stamp dscp 0   ok" in status, status
