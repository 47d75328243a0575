"""Authentication mode 1 of RFC 9946 §5.3.1 and the key derivation of §5.4.1.

Both ends derive two keys for each connection, from the shared secret and authUnixTime of the first Setup
Request. One key signs the control PDUs of the client, the other those of the server. Load and Status PDUs are
not signed.
"""

import hashlib
import hmac
from collections import Counter, OrderedDict
from enum import StrEnum

from msgspec import Struct

from wire.udpstp import pdu

TIME_WINDOW_S = 5
"""Largest difference between authUnixTime and the receiver's time (§5.3.1)."""

_DIGEST_BYTES = 32
_OUTPUT_BITS = 512


class AuthenticationFault(StrEnum):
    """Reason why a control PDU does not verify."""

    MODE = "mode"
    DIGEST = "wrong-key"
    TIME = "time"
    REPLAYED = "replayed"
    CROWDED = "crowded"
    """No room to remember the request, so that a replay of it could not be told."""


class Keys(Struct, frozen=True):
    """Both keys of one connection; ``repr`` shows neither."""

    client: bytes
    server: bytes

    def __repr__(self) -> str:
        return "Keys()"


def derive_keys(secret: bytes, auth_time: int) -> Keys:
    """Derive the keys of one connection by NIST SP 800-108 in counter mode, PRF HMAC-SHA-256.

    ``auth_time`` is authUnixTime of the first Setup Request; the time of later PDUs does not change the keys.
    """
    # Label, zero separator, context and length (appendix A); the context is decimal text.
    fixed = b"UDPSTP\0" + str(auth_time).encode() + _OUTPUT_BITS.to_bytes(4)
    blocks = [hmac.digest(secret, counter.to_bytes(4) + fixed, hashlib.sha256) for counter in (1, 2)]
    return Keys(*blocks)


def digest(packet: bytes, key: bytes) -> bytes:
    """Compute HMAC-SHA-256 over the whole PDU with authDigest and checkSum zero (§5.3.1)."""
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    blank = packet[:at] + bytes(_DIGEST_BYTES) + packet[at + _DIGEST_BYTES : -2] + bytes(2)
    return hmac.digest(key, blank, hashlib.sha256)


def sign(packet: bytes, key: bytes) -> bytes:
    """Put the digest into ``packet``, a control PDU that is final in every other field; checkSum stays 0."""
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    return packet[:at] + digest(packet, key) + packet[at + _DIGEST_BYTES :]


def fault(
    packet: bytes, key: bytes, auth_mode: int, auth_time: int, now_s: float
) -> AuthenticationFault | None:
    """Verify a valid control PDU in the order of §6.2: mode, digest, time; None where it verifies."""
    if auth_mode != pdu.AUTHENTICATION_MODE_1:
        return AuthenticationFault.MODE
    at = pdu.DIGEST_AT[int.from_bytes(packet[:2])]
    # Before the time: anybody can send any time, and a wrong one is reported of a key holder alone.
    if not hmac.compare_digest(digest(packet, key), packet[at : at + _DIGEST_BYTES]):
        return AuthenticationFault.DIGEST
    return None if is_timely(auth_time, now_s) else AuthenticationFault.TIME


def is_timely(auth_time: int, now_s: float) -> bool:
    """Check if authUnixTime, in whole seconds, is within the window around ``now_s``."""
    return abs(auth_time - int(now_s)) <= TIME_WINDOW_S


class ReplayCache:
    """Verified requests of one key, each as (time, digest), for as long as their time is accepted.

    Only requests with a correct digest are added, so that an outsider cannot fill the cache. A key holder can
    fill that of its own key: then further requests are refused until the oldest one has expired. One address
    has a part of the room, so that it alone cannot do that to the others of its key.
    """

    def __init__(self, capacity: int = 1024, per_source: int = 64) -> None:
        self._capacity, self._per_source = capacity, per_source
        self._seen: OrderedDict[tuple[int, bytes], str] = OrderedDict()
        self._by_source: Counter[str] = Counter()

    def fault(
        self, auth_time: int, packet_digest: bytes, source: str, now_s: float
    ) -> AuthenticationFault | None:
        """Check a request from the address ``source``, and remember it if it is new; None where it is."""
        self._expire(now_s)
        entry = (auth_time, packet_digest)
        # From any address: whoever replays a request seldom has the address of its sender.
        if entry in self._seen:
            return AuthenticationFault.REPLAYED
        # A full cache refuses: to forget an entry would let its request be replayed within the window.
        if len(self._seen) >= self._capacity or self._by_source.get(source, 0) >= self._per_source:
            return AuthenticationFault.CROWDED
        self._seen[entry] = source
        self._by_source[source] += 1
        return None

    def _expire(self, now_s: float) -> None:
        # Expired by the entry's own time, not by the time it was added: after the clock is set back such
        # entries would stay and fill the cache.
        while self._seen and not is_timely(next(iter(self._seen))[0], now_s):
            _, source = self._seen.popitem(last=False)
            self._by_source[source] -= 1
            if not self._by_source[source]:
                del self._by_source[source]
