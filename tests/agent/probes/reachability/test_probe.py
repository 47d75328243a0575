import pytest

from agent.probes.reachability.probe import ReachabilitySnapshot
from agent.probes.reachability.rules.network_view import Egress, EgressKind, Target
from tests.collector import examples
from wire.records import Failure, ReachabilityValues

OUTAGE = examples.outage(1, 0).values
BOTH = "peer answers, broker answers"


@pytest.mark.parametrize(("peer", "broker", "nameless", "outage", "words", "failure"), [
    (True, True, {}, None, BOTH, None),
    (False, True, {}, OUTAGE, "peer does not answer, broker answers", None),
    (True, False, {}, None, "peer answers, broker does not answer", Failure.NO_ANSWER),
    (False, True, {Target.PEER: "pop.example"}, None, "peer pop.example does not resolve, broker answers",
     Failure.NAME_UNKNOWN),
    (True, False, {Target.BROKER: "mq.example"}, None, "peer answers, broker mq.example does not resolve",
     Failure.NAME_UNKNOWN),
])  # fmt: skip
def test_what_is_silent_is_never_taken_for_good(
    peer: bool,
    broker: bool,
    nameless: dict[Target, str],
    outage: ReachabilityValues | None,
    words: str,
    failure: Failure | None,
) -> None:
    found = ReachabilitySnapshot(
        egress=Egress(EgressKind.DIRECT),
        gateway=None,
        first_hop=None,
        peer=peer,
        broker=broker,
        gateway_name=None,
        hop_name=None,
        outage=outage,
        nameless=nameless,
    )
    assert (str(found), found.failure) == (words, failure)
