"""STAMP packets that poll the peer, and the answers to them.

A poll is one packet without padding: 112 bytes authenticated, 44 without a key. Its reply is as long and
proves that the peer is there and has the key. Moments are Unix nanoseconds. No I/O, no clock.
"""

import secrets

from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

_PACKETS_A_SENDER = 16


class PeerPolls:
    """Polls of one peer; ``key`` None is the unauthenticated mode."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._ssid = 1 + secrets.randbelow(0xFFFF)
        self._senders: list[SessionSender] = []

    def packet(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        """Encode the packet of one poll."""
        if not self._senders or len(self._senders[-1].exchanges) >= _PACKETS_A_SENDER:
            # The one before is kept for replies that are late.
            self._senders = [*self._senders[-1:], SessionSender(SenderSettings(self._ssid, self._key))]
        return self._senders[-1].packet(now_ns, estimate)

    def received(self, data: bytes, now_ns: int) -> bool:
        """Process one datagram; True for the first reply to a poll."""
        return any(
            one.received(data, now_ns, by_kernel=False) is ReplyVerdict.ACCEPTED for one in self._senders
        )
