"""One load test: the plan that the client starts from, and the report that it ends with.

A report has the same fields whichever end sent the load. All counts are of Load PDUs with testAction 0; the
others are part of ``bytes_sent`` and ``bytes_received`` alone. IP-layer bytes are UDP payload plus 28 (IPv4)
or 48 (IPv6) per datagram (RFC 9097 §5).
"""

from enum import StrEnum

from msgspec import Struct

from wire.records import Algorithm, Direction
from wire.udpstp.rates import RateTable

Address = tuple[str, int] | tuple[str, int, int, int]


class Search(Struct, frozen=True, kw_only=True):
    """Search for the capacity by the server (§7.1), instead of a fixed rate.

    ``start_row`` None begins at row 0, the RFC's default. ``byte_limit`` bounds the IP-layer bytes on the
    client's line in both directions together; the test ends in time to stay below it.
    """

    algorithm: Algorithm = Algorithm.B
    start_row: int | None = None
    byte_limit: int | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """Parameters of one test. ``secret`` is never shown.

    ``row`` is the row to send at, or the highest that a ``search`` may reach. ``ident`` is random and not
    zero (§6.1). ``address`` is the server's control address. ``auth_offset_s`` is the peer's time minus this
    host's. ``packet_bytes`` is the size of all packets (IP), None for the default table; it is offered first,
    and what the peer has accepted later.
    """

    address: Address
    ident: int
    key_id: int
    secret: bytes
    direction: Direction
    row: int
    duration_s: int
    dscp: int = 0
    auth_offset_s: float = 0.0
    search: Search | None = None
    packet_bytes: int | None = None

    @property
    def table(self) -> RateTable:
        """Sending-rate table of the test."""
        return RateTable(self.packet_bytes)

    @property
    def ipv6(self) -> bool:
        """True for a test over IPv6."""
        return len(self.address) == 4

    @property
    def has_drain_probes(self) -> bool:
        """True for a load that is followed by probes: a search judges by its rates alone."""
        return self.search is None

    def __repr__(self) -> str:
        what = f"row {self.row}" if self.search is None else f"search to row {self.row}"
        return f"Plan({self.direction} {what} {self.duration_s} s key {self.key_id})"


def session_id(auth_time: int, ident: int, test_port: int = 0) -> str:
    """Format the session id that both ends write into their records of a test.

    Second and ``ident`` alone meet by chance, four times a day among 6,000 sites. A peer never gives one test
    port to two tests at a time, so with it two tests of a peer differ. Without a port no test was accepted.
    """
    port = f"-{test_port:04x}" if test_port else ""
    return f"{auth_time:08x}-{ident:04x}{port}"


class Ending(StrEnum):
    """Reason why a load test ended. Only ``completed`` ran for its planned duration."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    """This agent stopped it early, on request of its caller or at the byte limit."""
    STOPPED_BY_PEER = "stopped-by-peer"
    WATCHDOG = "watchdog"
    """The peer was silent for 3 s during the test (RFC 9946 §6.1)."""
    REFUSED = "refused"
    """The peer answered with a refusal; ``refusal`` is its code."""
    COERCED = "coerced"
    """The peer would have run another test than the planned one."""
    NO_ANSWER = "no-answer"
    TEST_PORT_SILENT = "test-port-silent"
    """The set-up was answered with the right key; the test port that it named answers nothing."""
    BAD_AUTHENTICATION = "bad-authentication"
    """The peer answered with another key or another time of day."""
    BAD_RESPONSE = "bad-response"
    NAME_UNKNOWN = "name-unknown"
    """The peer's host name has no address."""
    NOT_LISTENING = "not-listening"
    """The peer's host reports a closed port."""
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    """This host refuses to send to the peer."""
    LOCAL_ERROR = "local-error"


class LoadInterval(Struct, frozen=True, kw_only=True):
    """About 50 ms at the load receiver; ``offset_us`` is counted from the start of the first interval.

    Delays are one-way, in microseconds above the smallest of the whole test; None where no packet gave one.
    Down, they have the precision of the kernel's timestamps. Up, minimum and maximum are whole
    milliseconds, and the mean is as precise as the peer's sum over the interval (RFC 9946 §8.2).
    """

    offset_us: int
    duration_us: int
    datagrams: int
    ip_bytes: int
    lost: int
    reordered: int
    duplicated: int
    delay_mean_us: float | None
    delay_min_us: float | None
    delay_max_us: float | None

    @property
    def distinct_ip_bytes(self) -> float:
        """IP-layer bytes without those of duplicates, which have the interval's mean size."""
        return self.ip_bytes * (self.datagrams - self.duplicated) / self.datagrams if self.datagrams else 0.0


