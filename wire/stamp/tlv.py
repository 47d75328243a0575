"""STAMP extensions: the TLV frame and the TLVs Plancher works with (RFC 8972 section 4).

Class of Service, Extra Padding, Follow-Up Telemetry and HMAC are processed; every other type is copied as
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
SOFTWARE_LOCAL: Final = 2
"""Timestamp method "SW Local" (section 5.5, table 9): the kernel's stamp is a reading of the local clock."""

_HEADER = struct.Struct("!BBH")
_FOLLOW_UP = struct.Struct("!IQB3x")


class Flag(IntFlag):
    """The flags octet (section 4). A sender sets U, the reflector clears it where it knows the type."""

    UNRECOGNISED = 0x80
    MALFORMED = 0x40
    INTEGRITY = 0x20


class Type(IntEnum):
    """The types that are processed here."""

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
        """The TLV's bytes."""
        return _HEADER.pack(self.flags, self.type, len(self.value)) + self.value


class ClassOfService(Struct, frozen=True):
    """The Class of Service TLV's value (section 4.4).

    ``wanted``: DSCP the sender wants on the reply (DSCP1). ``received_dscp`` and ``received_ecn``: what
    the request carried when it reached the reflector. ``refused``: the reflector's policy forbade
    ``wanted`` (RP).
    """

    wanted: int
    received_dscp: int = 0
    received_ecn: int = 0
    refused: bool = False

    def encode(self) -> bytes:
        """The four octets of the value."""
        word = self.wanted << 26 | self.received_dscp << 20 | self.received_ecn << 18 | self.refused << 16
        return word.to_bytes(CLASS_OF_SERVICE_BYTES)

    @classmethod
    def decode(cls, value: bytes) -> "ClassOfService | None":
        """Read the value; None when its length is wrong."""
        if len(value) != CLASS_OF_SERVICE_BYTES:
            return None
        word = int.from_bytes(value)
        return cls(word >> 26, word >> 20 & 0x3F, word >> 18 & 3, bool(word >> 16 & 3))


class FollowUp(msgspec.Struct, frozen=True):
    """The Follow-Up Telemetry TLV's value (section 4.7): when the session's previous reply was really sent.

    ``sequence``: that reply's own Sequence Number. ``timestamp``: the word on the wire, in the format of the
    reply that carries it. ``method``: how the time was had (table 9). All zero in a request, and in a reply
    that has nothing to tell.
    """

    sequence: int = 0
    timestamp: int = 0
    method: int = 0

    def encode(self) -> bytes:
        """The sixteen octets of the value."""
        return _FOLLOW_UP.pack(self.sequence, self.timestamp, self.method)

    @classmethod
    def decode(cls, value: bytes) -> "FollowUp | None":
        """Read the value; None when its length is wrong."""
        return cls(*_FOLLOW_UP.unpack(value)) if len(value) == FOLLOW_UP_BYTES else None


class Said(msgspec.Struct, frozen=True):
    """What a reply says in TLVs that may be relied on; None where it says nothing."""

    class_of_service: ClassOfService | None = None
    follow_up: FollowUp | None = None


def encode(tlvs: Sequence[Tlv], rest: bytes = b"") -> bytes:
    """TLVs one after the other, without padding between them, and what could not be read as TLV."""
    return b"".join(tlv.encode() for tlv in tlvs) + rest


def decode(data: bytes) -> tuple[list[Tlv], bytes]:
    """Split into TLVs; the second part is what is left where a header or value runs beyond the end."""
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
    """The HMAC TLV over a packet's Sequence Number and all TLVs before it (section 4.8)."""
    return Tlv(Type.HMAC, mac(key, sequence_octets(sequence) + encode(preceding)), flags)


def hmac_holds(tlvs: Sequence[Tlv], rest: bytes, key: bytes, sequence: int) -> bool:
    """Whether the HMAC TLV is there, in its place and right.

    Only Extra Padding may follow it, and padding alone needs none (section 4.8).
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
    """Index of the first HMAC TLV."""
    return next((place for place, tlv in enumerate(tlvs) if tlv.type == Type.HMAC), None)


def request(
    *,
    sequence: int,
    key: bytes | None,
    wanted_dscp: int | None,
    follow_up: bool = False,
    padding: bytes | None = None,
) -> bytes:
    """The TLVs of a test packet: Class of Service where a DSCP is wanted, Follow-Up Telemetry, their HMAC.

    Extra Padding is last; ``padding`` is its value: four bytes less than it adds to the packet.
    """
    tlvs: list[Tlv] = []
    if wanted_dscp is not None:
        tlvs.append(Tlv(Type.CLASS_OF_SERVICE, ClassOfService(wanted_dscp).encode()))
    if follow_up:
        tlvs.append(Tlv(Type.FOLLOW_UP, FollowUp().encode()))
    if tlvs and key is not None:
        tlvs.append(hmac_tlv(key, sequence, tlvs))
    if padding is not None:
        tlvs.append(Tlv(Type.EXTRA_PADDING, padding))
    return encode(tlvs)


def said_in_reply(extra: bytes, sequence: int, key: bytes | None) -> Said:
    """What a reply says, as far as it may be relied on.

    ``sequence`` is the reply's own Sequence Number. An I flag voids all TLVs, an M flag the rest, a U
    flag its own; with a key the HMAC TLV must hold (sections 4 and 4.8).
    """
    tlvs, rest = decode(extra)
    if any(tlv.flags & Flag.INTEGRITY for tlv in tlvs):
        return Said()
    if key is not None and not hmac_holds(tlvs, rest, key, sequence):
        return Said()
    values: dict[int, bytes] = {}
    for tlv in tlvs:
        if tlv.flags & Flag.MALFORMED:
            break
        if not tlv.flags & Flag.UNRECOGNISED:
            values.setdefault(tlv.type, tlv.value)
    return Said(
        ClassOfService.decode(values.get(Type.CLASS_OF_SERVICE, b"")),
        FollowUp.decode(values.get(Type.FOLLOW_UP, b"")),
    )
