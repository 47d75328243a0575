"""Rules of the services beyond the line: peer, broker and collector. Pure.

An answer of the peer is a reply under its key, one of the broker its certificate or CONNACK. A refusal counts
only where the first hop answers (``NetworkView.refuses``).

| scope | begins when | ends when |
|---|---|---|
| peer | it is silent, while the broker answers or its own machine refuses | it is back |
| broker, silent | no session, no answer, while the peer answers or its machine refuses | it is back |
| broker, refusing | it answers, but there is no session for ``SESSION_US`` | there is a session |
| collector | the broker took a batch, no receipt came in time, the line was open after that | a receipt |
"""

from msgspec.structs import replace

from agent.probes.reachability.rules.network_view import (
    EgressKind,
    NetworkView,
    OutageBegin,
    OutageEnd,
    OutageScope,
    UplinkState,
)
from agent.probes.reachability.rules.target_history import TargetHistory, latest
from wire.records import Cause, ClockReading

# Time a session may take to come back to a broker that answers (``net.mqtt.BACKOFF_LAST_S``).
SESSION_US = 90_000_000


class PeerRules:
    """Begin and end of an outage of the peer."""

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage: the peer is silent although the way to it is open."""
        peer, broker = view.peer, view.broker
        first = peer.unanswered.first
        if not peer.is_silent(view.now) or first is None:
            return None
        is_open = view.egress.kind is EgressKind.DIRECT or view.refuses(peer, first)
        if view.egress.broker_shares:
            is_open = is_open or broker.answered_since(first)
        return OutageBegin(Cause.PEER, first, peer.last_answer) if is_open else None

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of an outage: the peer is back."""
        answers = view.peer.answers
        return OutageEnd(answers.first or view.now, answers.last_missed) if view.peer.is_back() else None


class BrokerRules:
    """Begin and end of an outage of the broker, and the loss of the uplink's session that precedes it.

    ``session_lost`` is when the session was found to be lost, None while there is one. ``look_us`` is the
    time between two looks at the session.
    """

    def __init__(self, look_us: int) -> None:
        self.session_lost: ClockReading | None = None
        self._look_us = look_us
        self._last_good: ClockReading | None = None
        self._refuses_sessions = False

    def observe(
        self, now: ClockReading, before: UplinkState, uplink: UplinkState, broker: TargetHistory
    ) -> None:
        """Record in ``broker`` what session and receipts prove: they are stronger than an answer."""
        if uplink.connected:
            self.session_lost = None
            if not before.connected:
                broker.prove(now)
        elif self.session_lost is None:
            self.session_lost, self._last_good = now, latest(broker.last_answer, uplink.last_receipt)
            broker.reset()
        receipt = uplink.last_receipt
        # A receipt that is older than an unanswered poll proves nothing about that poll.
        if receipt is not None and receipt != before.last_receipt and not broker.was_polled_after(receipt):
            # The collector's receipt came over the line and through the broker: no single lucky packet.
            broker.prove(receipt)

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage: no session, and either no answer or no session of any connection."""
        broker, lost = view.broker, self.session_lost
        if lost is None:
            return None
        if self._has_refused_for_long(broker, view.now):
            self._refuses_sessions = True
            return OutageBegin(Cause.BROKER, broker.answers.first or lost, self._last_good)
        first = broker.unanswered.first
        if not broker.is_silent(view.now) or first is None or not _is_way_open(view, first):
            return None
        if broker.answered_since(lost):
            return OutageBegin(Cause.BROKER, first, broker.last_answer)
        if broker.refused_since(first):
            # Its machine closed the session when the program ended; the session is looked at once a look.
            return OutageBegin(Cause.BROKER, lost, _earlier(lost, self._look_us))
        return OutageBegin(Cause.BROKER, lost, self._last_good)

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of an outage: a session, or an answer where the broker was silent."""
        broker, connected = view.broker, view.uplink.connected
        if self._refuses_sessions:
            if not connected:
                return None
            self._refuses_sessions = False
            return OutageEnd(view.now, _earlier(view.now, self._look_us))
        if connected or broker.is_back():
            return OutageEnd(broker.answers.first or view.now, broker.answers.last_missed)
        return None

    def _has_refused_for_long(self, broker: TargetHistory, now: ClockReading) -> bool:
        answers = broker.answers
        if not answers.count or answers.first is None:
            return False
        return now.boot_us - answers.first.boot_us >= SESSION_US


class CollectorRules:
    """Begin and end of an outage of the collector."""

    def begin(self, view: NetworkView) -> OutageBegin | None:
        """Begin of an outage: a batch is without a receipt for too long."""
        uplink = view.uplink
        if not uplink.connected or uplink.awaited_since is None or OutageScope.BROKER in view.open_scopes:
            return None
        late_us = uplink.awaited_since.boot_us + uplink.receipt_wait_us
        heard = view.last_heard_beyond()
        # Without a later sign of life the line itself may have been out since a moment ago.
        if view.now.boot_us < late_us or heard is None or heard.boot_us < late_us:
            return None
        return OutageBegin(Cause.COLLECTOR, uplink.awaited_since, uplink.last_receipt)

    def end(self, view: NetworkView, begin: ClockReading | None) -> OutageEnd | None:
        """End of an outage that began at ``begin`` (None: in an earlier boot): a receipt after that."""
        receipt = view.uplink.last_receipt
        if receipt is None or (begin is not None and receipt.boot_us < begin.boot_us):
            return None
        return OutageEnd(receipt, view.uplink.last_missed or begin)


def _is_way_open(view: NetworkView, then: ClockReading) -> bool:
    """True if the way to the broker was open after ``then``, so that only the broker can be out."""
    return not view.egress.broker_shares or view.peer.answered_since(then) or view.refuses(view.broker, then)


def _earlier(moment: ClockReading, by_us: int) -> ClockReading:
    return replace(moment, boot_us=max(0, moment.boot_us - by_us))