class DrainSample(Struct, frozen=True):
    """Smallest one-way delay of probes that were sent after the load, while its queue drained and later.

    ``offset_us`` counts from the arrival of the load's last packet. ``delay_us`` is above the same minimum as
    the delays of the load; it is negative where the path became shorter.
    """

    offset_us: int
    delay_us: float


class SentInterval(Struct, frozen=True, kw_only=True):
    """Time between two Status PDUs at the sender of a search; ``offset_us`` is counted from its first packet.

    ``requested_bps`` is the IP-layer rate that the server requested, ``ip_bytes`` the bytes sent.
    """

    offset_us: int
    duration_us: int
    requested_bps: float
    ip_bytes: int


class LoadSoFar(Struct, frozen=True):
    """Counts of a running load, for control during the test; the report has the exact figures.

    ``line_bytes`` are the IP-layer bytes on this agent's line: received in the direction down, sent up.
    ``packets`` are known to have arrived, ``lost_packets`` are missing. ``delay_us`` is the newest one-way
    delay above the smallest. ``sent_packets`` are those of this agent, 0 in the direction down.
    """

    line_bytes: int = 0
    packets: int = 0
    lost_packets: int = 0
    delay_us: int = 0
    sent_packets: int = 0


class LoadReport(Struct, frozen=True, kw_only=True):
    """One test as the client saw it; fields of a phase that was not reached are zero.

    Searches have an ``algorithm``. Their ``row`` and ``planned_bps`` are the highest that was asked for, and
    ``planned_packets`` is 0. ``bytes_spent`` is true where the byte limit ended the test early.

    Sender:

    - ``send_span_us``: time from the first to the last packet.
    - ``stall_us``: sum of the schedule's shifts because the sender was later than its catch-up allows.
      Always 0 for a search down, whose schedule is not known.
    - ``longest_gap_us``: longest pause between two packets.
    - ``blocked_sends``: packets that the local kernel refused. They are not in ``sent_packets``.
    - ``backoff_steps``: rate reductions because feedback was missing (RFC 9097 §8.1).
    - ``sent_intervals``: series of the sender, for a search up only.

    Down, these are inferred from sequence numbers and send stamps of the packets received. Packets lost
    after the last arrival are then known only if the peer's stop arrived.

    Receiver:

    - ``received_packets``: includes ``duplicated``.
    - ``lost``: packets sent minus distinct packets received.
    - ``receive_span_us``: time from the first to the last packet. Up, it is the span for which the rate
      becomes the mean rate of the whole intervals.
    - ``drain``: delays of the probes sent after the load; empty where the other end takes none.
    - ``estimated_packets``: those of the packets received that are inferred, since their Status was lost.
    - ``receiver_drops``: packets dropped in this host's socket (down only). They are in ``lost``, but
      are no fault of the line.

    Whole test:

    - ``wall_step_us``: step of the agent's wall clock against its monotonic clock. Above some milliseconds
      the delays cannot be trusted.
    - ``rtt_min_us``: smallest round trip, set-up included.
    - ``bytes_sent``, ``bytes_received``: IP-layer bytes on this agent's line, control and feedback included.
    """

    session: str
    direction: Direction
    row: int
    planned_bps: int
    planned_duration_us: int
    planned_packets: int
    ending: Ending
    detail: str = ""
    refusal: int | None = None
    sent_packets: int = 0
    sent_ip_bytes: int = 0
    send_span_us: int = 0
    stall_us: int = 0
    longest_gap_us: int = 0
    blocked_sends: int = 0
    backoff_steps: int = 0
    received_packets: int = 0
    received_ip_bytes: int = 0
    receive_span_us: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    estimated_packets: int = 0
    receiver_drops: int = 0
    status_lost: int = 0
    intervals: tuple[LoadInterval, ...] = ()
    drain: tuple[DrainSample, ...] = ()
    rtt_min_us: int | None = None
    wall_step_us: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    algorithm: Algorithm | None = None
    sent_intervals: tuple[SentInterval, ...] = ()
    bytes_spent: bool = False

    @property
    def sent_bps(self) -> float:
        """IP-layer rate of the sender; 0 below two packets."""
        return _rate(self.sent_packets, self.sent_ip_bytes, self.send_span_us)

    @property
    def received_bps(self) -> float:
        """IP-layer rate of distinct packets at the receiver; 0 below two packets."""
        if self.received_packets < 2:
            return 0.0
        distinct = max(0.0, 1 - self.duplicated / self.received_packets)
        return distinct * _rate(self.received_packets, self.received_ip_bytes, self.receive_span_us)


def _rate(packets: int, ip_bytes: int, span_us: int) -> float:
    if packets < 2 or span_us <= 0:
        return 0.0
    # N packets take N - 1 gaps from the first to the last.
    return ip_bytes * (packets - 1) / packets * 8e6 / span_us
