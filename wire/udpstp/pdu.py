"""PDUs of RFC 9946: pack and parse, without any decision.

Control PDUs (Setup, Null, Test Activation) are small and rare: they are structs. Load headers are packed and
read in place (``LOAD_HEADER``), since there are a thousand and more a second.

Parsers take any bytes and return None for anything but a valid PDU of their kind. They check size, identifier
and checksum. A value that the protocol has to answer with a refusal is not their subject. Reserved fields are
sent 0 and ignored on receipt (§6.1). Integers are unsigned and big-endian unless noted.
"""

import struct
from typing import Final

from msgspec import Struct

PROTOCOL_VERSION: Final = 20
"""The only version registered (§12.3.2)."""

WELL_KNOWN_PORT: Final = 24601
"""UDP port of a server's control port (§12.1)."""

SETUP_ID, ACTIVATION_ID, LOAD_ID, NULL_ID, STATUS_ID = 0xACE1, 0xACE2, 0xBEEF, 0xDEAD, 0xFEED

REQUEST, RESPONSE = 1, 2
"""Setup cmdRequest (§6.1)."""

UPSTREAM, DOWNSTREAM = 1, 2
"""Activation cmdRequest (§12.3.6)."""

UPSTREAM_BIT = 0x8000
"""Bit of Setup maxBandwidth for a test in the direction up; the other bits are Mbit/s."""

SETUP_JUMBO, SETUP_TRADITIONAL_MTU = 0x01, 0x02
SETUP_PROBES_OFFERED, SETUP_PROBES_ACCEPTED = 0x40, 0x80
"""Setup modifiers of this program: the client offers drain probes up, the server accepts them.

Foreign servers echo bits that they do not know, so acceptance is another bit than the offer.
"""
SETUP_FULL_SIZE_OFFERED, SETUP_FULL_SIZE_ACCEPTED, SETUP_SIZE_CLASS = 0x10, 0x20, 0x0C
"""Setup modifiers of this program: all packets of the load have one size, that of the class (``rates``)."""

ACTIVATION_START_INDEX, ACTIVATION_RANDOM_PAYLOAD = 0x01, 0x02

AUTHENTICATION_MODE_1 = 1
SEARCH_INDEX = 0xFFFF
"""Activation srIndexConf: search for the capacity from row 0 (§7.1)."""

TESTING, STOPPING_SERVER, STOP = 0, 1, 2
"""Load and Status testAction (§8.1)."""

NO_DELAY = 0xFFFFFFFF
"""Value of a delay minimum or sample without any packet (§8.2)."""

SETUP = struct.Struct("!HHBBHBBHHBBI32sBBH")
NULL = struct.Struct("!HHBBBBI32sBBH")
ACTIVATION = struct.Struct("!HHBBHHHHBBHBBHHBBBB28sHHHBBI32sBBH")
RATE = struct.Struct("!7I")
# "!" has no padding: the RFC's layouts are packed, with an 8-byte counter at offset 44 of a Status.
LOAD_HEADER = struct.Struct("!HBBIHHIIIIHH")
"""pduId, testAction, rxStopped, lpduSeqNo, udpPayload, spduSeqErr, spduTime (s, ns), lpduTime (s, ns),
rttRespDelay (ms), checkSum (§8.1)."""
SUB_INTERVAL = struct.Struct("!IQ11I")
STATUS = struct.Struct("!HBBI28sI56sIIIiIIIIIIBBHIIIIIHBBI32sBBH")

DIGEST_AT = {SETUP_ID: 20, NULL_ID: 12, ACTIVATION_ID: 68}
"""Offset of the 32 bytes of authDigest in each signed PDU. checkSum is always the last two bytes."""
_SIZE_OF = {SETUP_ID: SETUP.size, NULL_ID: NULL.size, ACTIVATION_ID: ACTIVATION.size, STATUS_ID: STATUS.size}

UNSIGNED = bytes(32)


def setup_version(data: bytes) -> int | None:
    """Protocol version that a Setup Request of any version names; None for another packet."""
    named = len(data) >= 4 and int.from_bytes(data[:2]) == SETUP_ID
    return int.from_bytes(data[2:4]) if named else None


