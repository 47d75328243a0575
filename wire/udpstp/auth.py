"""Authentication mode 1 of RFC 9946 §5.3.1 and the key derivation of §5.4.1.

Both ends derive two keys for each connection from the shared secret and the authUnixTime of the first Setup
Request: one signs what the client sends, the other what the server sends. Load and Status PDUs are not
signed.
"""

import hashlib
import hmac
from collections import OrderedDict
from enum import StrEnum

from msgspec import Struct

from wire.udpstp import pdu

TIME_WINDOW_S = 5
"""How far authUnixTime may be from the receiver's time, either way (§5.3.1)."""

_DIGEST_BYTES = 32
_OUTPUT_BITS = 512


class AuthenticationFault(StrEnum):
    """Why a signed PDU is not believed."""

    MODE = "mode"
    DIGEST = "digest"
    TIME = "time"
    REPLAYED = "replayed"


class Keys(Struct, frozen=True):
    """The two keys of one connection. Never shown: their repr leaks neither."""

    client: bytes
    server: bytes

    def __repr__(self) -> str:
        return "Keys()"


def derive_keys(secret: bytes, auth_time: int) -> Keys:
    """Derive the keys of one connection by NIST SP 800-108 in counter mode, PRF HMAC-SHA-256.

    ``auth_time`` is authUnixTime of the first Setup Request; it stays the context when later PDUs are newer.
    """
    fixed = b"UDPSTP\0" + str(auth_time).encode() + _OUTPUT_BITS.to_bytes(4)
    blocks = [hmac.digest(secret, counter.to_bytes(4) + fixed, hashlib.sha256) for counter in (1, 2)]
    return Keys(*blocks)


def digest(packet: bytes, key: bytes) -> bytes:
    """HMAC-SHA-256 over the whole PDU with authDigest and checkSum zero (§5.3.1)."""
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    blank = packet[:at] + bytes(_DIGEST_BYTES) + packet[at + _DIGEST_BYTES : -2] + bytes(2)
    return hmac.digest(key, blank, hashlib.sha256)


def sign(packet: bytes, key: bytes) -> bytes:
    """``packet``, a control PDU final in every other field, with its digest put in; checkSum stays 0."""
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    return packet[:at] + digest(packet, key) + packet[at + _DIGEST_BYTES :]


def fault(
    packet: bytes, key: bytes, auth_mode: int, auth_time: int, now_s: float
) -> AuthenticationFault | None:
    """Why this sound control PDU is not to be believed, in the order of §6.2: mode, digest, time."""
    if auth_mode != pdu.AUTHENTICATION_MODE_1:
        return AuthenticationFault.MODE
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    if not hmac.compare_digest(digest(packet, key), packet[at : at + _DIGEST_BYTES]):
        return AuthenticationFault.DIGEST
    return None if is_timely(auth_time, now_s) else AuthenticationFault.TIME


def is_timely(auth_time: int, now_s: float) -> bool:
    """Whether authUnixTime, in whole seconds, lies within the window around ``now_s``."""
    return abs(auth_time - int(now_s)) <= TIME_WINDOW_S


class ReplayCache:
    """Remembers each believed (time, digest) for as long as its time would still be accepted.

    Only what carried a right digest comes here, so that a stranger cannot fill it; when a key holder does,
    further requests are refused until the oldest has expired.
    """

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._seen: OrderedDict[tuple[int, bytes], None] = OrderedDict()

    def is_new(self, auth_time: int, packet_digest: bytes, now_s: float) -> bool:
        """Whether this was never seen; it is remembered from now on."""
        # By the entry's own time: one remembered before the clock was set back would stay, and fill this up.
        while self._seen and not is_timely(next(iter(self._seen))[0], now_s):
            self._seen.popitem(last=False)
        entry = (auth_time, packet_digest)
        if entry in self._seen or len(self._seen) >= self._capacity:
            return False
        self._seen[entry] = None
        return True
