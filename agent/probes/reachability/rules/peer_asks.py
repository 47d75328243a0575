"""How the peer is asked for a sign of life: in as few bytes as it understands.

The brief form (``wire.stamp.brief``) is used once the peer has answered it; an older one, or another
program's reflector, answers the authenticated form alone. Who is silent is asked in that form, so that the
brief one is never the reason. Bytes and moments in, bytes out, moments in Unix nanoseconds. No I/O, no clock.
"""

import secrets

from wire.stamp.brief import BriefSender
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

LEARNING_ASKS = 3
LEARN_AGAIN_ASKS = 100
"""Half an hour: then the peer may have been upgraded."""
MISSED = 3
"""Answers in the long form, and none to a brief ask between them: that is not understood."""
_PACKETS_A_SENDER = 16


class PeerAsks:
    """``key`` None is the unauthenticated mode, which is brief as it is."""

    def __init__(self, key: bytes | None) -> None:
        self._key = key
        self._ssid = 1 + secrets.randbelow(0xFFFF)
        self._senders: list[SessionSender] = []
        self._brief = None if key is None else BriefSender(key, 1 + secrets.randbelow(0xFFFF))
        self._understood = False
        self._missed = 0
        self._asks = 0
        self._heard = False

    def packets(self, row: int, now_ns: int, estimate: ErrorEstimate) -> list[bytes]:
        """What to send for one ask, the ``row``-th in a row without an answer, from 1."""
        self._asks += 1
        self._heard = False
        if self._brief is None:
            return [self._long(now_ns, estimate)]
        if self._understood:
            return [self._brief.packet(now_ns, estimate) if row == 1 else self._long(now_ns, estimate)]
        asked = [self._long(now_ns, estimate)]
        if self._asks <= LEARNING_ASKS or self._asks % LEARN_AGAIN_ASKS == 0:
            asked.append(self._brief.packet(now_ns, estimate))
        return asked

    def received(self, data: bytes, now_ns: int) -> bool:
        """True if this is an answer, and the first since the newest ask: one in two forms counts once."""
        if self._brief is not None and self._brief.received(data):
            self._understood, self._missed = True, 0
        elif any(
            one.received(data, now_ns, by_kernel=False) is ReplyVerdict.ACCEPTED for one in self._senders
        ):
            self._missed += self._understood
            self._understood = self._understood and self._missed < MISSED
        else:
            return False
        first, self._heard = not self._heard, True
        return first

    def _long(self, now_ns: int, estimate: ErrorEstimate) -> bytes:
        if not self._senders or len(self._senders[-1].exchanges) >= _PACKETS_A_SENDER:
            # The one before is kept for replies that are late.
            self._senders = [*self._senders[-1:], SessionSender(SenderSettings(self._ssid, self._key))]
        return self._senders[-1].packet(now_ns, estimate)
