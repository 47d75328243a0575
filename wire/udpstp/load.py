"""What one load test left behind, told the same way whichever end sent the load.

All counts are of Load PDUs of the test itself; those that only say "stop" are in ``bytes_sent`` and
``bytes_received`` alone. IP-layer bytes are UDP payload plus 28 (IPv4) or 48 (IPv6), as RFC 9097 §5 has it.
"""

from enum import StrEnum

from msgspec import Struct

from wire.records import Algorithm, Direction

Address = tuple[str, int] | tuple[str, int, int, int]


class Search(Struct, frozen=True, kw_only=True):
    """How the server is to search for the capacity (§7.1), instead of sending at a fixed rate.

    ``start_row`` None begins at row 0, as the RFC's default does. ``byte_limit``: the bytes that the test may
    cost the client's line in both directions together, IP layer; it is ended in time to stay below them.
    """

    algorithm: Algorithm = Algorithm.B
    start_row: int | None = None
    byte_limit: int | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """One test. ``secret`` is never shown. ``auth_offset_s`` is the peer's time minus this host's.

    ``row`` is the one to send at, or the highest that a ``search`` may reach. ``ident`` is random and not
    zero (§6.1). ``address`` is the server's control address.
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

    @property
    def ipv6(self) -> bool:
        """Whether the test runs over IPv6."""
        return len(self.address) == 4

    def __repr__(self) -> str:
        what = f"row {self.row}" if self.search is None else f"search to row {self.row}"
        return f"Plan({self.direction} {what} {self.duration_s} s key {self.key_id})"


def session_id(auth_time: int, ident: int) -> str:
    """The session id both ends write into their records of a test."""
    return f"{auth_time:08x}-{ident:04x}"


class Ending(StrEnum):
    """How a load test ended. Only ``completed`` ran for its planned duration."""

    COMPLETED = "completed"
    STOPPED = "stopped"
    """This agent stopped it early, as asked by its caller, be it by a limit of bytes."""
    STOPPED_BY_PEER = "stopped-by-peer"
    WATCHDOG = "watchdog"
    """The peer fell silent for 3 s in the middle of the test (RFC 9946 §6.1)."""
    REFUSED = "refused"
    """The peer answered with a refusal; ``refusal`` holds its code."""
    COERCED = "coerced"
    """The peer would have run another test than the one asked for."""
    NO_ANSWER = "no-answer"
    BAD_AUTHENTICATION = "bad-authentication"
    """The peer answered, but not with our key or not with our time of day."""
    BAD_RESPONSE = "bad-response"
    NAME_UNKNOWN = "name-unknown"
    """The peer's host name has no address."""
    NOT_LISTENING = "not-listening"
    """The peer's host says that nothing listens at the port."""
    UNREACHABLE = "unreachable"
    FORBIDDEN = "forbidden"
    """This host refuses to send to the peer."""
    LOCAL_ERROR = "local-error"


class LoadInterval(Struct, frozen=True, kw_only=True):
    """About 50 ms at the load receiver; ``offset_us`` counts from its first interval's beginning.

    Delays are one-way, in microseconds above the smallest of the whole test; None where no packet gave one.
    Downstream they are exact to the kernel's timestamps. Upstream minimum and maximum are whole
    milliseconds and the mean is as fine as the peer's sum over the interval (RFC 9946 §8.2).
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


class SentInterval(Struct, frozen=True, kw_only=True):
    """From one Status PDU to the next at a sender that obeys a search; ``offset_us`` from its first packet.

    ``told_bps`` is the rate it had to send at (IP layer), ``ip_bytes`` what it sent.
    """

    offset_us: int
    duration_us: int
    told_bps: float
    ip_bytes: int


class LoadSoFar(Struct, frozen=True):
    """What is known of a load while it runs, in the middle of things: to steer by, not to judge by.

    ``line_bytes`` of it have crossed this agent's line, counted at the IP layer: received downstream, sent
    upstream. ``packets`` are known to have come through, ``lost_packets`` are missing. ``delay_us`` is the
    newest one-way delay above the smallest.
    """

    line_bytes: int = 0
    packets: int = 0
    lost_packets: int = 0
    delay_us: int = 0


class LoadReport(Struct, frozen=True, kw_only=True):
    """One test as the client saw it; what was not reached stays at zero.

    Of a search, which has an ``algorithm``, ``row`` and ``planned_bps`` are the highest that was asked for,
    no number of packets is planned, and upstream ``sent_intervals`` tell what the sender did. Downstream the
    sender's schedule is not known, so that ``stall_us`` stays 0 there. ``bytes_spent``: it was ended early
    because its limit of bytes was reached.

    Of the sender: ``send_span_us`` lies between first and last packet, ``stall_us`` is the time by which the
    schedule had to be put off because the sender was later than its catch-up allows, ``longest_gap_us`` the
    longest pause between two packets, ``blocked_sends`` packets the local kernel refused (never on the
    wire, not in ``sent_packets``), ``backoff_steps`` rate reductions for want of feedback (RFC 9097 §8.1).
    Downstream all of it is inferred from sequence numbers and send times of what arrived, so packets lost
    after the last arrival are known only if the peer's stop came through.

    Of the receiver: ``received_packets`` includes ``duplicated``; ``lost`` = sent - distinct received.
    ``receive_span_us`` lies between first and last packet; upstream, where the peer tells sums of 50 ms, it
    is the span that gives the mean rate of the whole intervals. ``estimated_packets`` of those received are
    not counted but inferred, because the Status PDU that would have told them was lost.

    ``receiver_drops``: packets that reached this host and were dropped in its socket (downstream only): they
    are in ``lost``, but not the line's fault. ``wall_step_us``: how far the agent's wall clock moved
    against its monotonic clock during the test; above some milliseconds the delays cannot be trusted.
    ``rtt_min_us`` is the smallest seen, set-up included. ``bytes_sent`` and ``bytes_received`` are what the
    test cost this agent's line at the IP layer, control and feedback included.
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
    rtt_min_us: int | None = None
    wall_step_us: int = 0
    bytes_sent: int = 0
    bytes_received: int = 0
    algorithm: Algorithm | None = None
    sent_intervals: tuple[SentInterval, ...] = ()
    bytes_spent: bool = False

    @property
    def sent_bps(self) -> float:
        """IP-layer rate at which the sender really sent; 0 below two packets."""
        return _rate(self.sent_packets, self.sent_ip_bytes, self.send_span_us)

    @property
    def received_bps(self) -> float:
        """IP-layer rate at which the receiver received; 0 below two packets."""
        return _rate(self.received_packets, self.received_ip_bytes, self.receive_span_us)


def _rate(packets: int, ip_bytes: int, span_us: int) -> float:
    """N packets take N - 1 gaps from the first to the last."""
    if packets < 2 or span_us <= 0:
        return 0.0
    return ip_bytes * (packets - 1) / packets * 8e6 / span_us
