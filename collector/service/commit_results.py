"""Results of commits, passed on in their order: receipts at once, then counters, commands and views.

The ledger's writer runs in a thread of its own; everything here runs on the event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from collector.ingest.outgoing import OutgoingQueue
from collector.ledger.write.commit_result import CommitResult, MessageResult
from collector.live.peers import PeerCounters
from collector.model.own_counters import OwnCounters
from collector.service.blackout_watch import BlackoutWatch
from collector.service.resend_watch import ResendWatch
from collector.service.views import Views
from wire.messages.envelope import ReceiptStatus

log = logging.getLogger(__name__)

LEARN_AT_ONCE = 50  # messages between two turns of the event loop, a few milliseconds


@dataclass(slots=True)
class CommitResults:
    """Passes results of commits to all that depends on them. ``now_us`` reads the wall clock."""

    receipts: OutgoingQueue
    resends: ResendWatch
    views: Views
    counters: OwnCounters
    peers: PeerCounters
    blackout_watch: BlackoutWatch
    now_us: Callable[[], int]
    waiting: deque[CommitResult] = field(default_factory=deque)

    def take(self, result: CommitResult, seconds: float) -> None:
        """Take the result of commits that took ``seconds``."""
        self.counters.commit_seconds.observe(seconds)
        for one in result.messages:
            if one.topic and one.receipt:
                self.blackout_watch.committed()
                self.receipts.add(one.topic, one.receipt)
        is_learning = bool(self.waiting)
        self.waiting += _portions(result)
        if not is_learning:
            self._learn()

    def _learn(self) -> None:
        """Learn the next portion, and the rest in a later turn of the event loop.

        The order of commits is kept. Otherwise a view would learn the time of a measurement after its
        re-dating.
        """
        portion = self.waiting.popleft()
        if self.waiting:
            asyncio.get_running_loop().call_soon(self._learn)
        now_us = self.now_us()
        if portion.shift_us:
            self.blackout_watch.shift(portion.shift_us)
            self.views.render([site.site_id for site in self.views.fleet], now_us)
        for message in portion.messages:
            self._count(message)
            report = message.command_report
            if report is not None:
                self.resends.heard(report)
        self.views.learn((seen for message in portion.messages for seen in message.observations), now_us)
        self.views.relearn(portion.redated, now_us)
        self.peers.count_comparisons(portion.compared)
        self.views.learn_comparisons(portion.compared, now_us)

    def _count(self, message: MessageResult) -> None:
        self.counters.count_message((record.status for record in message.records), message.rejected)
        self.counters.redelivered.inc(sum(record.redelivered for record in message.records))
        self.counters.count_passed_over(message.passed_over)
        self.peers.count_message(message.peer_message)
        log_conflicts(message)


def _portions(result: CommitResult) -> Iterator[CommitResult]:
    for start in range(0, len(result.messages), LEARN_AT_ONCE):
        yield CommitResult(result.messages[start : start + LEARN_AT_ONCE])
    if result.compared or result.redated or result.shift_us:
        yield CommitResult(compared=result.compared, redated=result.redated, shift_us=result.shift_us)


def log_conflicts(message: MessageResult) -> None:
    """Log measurements and tests that arrived again with other content; no program of ours sends such."""
    conflicts = sum(record.status is ReceiptStatus.CONFLICT for record in message.records)
    if conflicts and message.receipt is not None:
        log.error(
            "site %s: %d measurements arrived again with other content: both contents are kept,"
            " see the runbook identity-in-doubt",
            message.receipt.sender,
            conflicts,
        )
    tests = message.peer_message.statuses.count(ReceiptStatus.CONFLICT) if message.peer_message else 0
    if tests and message.peer_message:
        peer = message.peer_message.peer
        log.error("peer %s: %d tests arrived again with other content: both contents are kept", peer, tests)
