"""Case B02a: the resolver is dead at the agent's start; the line and all servers are fine."""

from pathlib import Path

import pytest

from tests.cases.testbed import FAR, CaseTestbed
from wire.records import Cause, ReachabilityValues

HOSTS = f"{FAR} peer.test broker.test\n"


@pytest.mark.usefixtures("kernel")
def test_b02a_is_an_outage_of_the_resolver_alone(tmp_path: Path) -> None:
    with CaseTestbed(tmp_path) as testbed:
        testbed.start_servers()
        testbed.resolve(HOSTS)
        testbed.write_agent_settings("peer.test", "broker.test")
        testbed.start_agent()
        testbed.wait_until_well()
        testbed.stop("agent")
        before = len(testbed.recorded())

        def outages() -> list[ReachabilityValues]:
            return [one for one in testbed.recorded()[before:] if one.cause is not Cause.AGENT]

        testbed.resolve("")
        testbed.start_agent()
        testbed.wait(lambda: bool(outages()))
        testbed.wait(lambda: "broker.test:1883, connected, last receipt" in testbed.status())
        testbed.wait(lambda: "stamp dscp 0   ok" in testbed.status())
        wrong = testbed.status().partition("what is wrong")[2]
        assert "peer.test does not resolve" in wrong
        assert f"going on with {FAR}" in wrong
        testbed.resolve(HOSTS)
        testbed.wait(lambda: outages()[-1].end is not None)
        assert {one.cause for one in outages()} == {Cause.DNS}
        answers = [(one.gateway, one.first_hop, one.peer, one.broker) for one in outages()]
        assert set(answers) == {(True, True, True, True)}
