"""Core of the Session-Sender (RFC 8762 section 4.2): one train of test packets, and its replies.

Times are Unix nanoseconds. Every test packet is an ``Exchange``, and its first accepted reply becomes part of
it. T3 of a reply is the time that the reflector wrote into it. Where a later reply reports the true send time
(RFC 8972 section 4.7), that replaces T3, if it is possible at all.
"""

from collections import Counter
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from wire.stamp import tlv
from wire.stamp.packet import PacketFault, Reply, Request, base_bytes, decode_reply, encode_request
from wire.stamp.timestamp import ErrorEstimate, to_ntp, to_unix_ns

_TLV_HEADER = tlv.HEADER_BYTES


class ReplyVerdict(StrEnum):
    """Class of a received datagram in this train."""

    ACCEPTED = "accepted"
    CLOSING = "closing"
    DUPLICATE = "duplicate"
    SHORT = "short"
    BAD_HMAC = "bad-hmac"
    NOT_OURS = "not-ours"


class SenderSettings(Struct, frozen=True):
    """Settings of one train.

    - ``ssid``: 1 to 65535 (RFC 8972 section 3).
    - ``key``: None is the unauthenticated mode.
    - ``wanted_dscp``: requested for replies by a Class of Service TLV; None sends no such TLV.
    - ``follow_up``: request send times of replies by a Follow-Up Telemetry TLV.
    - ``payload_bytes``: pad to this UDP payload where the packet is at least four bytes shorter.
    - ``twamp_light``: also accept the short replies of TWAMP Light reflectors, in unauthenticated mode only.

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
        """Show the settings without the key."""
        return f"SenderSettings(ssid={self.ssid})"


class Exchange(Struct):
    """One test packet and the first reply to it; ``arrival`` is None until the reply arrives.

    ``sent_ns`` (T1) is the time in the packet until a transmit stamp replaces it (``sent_by_kernel``).
    """

    sequence: int
    stamped_ns: int
    sent_ns: int
    estimate: ErrorEstimate
    sent_by_kernel: bool = False
    arrival: "ReplyArrival | None" = None


class ReplyArrival(Struct, frozen=True):
    """Accepted reply. ``order`` numbers accepted replies, duplicates included, in their order of arrival.

    T2 and T3 are on the reflector's clock. ``reflector_sent_ns`` (T3) is the time in the reply until a later
    reply reports the true send time (``followed_up``).
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
    """Further reply to the same packet, with the reflector's Sequence Number."""

    sender_sequence: int
    sequence: int