class Setup(Struct, frozen=True, kw_only=True):
    """Setup Request and Response (§6.1, §6.2). ``bandwidth_mbps`` is without the direction bit."""

    ident: int
    auth_time: int
    key_id: int
    command: int = REQUEST
    response: int = 0
    bandwidth_mbps: int = 0
    upstream: bool = False
    test_port: int = 0
    # The reference server refuses with code 3 where this bit differs from its own setting, which is on.
    modifiers: int = SETUP_JUMBO
    index: int = 0
    count: int = 1
    version: int = PROTOCOL_VERSION
    auth_mode: int = AUTHENTICATION_MODE_1
    digest: bytes = UNSIGNED

    def pack(self) -> bytes:
        """Pack into 56 bytes, with ``digest`` unchanged."""
        bandwidth = self.bandwidth_mbps | (UPSTREAM_BIT if self.upstream else 0)
        return SETUP.pack(
            SETUP_ID, self.version, self.index, self.count, self.ident, self.command, self.response,
            bandwidth, self.test_port, self.modifiers, self.auth_mode, self.auth_time, self.digest,
            self.key_id, 0, 0,
        )  # fmt: skip


class Null(Struct, frozen=True, kw_only=True):
    """Null Request (§6.2.2): opens the server's own firewall and is never answered."""

    auth_time: int
    key_id: int
    auth_mode: int = AUTHENTICATION_MODE_1
    digest: bytes = UNSIGNED

    def pack(self) -> bytes:
        """Pack into 48 bytes, with ``digest`` unchanged."""
        return NULL.pack(
            NULL_ID, PROTOCOL_VERSION, REQUEST, 0, 0, self.auth_mode, self.auth_time, self.digest,
            self.key_id, 0, 0,
        )  # fmt: skip


