"""STAMP test packets, both directions, unauthenticated and authenticated (RFC 8762 sections 4.2 and 4.3).

Layouts include the SSID of RFC 8972 section 3. Bytes behind the base packet (TLVs or padding) are kept as
``extra``. Decoders take any bytes: they return a packet or a ``PacketFault`` and never raise.
"""

import hmac
import struct
from enum import StrEnum
from typing import Final

from msgspec import Struct

from wire.stamp.timestamp import ErrorEstimate

BASE_BYTES: Final = 44
AUTHENTICATED_BASE_BYTES: Final = 112
# As measured with a TWAMP Light reflector: up to the copied Error Estimate, without the TTL.
TWAMP_LIGHT_REPLY_BYTES: Final = 38
# Sequence Number, Timestamp and Error Estimate (RFC 5357 section 4.1.2, without padding).
TWAMP_LIGHT_REQUEST_BYTES: Final = 14
HMAC_BYTES: Final = 16
WELL_KNOWN_PORT: Final = 862

_COVERED_BYTES = AUTHENTICATED_BASE_BYTES - HMAC_BYTES
_SEQUENCE = struct.Struct("!I")
_TIMESTAMP = struct.Struct("!Q")
# T3 and its HMAC are written into a finished draft, since only they depend on the time of sending.
_T3_PLACE, _T3_PLACE_AUTHENTICATED = 4, 16
_REQUEST = struct.Struct("!IQHH28x")
_REQUEST_AUTHENTICATED = struct.Struct("!I12xQHH68x")
_REQUEST_TWAMP_LIGHT = struct.Struct("!IQH")
_REPLY = struct.Struct("!IQHHQIQH2xB3x")
_REPLY_TWAMP_LIGHT = struct.Struct("!IQHHQIQH")
_REPLY_AUTHENTICATED = struct.Struct("!I12xQHH4xQ8xI12xQH6xB15x")


class PacketFault(StrEnum):
    """Reason why bytes are no STAMP packet that may be processed."""

    SHORT = "short"
    BAD_HMAC = "bad-hmac"


class Request(Struct, frozen=True):
    """Session-Sender test packet. ``timestamp`` is the word on the wire, ``ssid`` is 0 where none is used."""

    sequence: int
    timestamp: int
    estimate: ErrorEstimate
    ssid: int = 0
    extra: bytes = b""


class Reply(Struct, frozen=True):
    """Session-Reflector test packet.

    ``timestamp`` (T3), ``received`` (T2) and ``sender_timestamp`` (T1, copied) are words on the wire. The
    first two have the format of ``estimate``, the last one that of ``sender_estimate``. ``sender_ttl`` is the
    TTL of the received request, None where a TWAMP Light reflector leaves it out.
    """

    sequence: int
    timestamp: int
    estimate: ErrorEstimate
    ssid: int
    received: int
    sender_sequence: int
    sender_timestamp: int
    sender_estimate: ErrorEstimate
    sender_ttl: int | None
    extra: bytes = b""


def mac(key: bytes, covered: bytes | memoryview) -> bytes:
    """Compute HMAC-SHA-256, truncated to its leftmost 16 bytes (RFC 8762 section 4.4)."""
    return hmac.digest(key, covered, "sha256")[:HMAC_BYTES]


def verify(data: bytes, key: bytes) -> bool:
    """Check the base HMAC of an authenticated packet of either direction."""
    if len(data) < AUTHENTICATED_BASE_BYTES:
        return False
    # In constant time: a comparison that ends early would tell a sender how many octets were right.
    return hmac.compare_digest(data[_COVERED_BYTES:AUTHENTICATED_BASE_BYTES], mac(key, data[:_COVERED_BYTES]))


def base_bytes(*, authenticated: bool) -> int:
    """Length of a packet without TLVs."""
    return AUTHENTICATED_BASE_BYTES if authenticated else BASE_BYTES


def sequence_octets(sequence: int) -> bytes:
    """Pack the Sequence Number field as the HMAC TLV covers it (RFC 8972 section 4.8)."""
    return _SEQUENCE.pack(sequence)


def looks_reflected(data: bytes, *, authenticated: bool) -> bool:
    """Check if a packet of at least base size has a Receive Timestamp, where a request has zeros."""
    # These octets must be zero in a request (RFC 8762 sections 4.2.1 and 4.2.2).
    return any(data[32:40] if authenticated else data[16:24])


def sequences(data: bytes, *, authenticated: bool) -> tuple[int, int] | None:
    """Read the reflector's Sequence Number and the sender's copied one from a reply not verified yet."""
    # Offsets of the Session-Sender Sequence Number (RFC 8762 sections 4.3.1 and 4.3.2).
    copied = 48 if authenticated else 24
    if len(data) < base_bytes(authenticated=authenticated):
        return None
    return _SEQUENCE.unpack_from(data)[0], _SEQUENCE.unpack_from(data, copied)[0]