class SessionSender:
    """Packets and replies of one train. ``counters`` counts received datagrams by ``ReplyVerdict``."""

    def __init__(self, settings: SenderSettings) -> None:
        self.exchanges: list[Exchange] = []
        self.duplicates: list[Duplicate] = []
        self.counters: Counter[ReplyVerdict] = Counter()
        self._settings = settings
        self._accepted = 0
        self._closing: Exchange | None = None
        # Both by the reflector's number. Send times wait here for replies that have not arrived yet.
        self._answered: dict[int, Exchange] = {}
        self._follow_ups: dict[int, int] = {}
        self._reflector_follows_up = False

    def packet(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        """Encode the next test packet, stamped ``now_ns``; numbered from 0."""
        exchange = Exchange(len(self.exchanges), now_ns, now_ns, estimate)
        self.exchanges.append(exchange)
        return self._encode(exchange)

    def closing(self, now_ns: int, estimate: ErrorEstimate) -> bytes | None:
        """Encode a packet after the last one, whose reply reports the send time of the last reply.

        It is part of no statistic. None where it is of no use: without a reply to the last packet, or with a
        reflector that has reported no send time.
        """
        last = self.exchanges[-1].arrival if self.exchanges else None
        if last is None or last.followed_up or not self._reflector_follows_up:
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
        # Zeros are allowed (RFC 8972 section 4.1) and need no random numbers. Layers below are not expected
        # to compress.
        padding = bytes(missing - _TLV_HEADER)
        return tlv.request(
            sequence=sequence, key=key, wanted_dscp=wanted, follow_up=follow_up, padding=padding
        )

    def forget_last(self) -> None:
        """Remove the newest packet, which could not be sent; its number is used again."""
        self.exchanges.pop()

    def transmitted(self, sequence: int, sent_ns: int) -> None:
        """Set the kernel's transmit stamp of a packet; unknown numbers are ignored."""
        if 0 <= sequence < len(self.exchanges):
            exchange = self.exchanges[sequence]
            exchange.sent_ns, exchange.sent_by_kernel = sent_ns, True

    def received(
        self, data: bytes, received_ns: int, *, by_kernel: bool, dscp_ecn: int | None = None
    ) -> ReplyVerdict:
        """Process one datagram: ``received_ns`` is T4, ``dscp_ecn`` its traffic class octet if known."""
        verdict = self._take(data, received_ns, by_kernel=by_kernel, dscp_ecn=dscp_ecn)
        self.counters[verdict] += 1
        return verdict

    def _take(self, data: bytes, received_ns: int, *, by_kernel: bool, dscp_ecn: int | None) -> ReplyVerdict:
        reply = decode_reply(data, self._settings.key, twamp_light=self._settings.twamp_light)
        if isinstance(reply, PacketFault):
            return ReplyVerdict.SHORT if reply is PacketFault.SHORT else ReplyVerdict.BAD_HMAC
        exchange = self._request_of(reply)
        if exchange is None:
            return ReplyVerdict.NOT_OURS
        # Counted for duplicates and the closing reply, too: ``order`` is that of arrival at this host.
        self._accepted += 1
        tlvs = tlv.read_reply(reply.extra, reply.sequence, self._settings.key)
        if tlvs.follow_up is not None:
            self._follow_up(tlvs.follow_up, reply)
        if exchange is self._closing:
            return ReplyVerdict.CLOSING
        # The first reply counts: a copy has another delay, and says nothing of the packet.
        if exchange.arrival is not None:
            self.duplicates.append(Duplicate(exchange.sequence, reply.sequence))
            return ReplyVerdict.DUPLICATE
        # The Z bit of the reflector's own Error Estimate names the format of its times (section 4.2.1).
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
            class_of_service=tlvs.class_of_service,
        )
        self._answered[reply.sequence] = exchange
        self._replace_t3(reply.sequence)
        return ReplyVerdict.ACCEPTED

    def _follow_up(self, previous: tlv.FollowUp, carrier: Reply) -> None:
        """Keep the send time that ``carrier`` reports of the reply before it."""
        sent_ns = to_unix_ns(previous.timestamp, carrier.estimate)
        # The previous reply cannot have been sent after this one.
        if not previous.timestamp or sent_ns > to_unix_ns(carrier.timestamp, carrier.estimate):
            return
        self._follow_ups[previous.sequence] = sent_ns
        self._reflector_follows_up = True
        self._replace_t3(previous.sequence)

    def _replace_t3(self, sequence: int) -> None:
        """Use the reported send time as T3 of this reply, once both are known and if it is possible."""
        exchange = self._answered.get(sequence)
        if exchange is None or exchange.arrival is None or sequence not in self._follow_ups:
            return
        reply, sent_ns = exchange.arrival, self._follow_ups.pop(sequence)
        longest_ns = reply.received_ns - exchange.sent_ns
        # A packet is sent after its own stamp was taken, and its transit time is not negative.
        if reply.reflector_sent_ns <= sent_ns <= reply.reflector_received_ns + longest_ns:
            exchange.arrival = replace(reply, reflector_sent_ns=sent_ns, followed_up=True)

    def _request_of(self, reply: Reply) -> Exchange | None:
        """Find the packet of a reply by the copied Session-Sender Sequence Number (RFC 8762 section 4.6).

        The copied time and the SSID must be those of the packet, too.
        """
        # SSID 0: a reflector without RFC 8972, with which a sender may continue (section 3).
        if reply.ssid not in (0, self._settings.ssid):
            return None
        exchange = self._closing
        if reply.sender_sequence < len(self.exchanges):
            exchange = self.exchanges[reply.sender_sequence]
        elif exchange is None or reply.sender_sequence != exchange.sequence:
            return None
        # The time tells this train from an earlier one of the same SSID, whose replies may still arrive.
        return exchange if reply.sender_timestamp == to_ntp(exchange.stamped_ns) else None
