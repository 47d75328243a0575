"""The closed vocabularies of records, and the bounds of their numbers and names."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta

Micros = Annotated[int, Meta(ge=0, le=2**53)]
Count = Annotated[int, Meta(ge=0, le=2**53)]
Signed = Annotated[int, Meta(ge=-(2**53), le=2**53)]
Rate = Annotated[float, Meta(ge=0, le=1e12)]
Ratio = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")]
SiteId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9_-]{0,63}\Z")]
Epoch = Annotated[str, Meta(pattern=r"\A[0-9a-f]{16}\Z")]
Sequence = Annotated[int, Meta(ge=1, le=2**53)]
Session = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z-]{1,64}\Z")]
Dscp = Annotated[int, Meta(ge=0, le=63)]
Text = Annotated[str, Meta(max_length=300)]


class Purpose(StrEnum):
    """Purpose of a measurement. Only ``scheduled`` ones count in a monthly share."""

    SCHEDULED = "scheduled"
    RETEST = "retest"
    PASSIVE = "passive"
    ON_DEMAND = "on-demand"
    CAMPAIGN = "campaign"
    EVENT = "event"  # something changed, and no schedule asked


class Outcome(StrEnum):
    """Outcome of an attempt; ``invalid`` gave values that must not be judged by."""

    OK = "ok"
    FAILED = "failed"
    INVALID = "invalid"
    SKIPPED = "skipped"


class Failure(StrEnum):
    """Reason for an attempt without usable values: the closed vocabulary, grouped by the party at fault."""

    # the agent's own doing
    INTERNAL = "internal-error"
    DEADLINE = "deadline-exceeded"
    CANCELLED = "cancelled"
    SENDER_SLOW = "sender-slow"
    SENDER_STALLED = "sender-stalled"
    SEND_BLOCKED = "send-blocked"
    RECEIVER_SLOW = "receiver-slow"
    COUNTERS = "counters-unavailable"
    CLOCK_STEPPED = "clock-stepped"
    # the configuration's
    CONFIGURATION = "configuration"
    NAME_UNKNOWN = "name-unknown"
    # the peer's
    PEER_REFUSED = "peer-refused"
    PEER_BUSY = "peer-busy"
    PEER_PROTOCOL = "peer-protocol"
    PEER_SLOW = "peer-slow"
    # the site's resolvers'
    SERVFAIL = "servfail"
    REFUSED = "refused"
    WRONG_ANSWER = "wrong-answer"
    # the network's, or nobody's that is visible from here
    NO_ANSWER = "no-answer"
    TEST_PORT_BLOCKED = "test-port-blocked"
    UNREACHABLE = "network-unreachable"
    CONNECTION_LOST = "connection-lost"
    # not tried at all, or given up for the site's sake
    LINE_BUSY = "line-busy"
    MISSED_SLOT = "missed-slot"
    SITE_IN_USE = "site-in-use"
    BUDGET_SPENT = "budget-spent"


class Direction(StrEnum):
    """Seen from the site: ``down`` is towards it."""

    DOWN = "down"
    UP = "up"


class Verdict(StrEnum):
    """Verdict: at least the floor, or not. ``undetermined``: still grey after the repeats."""

    PASS = "pass"  # noqa: S105 -- a verdict, not a password
    FAIL = "fail"
    GREY = "grey"
    UNDETERMINED = "undetermined"
    UNCONFIRMED = "unconfirmed"
    INVALID = "invalid"


class Finding(StrEnum):
    """Finding of one fixed-rate test."""

    CLEAR = "clear"
    QUEUE = "queue"
    POLICED = "policed"
    LOSS = "loss"
    # The path's own delay changed, so that growth of delay is no sign of a queue.
    MOVED = "moved"
    # A queue grew and shrank: the line's rate varies.
    UNSTEADY = "unsteady"
    # The line carried nothing for a while.
    INTERRUPTED = "interrupted"
    BETWEEN = "between"
    INVALID = "invalid"


class LineCounters(StrEnum):
    """Source of the site's own traffic during a test."""

    INLINE = "inline"
    SNMP = "snmp"
    # There are counters, but they cannot have counted the test.
    UNUSABLE = "unusable"
    NONE = "none"


class Standing(StrEnum):
    """Standing of one direction after a sequence of floor verdicts (Wald's sequential test).

    ``suspect`` has failed and is being tested again; only ``condemned`` is to alarm anybody.
    """

    CLEAR = "clear"
    SUSPECT = "suspect"
    CONDEMNED = "condemned"


class Layer(StrEnum):
    """At which layer a contract counts its bits; measured is always the IP layer (RFC 9097)."""

    IP = "ip"
    ETHERNET = "ethernet"
    ETHERNET_WITHOUT_FCS = "ethernet-without-fcs"
    VLAN = "vlan"
    PPPOE = "pppoe"
    ATM_PPPOA = "atm-pppoa"
    ATM_PPPOE = "atm-pppoe"
    TCP = "tcp"


class Algorithm(StrEnum):
    """The load-rate-adjustment algorithm of a search (RFC 9946 section 12.3.8)."""

    B = "B"
    C = "C"


class Bound(StrEnum):
    """Cause of the end of a search below the line's own limit: the maximum is then "at least"."""

    REQUESTED_RATE = "requested-rate"
    PEER = "peer"
    SENDER = "sender"
    TIME = "time"
    BUDGET = "budget"


class Cause(StrEnum):
    """Place of an outage as far as the agent knows: from the site outwards, then the monitoring itself."""

    SITE = "site"  # power or the local network: the gateway does not answer
    ACCESS = "access-line"  # the gateway answers, the first hop beyond it does not
    BEYOND = "beyond-access"  # that hop answers, and nothing behind it
    PEER = "peer"
    BROKER = "broker"
    DNS = "dns"  # the site's resolver does not answer, or gives wrong addresses; the line works
    COLLECTOR = "collector"
    AGENT = "agent-stopped"
    UNKNOWN = "unknown"


class ClockChange(StrEnum):
    """Change of the agent's wall clock."""

    SYNCHRONISED = "synchronised"
    LOST = "synchronisation-lost"
    STEPPED = "stepped"
    PEER = "peer-reported"  # unchanged, but the peer has reported the time since
