"""STAMP extensions: the TLV frame and the TLVs that Plancher processes (RFC 8972 section 4).

These are Class of Service, Extra Padding, Follow-Up Telemetry and HMAC. Every other type is copied as
unrecognised.
"""

import hmac
import struct
from collections.abc import Sequence
from enum import IntEnum, IntFlag
from typing import Final

import msgspec
from msgspec import Struct

from wire.stamp.packet import mac, sequence_octets

HEADER_BYTES: Final = 4
CLASS_OF_SERVICE_BYTES: Final = 4
FOLLOW_UP_BYTES: Final = 16
# Timestamp method "SW Local" (section 5.5, table 9), that of the kernel's stamps.
SOFTWARE_LOCAL: Final = 2

_HEADER = struct.Struct("!BBH")
_FOLLOW_UP = struct.Struct("!IQB3x")


class Flag(IntFlag):
    """Flags octet (section 4). A sender sets U, the reflector clears it where it knows the type."""

    UNRECOGNISED = 0x80
    MALFORMED = 0x40
    INTEGRITY = 0x20


class Type(IntEnum):
    """Types that are processed here."""

    EXTRA_PADDING = 1
    CLASS_OF_SERVICE = 4
    FOLLOW_UP = 7
    HMAC = 8


class Tlv(Struct, frozen=True):
    """One TLV: ``type`` 0 to 255, ``value`` at most 65,535 bytes."""

    type: int
    value: bytes
    flags: int = Flag.UNRECOGNISED

    def encode(self) -> bytes:
        """Encode header and value."""
        return _HEADER.pack(self.flags, self.type, len(self.value)) + self.value


class ClassOfService(Struct, frozen=True):
    """Value of the Class of Service TLV (section 4.4).

    ``wanted`` is the DSCP that the sender requests for the reply (DSCP1). ``received_dscp`` and
    ``received_ecn`` are those of the request when it reached the reflector. ``refused``: the reflector's
    policy forbids ``wanted`` (RP).
    """

    wanted: int
    received_dscp: int = 0
    received_ecn: int = 0
    refused: bool = False

    def encode(self) -> bytes:
        """Encode the four octets of the value."""
        word = self.wanted << 26 | self.received_dscp << 20 | self.received_ecn << 18 | self.refused << 16
        return word.to_bytes(CLASS_OF_SERVICE_BYTES)

    @classmethod
    def decode(cls, value: bytes) -> "ClassOfService | None":
        """Read the value; None when its length is wrong."""
        if len(value) != CLASS_OF_SERVICE_BYTES:
            return None
        word = int.from_bytes(value)
        # RP has two bits of which the RFC uses one: any of them is a refusal.
        return cls(word >> 26, word >> 20 & 0x3F, word >> 18 & 3, bool(word >> 16 & 3))


class FollowUp(msgspec.Struct, frozen=True):
    """Value of the Follow-Up Telemetry TLV (section 4.7): the true send time of the session's previous reply.

    ``sequence`` is the Sequence Number of that reply. ``timestamp`` is the word on the wire, in the format of
    the reply that contains it. ``method`` is the timestamp method (table 9). All are zero in a request, and
    in a reply that knows no send time.
    """

    sequence: int = 0
    timestamp: int = 0
    method: int = 0

    def encode(self) -> bytes:
        """Encode the sixteen octets of the value."""
        return _FOLLOW_UP.pack(self.sequence, self.timestamp, self.method)

    @classmethod
    def decode(cls, value: bytes) -> "FollowUp | None":
        """Read the value; None when its length is wrong."""
        return cls(*_FOLLOW_UP.unpack(value)) if len(value) == FOLLOW_UP_BYTES else None


class ReplyTlvs(msgspec.Struct, frozen=True):
    """Values of the TLVs of a reply that may be relied on; None for a TLV that is missing or not reliable."""

    class_of_service: ClassOfService | None = None
    follow_up: FollowUp | None = None


def encode(tlvs: Sequence[Tlv], rest: bytes = b"") -> bytes:
    """Encode TLVs without padding between them, and ``rest``, the bytes that could not be read as TLV."""
    return b"".join(tlv.encode() for tlv in tlvs) + rest


