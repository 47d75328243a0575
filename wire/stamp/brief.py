"""The smallest exchange that proves who answers: 72 bytes each way, where an authenticated packet has 112.

It is a test packet of the unauthenticated mode with random padding and an HMAC TLV, which RFC 8972 section
4.8 allows there: who has the key sends the padding back under an HMAC of its own. That covers Sequence Number
and TLVs and no time, so that the reply is a sign of life and nothing else. Times are Unix nanoseconds.
"""

import hmac
import secrets
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from wire.stamp import tlv
from wire.stamp.packet import (
    AUTHENTICATED_BASE_BYTES,
    BASE_BYTES,
    HMAC_BYTES,
    Reply,
    Request,
    decode_reply,
    decode_request,
    encode_request,
    mac,
    sequence_octets,
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import Flag, Tlv, Type

NONCE_BYTES: Final = 4
BYTES: Final = BASE_BYTES + 2 * tlv.HEADER_BYTES + NONCE_BYTES + HMAC_BYTES
_OUTSTANDING = 16
_MASK_32 = 0xFFFF_FFFF


class BriefSender:
    """Makes requests and knows the replies to the last sixteen. ``ssid``: 1 to 65535."""

    def __init__(self, key: bytes, ssid: int) -> None:
        self._key = key
        self._ssid = ssid
        self._sequence = 0
        self._asked: OrderedDict[int, bytes] = OrderedDict()  # what was sent as padding, by number

    def packet(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        """The next request, stamped ``now_ns``."""
        sequence, nonce = self._sequence, secrets.token_bytes(NONCE_BYTES)
        self._sequence = sequence + 1 & _MASK_32
        self._asked[sequence] = nonce
        if len(self._asked) > _OUTSTANDING:
            self._asked.popitem(last=False)
        padding = [Tlv(Type.EXTRA_PADDING, nonce)]
        extra = tlv.encode([*padding, tlv.hmac_tlv(self._key, sequence, padding)])
        return encode_request(Request(sequence, to_ntp(now_ns), estimate, self._ssid, extra))

    def received(self, data: bytes) -> bool:
        """Whether these bytes are the first reply to one of them, from somebody who has the key."""
        reply = decode_reply(data) if len(data) == BYTES else None
        if not isinstance(reply, Reply) or reply.ssid != self._ssid:
            return False
        tlvs, rest = tlv.decode(reply.extra)
        asked = self._asked.get(reply.sender_sequence)
        # Cleared flags, which the HMAC covers, tell an answer from our own packet thrown back.
        if asked is None or tlvs[:1] != [Tlv(Type.EXTRA_PADDING, asked, 0)]:
            return False
        proof = _proof(reply.sequence, tlvs, rest)
        if proof is None or not proof.holds(self._key):
            return False
        del self._asked[reply.sender_sequence]
        return True


class Proof(Struct, frozen=True):
    """What an HMAC TLV covers, and what it says: read once, held against one key after the other."""

    covered: bytes
    value: bytes

    def holds(self, key: bytes) -> bool:
        """Whether somebody made it who has this key."""
        return hmac.compare_digest(mac(key, self.covered), self.value)


class Asked(Struct, frozen=True):
    """A brief request, not proved yet. ``is_reply``: by its flags a reflector has had it in hand."""

    request: Request
    proof: Proof
    is_reply: bool


def read_request(data: bytes) -> Asked | None:
    """A packet of the unauthenticated mode with padding and an HMAC TLV over it; None if it is none.

    No authenticated one is as short.
    """
    if not BASE_BYTES < len(data) < AUTHENTICATED_BASE_BYTES:
        return None
    request = decode_request(data)
    if not isinstance(request, Request) or request.estimate.multiplier == 0:
        return None
    tlvs, rest = tlv.decode(request.extra)
    proof = _proof(request.sequence, tlvs, rest)
    # Time and addresses are not covered, the U flag of the padding is: a reflector clears it.
    return None if proof is None else Asked(request, proof, not tlvs[0].flags & Flag.UNRECOGNISED)


def _proof(sequence: int, tlvs: list[Tlv], rest: bytes) -> Proof | None:
    """None but for padding and its HMAC alone: the TLVs of a train, moved into such a packet, are none."""
    if rest or [one.type for one in tlvs] != [Type.EXTRA_PADDING, Type.HMAC]:
        return None
    padding, proof = tlvs
    if len(padding.value) < NONCE_BYTES or len(proof.value) != HMAC_BYTES:
        return None
    return Proof(sequence_octets(sequence) + padding.encode(), proof.value)
