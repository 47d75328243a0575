"""What a Session-Reflector does with the TLVs of a request (RFC 8972 sections 4, 4.4, 4.7 and 4.8)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from wire.stamp import tlv
from wire.stamp.timestamp import to_ntp
from wire.stamp.tlv import ClassOfService, Flag, FollowUp, Tlv, Type

_MASK_32 = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Answer:
    """The TLV part of a reply, as long as the request's, and the DSCP the reply must carry.

    ``dscp`` None: nothing was asked for, or policy refused it; the reply carries the DSCP it received.
    ``follow_up``: the sender asks for true sending times, so this reply's own is wanted for the next.
    """

    extra: bytes
    dscp: int | None = None
    follow_up: bool = False


@dataclass(frozen=True, slots=True)
class Terms:
    """What the answer depends on beside the TLVs.

    ``key`` None is the unauthenticated mode. ``dscp_ecn`` is the traffic class octet the request arrived
    with, None where the kernel did not say. ``allows_dscp`` is the local policy on requested DSCPs
    (section 4.4). ``previous_sent_ns``: when the session's previous reply left by the kernel's stamp, Unix
    nanoseconds; 0 where there is none.
    """

    request_sequence: int
    reply_sequence: int
    key: bytes | None
    dscp_ecn: int | None
    allows_dscp: Callable[[int], bool]
    previous_sent_ns: int = 0


def answer(extra: bytes, terms: Terms) -> Answer:
    """Answer everything behind the base packet, in place and length for length."""
    tlvs, rest = tlv.decode(extra)
    if terms.key is not None and not tlv.hmac_holds(tlvs, rest, terms.key, terms.request_sequence):
        # Section 4.8: a failed check ends all processing, but the base reply is still sent.
        untrusted = [replace(one, flags=one.flags | Flag.INTEGRITY) for one in tlvs]
        return Answer(tlv.encode(untrusted, _flag_rest(rest, Flag.INTEGRITY | Flag.MALFORMED)))
    return _process(tlvs, _flag_rest(rest, Flag.MALFORMED), terms)


def _flag_rest(rest: bytes, flags: int) -> bytes:
    """Flag the TLV that runs beyond the packet; fewer bytes than a header are no TLV and stay as they are."""
    if len(rest) < tlv.HEADER_BYTES:
        return rest
    return bytes([rest[0] & Flag.UNRECOGNISED | flags]) + rest[1:]


def _process(tlvs: Sequence[Tlv], rest: bytes, terms: Terms) -> Answer:
    answered: list[Tlv] = []
    dscp: int | None = None
    for place, asked in enumerate(tlvs):
        if asked.type == Type.CLASS_OF_SERVICE and terms.dscp_ecn is not None:
            wanted = ClassOfService.decode(asked.value)
            if wanted is None:
                malformed = replace(asked, flags=Flag.MALFORMED)
                return Answer(tlv.encode([*answered, malformed, *tlvs[place + 1 :]], rest), dscp)
            granted = _class_of_service(wanted, terms.dscp_ecn, terms.allows_dscp)
            dscp = dscp if granted.refused else granted.wanted
            answered.append(Tlv(asked.type, granted.encode(), 0))
        elif asked.type == Type.FOLLOW_UP:
            if len(asked.value) != tlv.FOLLOW_UP_BYTES:
                # Section 4.7: what would be the fields is zeroed, beside the flag.
                malformed = Tlv(asked.type, bytes(len(asked.value)), Flag.MALFORMED)
                return Answer(tlv.encode([*answered, malformed, *tlvs[place + 1 :]], rest), dscp)
            answered.append(Tlv(asked.type, _follow_up(terms).encode(), 0))
        elif asked.type == Type.HMAC and terms.key is not None:
            answered.append(tlv.hmac_tlv(terms.key, terms.reply_sequence, answered, 0))
        else:
            known = asked.type == Type.EXTRA_PADDING
            answered.append(replace(asked, flags=0 if known else Flag.UNRECOGNISED))
    return Answer(tlv.encode(answered, rest), dscp, any(one.type == Type.FOLLOW_UP for one in answered))


def _follow_up(terms: Terms) -> FollowUp:
    """Zeros where the kernel gave no stamp, as a stateless reflector: the reply's own T3 is all there is."""
    if not terms.previous_sent_ns:
        return FollowUp()
    previous = terms.reply_sequence - 1 & _MASK_32
    return FollowUp(previous, to_ntp(terms.previous_sent_ns), tlv.SOFTWARE_LOCAL)


def _class_of_service(
    asked: ClassOfService, dscp_ecn: int, allows_dscp: Callable[[int], bool]
) -> ClassOfService:
    return ClassOfService(
        wanted=asked.wanted,
        received_dscp=dscp_ecn >> 2,
        received_ecn=dscp_ecn & 3,
        refused=not allows_dscp(asked.wanted),
    )
