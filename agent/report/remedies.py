"""Remedies: the party at fault for each failure, and the next step, for a deployer on site."""

from collections.abc import Mapping

from wire.records import Cause, Failure, ReachabilityValues

REMEDIES: dict[Failure, str] = {
    Failure.INTERNAL: "the agent: a bug; the log has its traceback, please report it",
    Failure.DEADLINE: "the agent: it did not get done in time; is this machine overloaded?",
    Failure.CANCELLED: "nobody: the agent was stopped while measuring",
    Failure.SENDER_SLOW: "this machine: it cannot send fast enough; close what else runs on it",
    Failure.SENDER_STALLED: "this machine: it stood still while sending; close what else runs on it",
    Failure.RECEIVER_SLOW: "this machine: it cannot take packets in fast enough; close what else runs on it",
    Failure.SEND_BLOCKED: "this machine: its network interface did not take the packets",
    Failure.COUNTERS: "the configuration, or the router that counts: line_counters cannot be read",
    Failure.CLOCK_STEPPED: "this machine: its clock was set during the test; wait until it is synchronised",
    Failure.CONFIGURATION: "the configuration: see the detail, then run `plancher-agent check`",
    Failure.NAME_UNKNOWN: "the configuration or the site's DNS: peer.host does not resolve",
    Failure.PEER_REFUSED: "the peer: is it running, are peer's ports and key the same there?",
    Failure.PEER_BUSY: "the peer: it has no room for a test just now; the next slot will try again",
    Failure.PEER_PROTOCOL: "the peer: its answers do not fit; compare versions, ports and keys at both ends",
    Failure.PEER_SLOW: "the peer: it cannot send fast enough",
    Failure.SERVFAIL: "the site's resolver, or the servers of that name: the question failed there",
    Failure.REFUSED: "the site's resolver: it does not serve this site; see dns.resolvers",
    Failure.WRONG_ANSWER: "the site's resolver, or a portal or filter on the way: the answer is not right",
    Failure.NO_ANSWER: "the line, a firewall, the peer, or different keys (or key ids) at both ends",
    Failure.TEST_PORT_BLOCKED: "a firewall between site and peer: it has to pass the peer's test ports too",
    Failure.UNREACHABLE: "this machine or the line: no route to the peer",
    Failure.CONNECTION_LOST: "the line or the peer: the connection broke off",
    Failure.LINE_BUSY: "nobody: another probe had the line for too long",
    Failure.MISSED_SLOT: "this machine: it slept, or the run before took the whole slot",
    Failure.SITE_IN_USE: "nobody: the site needed its line, the measurement gave way",
    Failure.BUDGET_SPENT: "the configuration: the byte budget of the day or month is spent (see capacity)",
}

OUTAGES: dict[Cause, str] = {
    Cause.SITE: "the site: is the router on, is the cable in?",
    Cause.ACCESS: "the access line: tell the supplier",
    Cause.BEYOND: "the supplier's network beyond the access line: tell the supplier",
    Cause.PEER: "the peer: whoever runs it is to look at it",
    Cause.BROKER: "the broker: see what is said of it",
    Cause.DNS: "the site's resolver (DNS): it does not answer, or gives wrong addresses",
    Cause.COLLECTOR: "the collector: whoever runs it is to look at it",
    Cause.AGENT: "this agent: it was not running",
    Cause.UNKNOWN: "cause unknown: see who answers and who does not",
}

IMPOSTOR = (
    "something on the way answers in the broker's place and does not prove to be it:"
    " a portal, an accelerator or a firewall (or the broker hangs)"
)


def outage_advice(outage: ReachabilityValues) -> str:
    """Advice about an outage, with a word about whoever answers in the broker's place."""
    remedy = OUTAGES[outage.cause]
    return f"{remedy}; {IMPOSTOR}" if outage.impostor else remedy


def advice(failure: Failure, detail: str, of_probe: Mapping[Failure, str] | None = None) -> str:
    """Describe a failure, if a detail is known, with its remedy in brackets.

    ``of_probe`` are a probe's own remedies, which come first.
    """
    remedy = (of_probe or {}).get(failure) or REMEDIES[failure]
    return f"{detail} ({remedy})" if detail else remedy
