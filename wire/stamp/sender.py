"""The Session-Sender core (RFC 8762 section 4.2): one train of test packets and the matching of its replies.

Bytes and ``now`` in, bytes and classifications out. Times are Unix nanoseconds.
"""

from collections import Counter
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from wire.stamp import tlv
from wire.stamp.packet import (
    Fault,
    Reply,
    Request,
    base_bytes,
    decode_reply,
    encode_request,
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp, to_unix_ns

_TLV_HEADER = tlv.HEADER_BYTES


class Verdict(StrEnum):
    """What a received datagram was to this train."""

    ACCEPTED = "accepted"
    CLOSING = "closing"
    DUPLICATE = "duplicate"
    SHORT = "short"
    BAD_HMAC = "bad-hmac"
    NOT_OURS = "not-ours"


class SenderSettings(Struct, frozen=True):
    """One train.

    ``ssid``: 1 to 65535 (RFC 8972 section 3). ``key`` None is the unauthenticated mode. ``wanted_dscp``:
    asked of the reply by a Class of Service TLV, None sends no TLV. ``follow_up``: ask by a Follow-Up
    Telemetry TLV when the reply before was really sent. ``payload_bytes``: pad up to this UDP payload
    where the packet is at least four bytes shorter. ``twamp_light``: also take the short replies of
    TWAMP Light reflectors, unauthenticated mode alone.

    Raises ValueError for an SSID out of range.
    """

    ssid: int
    key: bytes | None = None
    wanted_dscp: int | None = None
    follow_up: bool = False
    payload_bytes: int = 0
    twamp_light: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.ssid <= 0xFFFF:
            raise ValueError(f"a STAMP SSID is 1 to 65535, not {self.ssid}")

    def __repr__(self) -> str:
        """Without the key."""
        return f"SenderSettings(ssid={self.ssid})"


class Exchange(Struct):
    """One test packet and the first reply to it.

    ``sent_ns`` (T1) is the time in the packet until a transmit stamp replaces it (``sent_by_kernel``).
    The reply's part is None until it came; T2 and T3 are on the reflector's clock.
    """

    sequence: int
    stamped_ns: int
    sent_ns: int
    estimate: ErrorEstimate
    sent_by_kernel: bool = False
    arrival: "ReplyArrival | None" = None


class ReplyArrival(Struct, frozen=True):
    """An accepted reply. ``order`` counts accepted replies, duplicates included, as they came in.

    ``reflector_sent_ns`` (T3) is the time in the reply until a later one tells of a better (``followed_up``).
    """

    order: int
    sequence: int
    reflector_received_ns: int
    reflector_sent_ns: int
    received_ns: int
    received_by_kernel: bool
    estimate: ErrorEstimate
    sender_ttl: int | None
    dscp_ecn: int | None
    class_of_service: tlv.ClassOfService | None
    followed_up: bool = False


class Duplicate(Struct, frozen=True):
    """A second reply to the same packet, by the reflector's Sequence Number."""

    sender_sequence: int
    sequence: int


class Sender:
    """Makes the packets of one train and takes what comes back. ``counters`` counts by ``Verdict``."""

    def __init__(self, settings: SenderSettings) -> None:
        self.exchanges: list[Exchange] = []
        self.duplicates: list[Duplicate] = []
        self.counters: Counter[Verdict] = Counter()
        self._settings = settings
        self._accepted = 0
        self._closing: Exchange | None = None
        self._answered: dict[int, Exchange] = {}  # by the reflector's number
        self._follow_ups: dict[int, int] = {}  # by the reflector's number, of replies that have not come yet
        self._reflector_tells = False

    def packet(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        """The next test packet, stamped ``now_ns``; numbered from 0."""
        exchange = Exchange(len(self.exchanges), now_ns, now_ns, estimate)
        self.exchanges.append(exchange)
        return self._encode(exchange)

    def closing(self, now_ns: int, estimate: ErrorEstimate) -> bytes | None:
        """One packet after the last, in no statistic: its reply tells when the last one's was really sent.

        None where that would tell nothing new: no reply to the last packet, or a reflector that has told of
        no other.
        """
        last = self.exchanges[-1].arrival if self.exchanges else None
        if last is None or last.followed_up or not self._reflector_tells:
            return None
        self._closing = Exchange(len(self.exchanges), now_ns, now_ns, estimate)
        return self._encode(self._closing)

    def _encode(self, exchange: Exchange) -> bytes:
        settings, sequence = self._settings, exchange.sequence
        request = Request(
            sequence, to_ntp(exchange.stamped_ns), exchange.estimate, settings.ssid, self._extra(sequence)
        )
        return encode_request(request, settings.key)

    def _extra(self, sequence: int) -> bytes:
        settings = self._settings
        key, wanted, follow_up = settings.key, settings.wanted_dscp, settings.follow_up
        extra = tlv.request(sequence=sequence, key=key, wanted_dscp=wanted, follow_up=follow_up)
        missing = settings.payload_bytes - base_bytes(authenticated=key is not None) - len(extra)
        if missing < _TLV_HEADER:
            return extra
        # Zeros are allowed (RFC 8972 section 4.1) and cost no random numbers; no layer below is expected
        # to compress.
        padding = bytes(missing - _TLV_HEADER)
        return tlv.request(
            sequence=sequence, key=key, wanted_dscp=wanted, follow_up=follow_up, padding=padding
        )

    def forget_last(self) -> None:
        """Take back the newest packet: it could not be sent, and its number is used again."""
        self.exchanges.pop()

    def transmitted(self, sequence: int, sent_ns: int) -> None:
        """Supply the kernel's transmit stamp of a packet; unknown numbers are ignored."""
        if 0 <= sequence < len(self.exchanges):
            exchange = self.exchanges[sequence]
            exchange.sent_ns, exchange.sent_by_kernel = sent_ns, True

    def received(
        self,
        data: bytes,
        received_ns: int,
        *,
        by_kernel: bool,
        dscp_ecn: int | None = None,
    ) -> Verdict:
        """Take one datagram: ``received_ns`` is T4, ``dscp_ecn`` its traffic class octet if known."""
        verdict = self._take(data, received_ns, by_kernel=by_kernel, dscp_ecn=dscp_ecn)
        self.counters[verdict] += 1
        return verdict

    def _take(self, data: bytes, received_ns: int, *, by_kernel: bool, dscp_ecn: int | None) -> Verdict:
        reply = decode_reply(data, self._settings.key, twamp_light=self._settings.twamp_light)
        if isinstance(reply, Fault):
            return Verdict.SHORT if reply is Fault.SHORT else Verdict.BAD_HMAC
        exchange = self._asked(reply)
        if exchange is None:
            return Verdict.NOT_OURS
        self._accepted += 1
        said = tlv.said_in_reply(reply.extra, reply.sequence, self._settings.key)
        if said.follow_up is not None:
            self._follow_up(said.follow_up, reply)
        if exchange is self._closing:
            return Verdict.CLOSING
        if exchange.arrival is not None:
            self.duplicates.append(Duplicate(exchange.sequence, reply.sequence))
            return Verdict.DUPLICATE
        exchange.arrival = ReplyArrival(
            order=self._accepted,
            sequence=reply.sequence,
            reflector_received_ns=to_unix_ns(reply.received, reply.estimate),
            reflector_sent_ns=to_unix_ns(reply.timestamp, reply.estimate),
            received_ns=received_ns,
            received_by_kernel=by_kernel,
            estimate=reply.estimate,
            sender_ttl=reply.sender_ttl,
            dscp_ecn=dscp_ecn,
            class_of_service=said.class_of_service,
        )
        self._answered[reply.sequence] = exchange
        self._correct(reply.sequence)
        return Verdict.ACCEPTED

    def _follow_up(self, told: tlv.FollowUp, carrier: Reply) -> None:
        """Keep what a reply tells of the one before it; it cannot have left after this one."""
        sent_ns = to_unix_ns(told.timestamp, carrier.estimate)
        if not told.timestamp or sent_ns > to_unix_ns(carrier.timestamp, carrier.estimate):
            return
        self._follow_ups[told.sequence] = sent_ns
        self._reflector_tells = True
        self._correct(told.sequence)

    def _correct(self, sequence: int) -> None:
        """Take the time told of this reply as its T3, once both are here and where it can be true.

        A packet leaves after its own stamp was taken, and spends no negative time on the way.
        """
        exchange = self._answered.get(sequence)
        if exchange is None or exchange.arrival is None or sequence not in self._follow_ups:
            return
        reply, sent_ns = exchange.arrival, self._follow_ups.pop(sequence)
        longest_ns = reply.received_ns - exchange.sent_ns
        if reply.reflector_sent_ns <= sent_ns <= reply.reflector_received_ns + longest_ns:
            exchange.arrival = replace(reply, reflector_sent_ns=sent_ns, followed_up=True)

    def _asked(self, reply: Reply) -> Exchange | None:
        """The packet this replies to: the copied number, time and SSID must be those that were sent.

        Replies are matched by the copied Session-Sender Sequence Number alone (RFC 8762 section 4.6).
        SSID 0 comes from a reflector without RFC 8972, with which section 3 of that lets a sender go on.
        """
        if reply.ssid not in (0, self._settings.ssid):
            return None
        exchange = self._closing
        if reply.sender_sequence < len(self.exchanges):
            exchange = self.exchanges[reply.sender_sequence]
        elif exchange is None or reply.sender_sequence != exchange.sequence:
            return None
        return exchange if reply.sender_timestamp == to_ntp(exchange.stamped_ns) else None