def encode_request(request: Request, key: bytes | None = None) -> bytes:
    """Encode a packet, authenticated when a key is given."""
    fields = (request.sequence, request.timestamp, request.estimate.field, request.ssid)
    if key is None:
        return _REQUEST.pack(*fields) + request.extra
    covered = _REQUEST_AUTHENTICATED.pack(*fields)
    return covered + mac(key, covered) + request.extra


def encode_reply(reply: Reply, key: bytes | None = None) -> bytes:
    """Encode a packet, authenticated when a key is given."""
    draft = draft_reply(reply, key)
    stamp_reply(draft, reply.timestamp, key)
    return bytes(draft)


def stamp_reply(draft: bytearray, timestamp: int, key: bytes | None = None) -> None:
    """Put T3 into a draft, and the HMAC that covers it."""
    # Nothing else is left to this moment: it is part of the round trip that is measured.
    if key is None:
        _TIMESTAMP.pack_into(draft, _T3_PLACE, timestamp)
        return
    _TIMESTAMP.pack_into(draft, _T3_PLACE_AUTHENTICATED, timestamp)
    draft[_COVERED_BYTES:AUTHENTICATED_BASE_BYTES] = mac(key, memoryview(draft)[:_COVERED_BYTES])


def draft_reply(reply: Reply, key: bytes | None = None) -> bytearray:
    """Encode all of the packet that does not depend on T3; ``stamp_reply`` adds the rest."""
    fields = (
        reply.sequence,
        0,
        reply.estimate.field,
        reply.ssid,
        reply.received,
        reply.sender_sequence,
        reply.sender_timestamp,
        reply.sender_estimate.field,
        reply.sender_ttl or 0,
    )
    if key is None:
        return bytearray(_REPLY.pack(*fields) + reply.extra)
    return bytearray(_REPLY_AUTHENTICATED.pack(*fields) + bytes(HMAC_BYTES) + reply.extra)


def decode_request(data: bytes, key: bytes | None = None) -> Request | PacketFault:
    """Read a Session-Sender packet; with a key the HMAC is verified before all else (section 4.3)."""
    base = base_bytes(authenticated=key is not None)
    if key is None and TWAMP_LIGHT_REQUEST_BYTES <= len(data) < base:
        # A TWAMP sender has no SSID. Its padding, if any, is no TLV (RFC 8762 section 4.6).
        sequence, timestamp, estimate = _REQUEST_TWAMP_LIGHT.unpack_from(data)
        return Request(sequence, timestamp, ErrorEstimate.from_field(estimate))
    if len(data) < base:
        return PacketFault.SHORT
    if key is not None and not verify(data, key):
        return PacketFault.BAD_HMAC
    layout = _REQUEST if key is None else _REQUEST_AUTHENTICATED
    sequence, timestamp, estimate, ssid = layout.unpack_from(data)
    return Request(sequence, timestamp, ErrorEstimate.from_field(estimate), ssid, data[base:])


def decode_reply(data: bytes, key: bytes | None = None, *, twamp_light: bool = False) -> Reply | PacketFault:
    """Read a Session-Reflector packet.

    With ``twamp_light`` unauthenticated replies of 38 bytes and more are accepted. A TWAMP Light reflector
    may leave out everything from octet 38 on, including the TTL (RFC 8762 section 4.6).
    """
    base = base_bytes(authenticated=key is not None)
    if len(data) < base:
        shortened = twamp_light and key is None and len(data) >= TWAMP_LIGHT_REPLY_BYTES
        return _reply((*_REPLY_TWAMP_LIGHT.unpack_from(data), None), b"") if shortened else PacketFault.SHORT
    if key is not None and not verify(data, key):
        return PacketFault.BAD_HMAC
    layout = _REPLY if key is None else _REPLY_AUTHENTICATED
    return _reply(layout.unpack_from(data), data[base:])


def _reply(fields: tuple[int, int, int, int, int, int, int, int, int | None], extra: bytes) -> Reply:
    sequence, timestamp, estimate, ssid, received, sender_sequence, sender_timestamp, error, ttl = fields
    return Reply(
        sequence=sequence,
        timestamp=timestamp,
        estimate=ErrorEstimate.from_field(estimate),
        ssid=ssid,
        received=received,
        sender_sequence=sender_sequence,
        sender_timestamp=sender_timestamp,
        sender_estimate=ErrorEstimate.from_field(error),
        sender_ttl=ttl,
        extra=extra,
    )
