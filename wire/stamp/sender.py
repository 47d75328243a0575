"""The Session-Sender core (RFC 8762 section 4.2): one train of test packets and the matching of its replies.

Bytes and ``now`` in, bytes and classifications out. Times are Unix nanoseconds.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

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
    DUPLICATE = "duplicate"
    SHORT = "short"
    BAD_HMAC = "bad-hmac"
    NOT_OURS = "not-ours"


@dataclass(frozen=True, slots=True)
class SenderSettings:
    """One train.

    ``ssid``: 1 to 65535 (RFC 8972 section 3). ``key`` None is the unauthenticated mode. ``wanted_dscp``:
    asked of the reply by a Class of Service TLV, None sends no TLV. ``payload_bytes``: pad up to this
    UDP payload where the packet is at least four bytes shorter. ``twamp_light``: also take the short
    replies of TWAMP Light reflectors, unauthenticated mode alone.

    Raises ValueError for an SSID out of range.
    """

    ssid: int
    key: bytes | None = field(default=None, repr=False)
    wanted_dscp: int | None = None
    payload_bytes: int = 0
    twamp_light: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.ssid <= 0xFFFF:
            raise ValueError(f"a STAMP SSID is 1 to 65535, not {self.ssid}")


@dataclass(slots=True)
class Exchange:
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


@dataclass(frozen=True, slots=True)
class ReplyArrival:
    """An accepted reply. ``order`` counts accepted replies, duplicates included, as they came in."""

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


@dataclass(frozen=True, slots=True)
class Duplicate:
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

    def packet(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        """The next test packet, stamped ``now_ns``; numbered from 0."""
        sequence = len(self.exchanges)
        self.exchanges.append(Exchange(sequence, now_ns, now_ns, estimate))
        settings = self._settings
        request = Request(sequence, to_ntp(now_ns), estimate, settings.ssid, self._extra(sequence))
        return encode_request(request, settings.key)

    def _extra(self, sequence: int) -> bytes:
        settings = self._settings
        key, wanted = settings.key, settings.wanted_dscp
        extra = tlv.request(sequence=sequence, key=key, wanted_dscp=wanted)
        missing = settings.payload_bytes - base_bytes(authenticated=key is not None) - len(extra)
        if missing < _TLV_HEADER:
            return extra
        # Zeros are allowed (RFC 8972 section 4.1) and cost no random numbers; no layer below is expected
        # to compress.
        return tlv.request(
            sequence=sequence, key=key, wanted_dscp=wanted, padding=bytes(missing - _TLV_HEADER)
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
            class_of_service=tlv.class_of_service_in_reply(reply.extra, reply.sequence, self._settings.key),
        )
        return Verdict.ACCEPTED

    def _asked(self, reply: Reply) -> Exchange | None:
        """The packet this replies to: the copied number, time and SSID must be those that were sent.

        Replies are matched by the copied Session-Sender Sequence Number alone (RFC 8762 section 4.6).
        SSID 0 comes from a reflector without RFC 8972, with which section 3 of that lets a sender go on.
        """
        if reply.sender_sequence >= len(self.exchanges) or reply.ssid not in (0, self._settings.ssid):
            return None
        exchange = self.exchanges[reply.sender_sequence]
        return exchange if reply.sender_timestamp == to_ntp(exchange.stamped_ns) else None