def decode(data: bytes) -> tuple[list[Tlv], bytes]:
    """Split into TLVs and the rest, which begins where a header or value runs beyond the end."""
    tlvs: list[Tlv] = []
    offset = 0
    while offset + HEADER_BYTES <= len(data):
        flags, kind, length = _HEADER.unpack_from(data, offset)
        end = offset + HEADER_BYTES + length
        if end > len(data):
            break
        tlvs.append(Tlv(kind, data[offset + HEADER_BYTES : end], flags))
        offset = end
    return tlvs, data[offset:]


def hmac_tlv(key: bytes, sequence: int, preceding: Sequence[Tlv], flags: int = Flag.UNRECOGNISED) -> Tlv:
    """Compute the HMAC TLV over a packet's Sequence Number and all TLVs before it (section 4.8)."""
    return Tlv(Type.HMAC, mac(key, sequence_octets(sequence) + encode(preceding)), flags)


def verify_hmac(tlvs: Sequence[Tlv], rest: bytes, key: bytes, sequence: int) -> bool:
    """Check that the HMAC TLV is present, in its place and correct.

    Only Extra Padding may follow it, and padding alone needs no HMAC TLV (section 4.8).
    """
    if rest:
        return False
    place = hmac_place(tlvs)
    if place is None:
        return all(tlv.type == Type.EXTRA_PADDING for tlv in tlvs)
    if any(tlv.type != Type.EXTRA_PADDING for tlv in tlvs[place + 1 :]):
        return False
    expected = hmac_tlv(key, sequence, tlvs[:place]).value
    return hmac.compare_digest(expected, tlvs[place].value)


def hmac_place(tlvs: Sequence[Tlv]) -> int | None:
    """Find the index of the first HMAC TLV."""
    return next((place for place, tlv in enumerate(tlvs) if tlv.type == Type.HMAC), None)


def request(
    *,
    sequence: int,
    key: bytes | None,
    wanted_dscp: int | None,
    follow_up: bool = False,
    padding: bytes | None = None,
) -> bytes:
    """Encode the TLVs of a test packet: Class of Service where a DSCP is wanted, Follow-Up, HMAC, padding.

    ``padding`` is the value of Extra Padding: four bytes less than the TLV adds to the packet.
    """
    tlvs: list[Tlv] = []
    if wanted_dscp is not None:
        tlvs.append(Tlv(Type.CLASS_OF_SERVICE, ClassOfService(wanted_dscp).encode()))
    if follow_up:
        tlvs.append(Tlv(Type.FOLLOW_UP, FollowUp().encode()))
    # Padding alone needs no HMAC TLV (section 4.8).
    if tlvs and key is not None:
        tlvs.append(hmac_tlv(key, sequence, tlvs))
    # Behind the HMAC, where padding alone is allowed: its length then changes no digest.
    if padding is not None:
        tlvs.append(Tlv(Type.EXTRA_PADDING, padding))
    return encode(tlvs)


def read_reply(extra: bytes, sequence: int, key: bytes | None) -> ReplyTlvs:
    """Read the TLVs of a reply that may be relied on; ``sequence`` is the reply's own Sequence Number.

    An I flag makes all TLVs void, an M flag those from it on, a U flag its own. With a key the HMAC TLV must
    verify (sections 4 and 4.8).
    """
    tlvs, rest = decode(extra)
    # The reflector did not believe our TLVs: all of them are void (section 4.8).
    if any(tlv.flags & Flag.INTEGRITY for tlv in tlvs):
        return ReplyTlvs()
    if key is not None and not verify_hmac(tlvs, rest, key, sequence):
        return ReplyTlvs()
    values: dict[int, bytes] = {}
    for tlv in tlvs:
        if tlv.flags & Flag.MALFORMED:
            break
        if not tlv.flags & Flag.UNRECOGNISED:
            # The first of a type counts: a second one is no TLV that we sent.
            values.setdefault(tlv.type, tlv.value)
    return ReplyTlvs(
        ClassOfService.decode(values.get(Type.CLASS_OF_SERVICE, b"")),
        FollowUp.decode(values.get(Type.FOLLOW_UP, b"")),
    )