class SendingRate(Struct, frozen=True, kw_only=True):
    """Sending-rate structure srStruct (§7.1): two transmitters, each with a burst every interval.

    Intervals are microseconds, 0 = off. Payloads are UDP payload bytes for IPv4, with ``RANDOM_SIZE`` set for
    a random size of every packet. ``addon_2`` is one more packet after each burst of the second transmitter,
    also after an empty one.
    """

    interval_1_us: int = 0
    payload_1: int = 0
    burst_1: int = 0
    interval_2_us: int = 0
    payload_2: int = 0
    burst_2: int = 0
    addon_2: int = 0

    def pack(self) -> bytes:
        """Pack into 28 bytes."""
        return RATE.pack(
            self.interval_1_us, self.payload_1, self.burst_1,
            self.interval_2_us, self.payload_2, self.burst_2, self.addon_2,
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> "SendingRate":
        """Read 28 bytes; every combination of values is valid."""
        one, payload_1, burst_1, two, payload_2, burst_2, addon_2 = RATE.unpack(data)
        return cls(
            interval_1_us=one, payload_1=payload_1, burst_1=burst_1,
            interval_2_us=two, payload_2=payload_2, burst_2=burst_2, addon_2=addon_2,
        )  # fmt: skip


RANDOM_SIZE = 0x80000000
"""Top bit of a size of the sending-rate structure: an extension of the reference program, seen for row 0."""

OFF = SendingRate()


class Activation(Struct, frozen=True, kw_only=True):
    """Test Activation Request and Response (§7.1). Defaults are the RFC's; times in ms but ``test_s``."""

    command: int
    row: int
    test_s: int
    auth_time: int
    key_id: int
    response: int = 0
    low_threshold: int = 30
    upper_threshold: int = 90
    trial_interval: int = 50
    dscp_ecn: int = 0
    # The RFC's default; the reference program's is 0.
    one_way_variation: int = 1
    high_speed_delta: int = 10
    slow_adjust_threshold: int = 3
    sequence_error_threshold: int = 10
    ignore_reordering: int = 1
    modifiers: int = 0
    algorithm: int = 0
    rate: SendingRate = OFF
    sub_interval: int = 1000
    auth_mode: int = AUTHENTICATION_MODE_1
    digest: bytes = UNSIGNED

    def pack(self) -> bytes:
        """Pack into 104 bytes, with ``digest`` unchanged."""
        return ACTIVATION.pack(
            ACTIVATION_ID, PROTOCOL_VERSION, self.command, self.response,
            self.low_threshold, self.upper_threshold, self.trial_interval, self.test_s, 0, self.dscp_ecn,
            self.row, self.one_way_variation, self.high_speed_delta, self.slow_adjust_threshold,
            self.sequence_error_threshold, self.ignore_reordering, self.modifiers, self.algorithm, 0,
            self.rate.pack(), self.sub_interval, 0, 0, 0, self.auth_mode, self.auth_time, self.digest,
            self.key_id, 0, 0,
        )  # fmt: skip


class SubInterval(Struct, frozen=True, kw_only=True):
    """Totals of one finished sub-interval (§8.2); delays and ``elapsed`` in ms."""

    datagrams: int = 0
    payload_bytes: int = 0
    duration_us: int = 0
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    delay_min: int = NO_DELAY
    delay_max: int = 0
    delay_sum: int = 0
    delay_count: int = 0
    rtt_min: int = NO_DELAY
    rtt_max: int = 0
    elapsed: int = 0

    def pack(self) -> bytes:
        """Pack into 56 bytes."""
        return SUB_INTERVAL.pack(
            self.datagrams, self.payload_bytes, self.duration_us, self.lost, self.reordered, self.duplicated,
            self.delay_min, self.delay_max, self.delay_sum, self.delay_count,
            self.rtt_min, self.rtt_max, self.elapsed,
        )  # fmt: skip

    @classmethod
    def parse(cls, data: bytes) -> "SubInterval":
        """Read 56 bytes; every combination of values is valid."""
        (
            datagrams, payload_bytes, duration_us, lost, reordered, duplicated,
            delay_min, delay_max, delay_sum, delay_count, rtt_min, rtt_max, elapsed,
        ) = SUB_INTERVAL.unpack(data)  # fmt: skip
        return cls(
            datagrams=datagrams, payload_bytes=payload_bytes, duration_us=duration_us,
            lost=lost, reordered=reordered, duplicated=duplicated,
            delay_min=delay_min, delay_max=delay_max, delay_sum=delay_sum, delay_count=delay_count,
            rtt_min=rtt_min, rtt_max=rtt_max, elapsed=elapsed,
        )  # fmt: skip


NO_SUB_INTERVAL = SubInterval()


class Status(Struct, frozen=True, kw_only=True):
    """Status feedback of the load receiver (§8.2); delays in ms, ``clock_delta_min`` signed.

    The counters are those of one trial interval of ``interval_us``. ``sub_interval`` is the last finished
    one, with its number from 1 on in ``sub_interval_number``.
    """

    sequence: int
    action: int = TESTING
    receive_stopped: int = 0
    rate: SendingRate = OFF
    sub_interval_number: int = 0
    sub_interval: SubInterval = NO_SUB_INTERVAL
    lost: int = 0
    reordered: int = 0
    duplicated: int = 0
    clock_delta_min: int = 0
    delay_min: int = NO_DELAY
    delay_max: int = 0
    delay_sum: int = 0
    delay_count: int = 0
    rtt_minimum: int = NO_DELAY
    rtt_variation: int = NO_DELAY
    minimum_updated: int = 0
    interval_us: int = 0
    datagrams: int = 0
    payload_bytes: int = 0
    sent_s: int = 0
    sent_ns: int = 0

    def pack(self) -> bytes:
        """Pack into 204 bytes. Authentication fields are zero in mode 1 (§5.3.1)."""
        return STATUS.pack(
            STATUS_ID, self.action, self.receive_stopped, self.sequence, self.rate.pack(),
            self.sub_interval_number, self.sub_interval.pack(),
            self.lost, self.reordered, self.duplicated, self.clock_delta_min,
            self.delay_min, self.delay_max, self.delay_sum, self.delay_count,
            self.rtt_minimum, self.rtt_variation, self.minimum_updated, 0, 0,
            self.interval_us, self.datagrams, self.payload_bytes, self.sent_s, self.sent_ns,
            0, 0, 0, 0, UNSIGNED, 0, 0, 0,
        )  # fmt: skip


def checksum(data: bytes) -> int:
    """Compute the Internet checksum (§5.6) over an even number of bytes, as written into checkSum."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    # One's complement: carries are added back in.
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _is_valid(data: bytes, identifier: int) -> bool:
    if len(data) != _SIZE_OF[identifier] or int.from_bytes(data[:2]) != identifier:
        return False
    # 0 means no checksum (§5.6).
    return data[-2:] == b"\0\0" or checksum(data) == 0


def parse_setup(data: bytes) -> Setup | None:
    """Read a Setup Request or Response."""
    if not _is_valid(data, SETUP_ID):
        return None
    (
        _, version, index, count, ident, command, response, bandwidth, test_port, modifiers, auth_mode,
        auth_time, digest, key_id, _, _,
    ) = SETUP.unpack(data)  # fmt: skip
    return Setup(
        version=version, index=index, count=count, ident=ident, command=command, response=response,
        bandwidth_mbps=bandwidth & ~UPSTREAM_BIT, upstream=bool(bandwidth & UPSTREAM_BIT),
        test_port=test_port, modifiers=modifiers, auth_mode=auth_mode, auth_time=auth_time, digest=digest,
        key_id=key_id,
    )  # fmt: skip


def parse_null(data: bytes) -> Null | None:
    """Read a Null Request."""
    if not _is_valid(data, NULL_ID):
        return None
    _, _, _, _, _, auth_mode, auth_time, digest, key_id, _, _ = NULL.unpack(data)
    return Null(auth_mode=auth_mode, auth_time=auth_time, digest=digest, key_id=key_id)


def parse_activation(data: bytes) -> Activation | None:
    """Read a Test Activation Request or Response."""
    if not _is_valid(data, ACTIVATION_ID):
        return None
    (
        _, _, command, response, low, upper, trial, test_s, _, dscp_ecn, row, one_way, delta, slow, errors,
        ignore, modifiers, algorithm, _, rate, sub_interval, _, _, _, auth_mode, auth_time, digest, key_id,
        _, _,
    ) = ACTIVATION.unpack(data)  # fmt: skip
    return Activation(
        command=command, response=response, low_threshold=low, upper_threshold=upper, trial_interval=trial,
        test_s=test_s, dscp_ecn=dscp_ecn, row=row, one_way_variation=one_way, high_speed_delta=delta,
        slow_adjust_threshold=slow, sequence_error_threshold=errors, ignore_reordering=ignore,
        modifiers=modifiers, algorithm=algorithm, rate=SendingRate.parse(rate), sub_interval=sub_interval,
        auth_mode=auth_mode, auth_time=auth_time, digest=digest, key_id=key_id,
    )  # fmt: skip


def parse_status(data: bytes) -> Status | None:
    """Read a Status PDU. Bytes from offset 160 on are ignored: they have a meaning in mode 2 alone."""
    # The reference program leaves stale bytes at offsets 188 to 203, checkSum included. The checksum
    # therefore proves nothing; the UDP checksum covers the datagram.
    if len(data) != STATUS.size or int.from_bytes(data[:2]) != STATUS_ID or data[2] > STOP:
        return None
    (
        _, action, stopped, sequence, rate, number, sub_interval, lost, reordered, duplicated, clock_delta,
        delay_min, delay_max, delay_sum, delay_count, rtt_minimum, rtt_variation, updated, _, _,
        interval_us, datagrams, payload_bytes, sent_s, sent_ns, *_,
    ) = STATUS.unpack(data)  # fmt: skip
    return Status(
        sequence=sequence, action=action, receive_stopped=stopped, rate=SendingRate.parse(rate),
        sub_interval_number=number, sub_interval=SubInterval.parse(sub_interval),
        lost=lost, reordered=reordered, duplicated=duplicated, clock_delta_min=clock_delta,
        delay_min=delay_min, delay_max=delay_max, delay_sum=delay_sum, delay_count=delay_count,
        rtt_minimum=rtt_minimum, rtt_variation=rtt_variation, minimum_updated=updated,
        interval_us=interval_us, datagrams=datagrams, payload_bytes=payload_bytes,
        sent_s=sent_s, sent_ns=sent_ns,
    )  # fmt: skip


def is_load(data: bytes | bytearray | memoryview) -> bool:
    """Check if ``data`` begins with a valid Load header (§8.1); the payload is not looked at."""
    if len(data) < LOAD_HEADER.size or data[0] != 0xBE or data[1] != 0xEF or data[2] > STOP or data[3] > 1:
        return False
    # It covers the header alone (§5.6); the UDP checksum covers the payload.
    return data[30:32] == b"\0\0" or checksum(bytes(data[: LOAD_HEADER.size])) == 0
