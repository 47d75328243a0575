"""The smallest exchange that proves who answers: 72 bytes each way, where an authenticated packet has 112.

It is a test packet of the unauthenticated mode with random padding and an HMAC TLV, which RFC 8972 section
4.8 allows there: who has the key sends the padding back under an HMAC of its own. That covers Sequence Number
and TLVs and no time, so that the reply is a sign of life and nothing else. Times are Unix nanoseconds.
"""

import secrets
from collections import OrderedDict
from typing import Final

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
)
from wire.stamp.timestamp import ErrorEstimate, to_ntp
from wire.stamp.tlv import Tlv, Type

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
        # Cleared flags, which the HMAC covers, tell an answer from our own packet thrown back.
        padding = [one.value for one in tlvs if one.type == Type.EXTRA_PADDING and not one.flags]
        if padding != [self._asked.get(reply.sender_sequence)] or not is_proved(
            tlvs, rest, self._key, reply.sequence
        ):
            return False
        del self._asked[reply.sender_sequence]
        return True


def read_request(data: bytes) -> tuple[Request, list[Tlv]] | None:
    """A packet of the unauthenticated mode with an HMAC TLV, which no authenticated one is as short as.

    None if it is no such packet. Nothing is proved yet.
    """
    if not BASE_BYTES < len(data) < AUTHENTICATED_BASE_BYTES:
        return None
    request = decode_request(data)
    if not isinstance(request, Request) or request.estimate.multiplier == 0:
        return None
    tlvs, rest = tlv.decode(request.extra)
    return None if rest or tlv.hmac_place(tlvs) is None else (request, tlvs)


def is_proved(tlvs: list[Tlv], rest: bytes, key: bytes, sequence: int) -> bool:
    """Whether there is an HMAC TLV at all, and it holds."""
    return tlv.hmac_place(tlvs) is not None and tlv.hmac_holds(tlvs, rest, key, sequence)
