"""Answer of a Session-Reflector to the TLVs of a request (RFC 8972 sections 4, 4.4, 4.7 and 4.8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from wire.stamp import tlv
from wire.stamp.timestamp import to_ntp
from wire.stamp.tlv import ClassOfService, Flag, FollowUp, Tlv, Type

_MASK_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class TlvAnswer:
    """TLV part of a reply, as long as the request's, and the DSCP that the reply must have.

    ``dscp`` None: no DSCP was requested, or policy refused it; the reply has the DSCP of the request.
    ``follow_up``: the sender requests send times, so that the next reply needs the send time of this one.
    """

    extra: bytes
    dscp: int | None = None
    follow_up: bool = False


@dataclass(frozen=True, slots=True)
class TlvContext:
    """Inputs of the answer beside the TLVs.

    ``key`` None is the unauthenticated mode. ``dscp_ecn`` is the traffic class octet of the received request,
    None where the kernel gave none. ``allows_dscp`` is the local policy on requested DSCPs (section 4.4).
    ``previous_sent_ns`` is the kernel's send stamp of the session's previous reply (Unix ns), 0 for none.
    """

    request_sequence: int
    reply_sequence: int
    key: bytes | None
    dscp_ecn: int | None
    allows_dscp: Callable[[int], bool]
    previous_sent_ns: int = 0


def answer(extra: bytes, context: TlvContext) -> TlvAnswer:
    """Answer all TLVs behind the base packet, each in its place and with its length."""
    tlvs, rest = tlv.decode(extra)
    # Verified before any TLV is read (section 4.8). Without a key a sender's HMAC TLV stays unrecognised.
    if context.key is not None and not tlv.verify_hmac(tlvs, rest, context.key, context.request_sequence):
        # Section 4.8: a failed check ends all processing, but the base reply is still sent.
        untrusted = [replace(one, flags=one.flags | Flag.INTEGRITY) for one in tlvs]
        return TlvAnswer(tlv.encode(untrusted, _flag_rest(rest, Flag.INTEGRITY | Flag.MALFORMED)))
    return _process(tlvs, _flag_rest(rest, Flag.MALFORMED), context)


def _flag_rest(rest: bytes, flags: int) -> bytes:
    """Flag a TLV that runs beyond the end of the packet."""
    if len(rest) < tlv.HEADER_BYTES:
        # Too short for a header: no TLV, and returned unchanged.
        return rest
    # The U flag stays as it came: the type may be known, but its value cannot be read.
    return bytes([rest[0] & Flag.UNRECOGNISED | flags]) + rest[1:]


def _process(tlvs: Sequence[Tlv], rest: bytes, context: TlvContext) -> TlvAnswer:
    answered: list[Tlv] = []
    dscp: int | None = None
    for place, asked in enumerate(tlvs):
        # Without the octet from the kernel the TLV is answered as unrecognised: DSCP2 would be an invention.
        if asked.type == Type.CLASS_OF_SERVICE and context.dscp_ecn is not None:
            wanted = ClassOfService.decode(asked.value)
            if wanted is None:
                malformed = replace(asked, flags=Flag.MALFORMED)
                # Section 4: a malformed TLV ends the processing, and what follows is returned as it came.
                return TlvAnswer(tlv.encode([*answered, malformed, *tlvs[place + 1 :]], rest), dscp)
            # A refused DSCP leaves the reply in the class of the request (section 4.4).
            granted = _class_of_service(wanted, context.dscp_ecn, context.allows_dscp)
            dscp = dscp if granted.refused else granted.wanted
            answered.append(Tlv(asked.type, granted.encode(), 0))
        elif asked.type == Type.FOLLOW_UP:
            if len(asked.value) != tlv.FOLLOW_UP_BYTES:
                # Section 4.7: a wrong length zeroes the fields and sets the flag.
                malformed = Tlv(asked.type, bytes(len(asked.value)), Flag.MALFORMED)
                return TlvAnswer(tlv.encode([*answered, malformed, *tlvs[place + 1 :]], rest), dscp)
            answered.append(Tlv(asked.type, _follow_up(context).encode(), 0))
        elif asked.type == Type.HMAC and context.key is not None:
            # Over the values as rewritten above, and the reply's own number: hence in this place of the loop.
            answered.append(tlv.hmac_tlv(context.key, context.reply_sequence, answered, 0))
        else:
            known = asked.type == Type.EXTRA_PADDING
            answered.append(replace(asked, flags=0 if known else Flag.UNRECOGNISED))
    return TlvAnswer(tlv.encode(answered, rest), dscp, any(one.type == Type.FOLLOW_UP for one in answered))


def _follow_up(context: TlvContext) -> FollowUp:
    if not context.previous_sent_ns:
        # Without a kernel stamp all zeros, as from a stateless reflector (section 4.7).
        return FollowUp()
    # The counter wraps: the reply before number 0 was 2^32 - 1.
    previous = context.reply_sequence - 1 & _MASK_32
    return FollowUp(previous, to_ntp(context.previous_sent_ns), tlv.SOFTWARE_LOCAL)


def _class_of_service(
    asked: ClassOfService, dscp_ecn: int, allows_dscp: Callable[[int], bool]
) -> ClassOfService:
    return ClassOfService(
        wanted=asked.wanted,
        received_dscp=dscp_ecn >> 2,
        received_ecn=dscp_ecn & 3,
        refused=not allows_dscp(asked.wanted),
    )
