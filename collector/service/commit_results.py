"""Results of commits, passed on in their order: receipts at once, then counters, views and commands.

The ledger's writer runs in a thread of its own; everything here runs on the event loop.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence

from collector.ingest.commands import Commands
from collector.ingest.receipts import Receipts
from collector.ingest.resend import Resends
from collector.ledger.write.commit_result import CommitResult
from collector.live.peers import PeerCounters
from collector.model.own_counters import OwnCounters
from collector.service.blackout_watch import BlackoutWatch
from collector.service.views import Views
from wire.messages.envelope import ReceiptStatus

log = logging.getLogger(__name__)

LEARN_AT_ONCE = 50  # messages between two turns of the event loop, a few milliseconds


class CommitResults:
    """Passes results of commits to all that depends on them. ``now_us`` reads the wall clock."""

    def __init__(
        self,
        receipts: Receipts,
        commands: Commands,
        resends: Resends,
        views: Views,
        counters: OwnCounters,
        peers: PeerCounters,
        blackout_watch: BlackoutWatch,
        now_us: Callable[[], int],
    ) -> None:
        self._receipts = receipts
        self._commands = commands
        self._resends = resends
        self._views = views
        self._counters = counters
        self._peers = peers
        self._blackout_watch = blackout_watch
        self._now_us = now_us
        self._waiting: deque[CommitResult] = deque()

    def take(self, results: Sequence[CommitResult], seconds: float) -> None:
        """Take the results of one commit, which took ``seconds``."""
        self._counters.commit_seconds.observe(seconds)
        receipts = [(found.topic, found.receipt) for found in results if found.topic and found.receipt]
        if receipts:
            self._blackout_watch.committed()
        self._receipts.add(receipts)
        is_learning = bool(self._waiting)
        self._waiting += results
        if not is_learning:
            self._learn()

    def _learn(self) -> None:
        """Learn the next results, and the rest in a later turn of the event loop.

        The order of commits is kept. Otherwise a view would learn the time of a measurement after its
        re-dating.
        """
        now = [self._waiting.popleft() for _ in range(min(LEARN_AT_ONCE, len(self._waiting)))]
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._learn)
        now_us = self._now_us()
        for found in now:
            self._counters.count_message((fate.status for fate in found.fates), found.rejected)
            self._counters.redelivered.inc(sum(fate.redelivered for fate in found.fates))
            self._counters.count_passed_over(found.passed_over)
            self._peers.count_message(found.peer_message)
            log_conflicts(found)
            if found.speaker is not None and (command := self._resends.hear(found.speaker, now_us)):
                self._commands.add(command)
        self._views.learn((seen for found in now for seen in found.observations), now_us)
        redated = (one for found in now for one in found.moved)
        self._views.relearn(((one.site, one.observations, one.outages) for one in redated), now_us)
        compared = [one for found in now for one in found.compared]
        self._peers.count_comparisons(compared)
        self._views.learn_comparisons(compared, now_us)


def log_conflicts(found: CommitResult) -> None:
    """Log measurements and tests that arrived again with other content; no program of ours sends such."""
    conflicts = sum(fate.status is ReceiptStatus.CONFLICT for fate in found.fates)
    if conflicts and found.receipt is not None:
        log.error(
            "site %s: %d measurements arrived again with other content: both contents are kept,"
            " see the runbook identity-in-doubt",
            found.receipt.sender,
            conflicts,
        )
    tests = found.peer_message.statuses.count(ReceiptStatus.CONFLICT) if found.peer_message else 0
    if tests and found.peer_message:
        peer = found.peer_message.peer
        log.error("peer %s: %d tests arrived again with other content: both contents are kept", peer, tests)
