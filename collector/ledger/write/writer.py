"""Writer thread of the ledger: takes groups of messages, commits them, and passes on the results."""

import logging
import threading
import time
from collections.abc import Callable, Sequence

from sqlalchemy.exc import DatabaseError, SQLAlchemyError

from collector.ledger.store import explain, ledger_fails
from collector.ledger.write.commit import Ledger
from collector.ledger.write.commit_result import CommitResult, combined
from collector.model.message import Batch, Judged, PeerBatch, UnreadableMessage
from net.complaint import Complaint
from wire.messages.envelope import Fault, Reason

log = logging.getLogger(__name__)

IDLE_SECONDS = 1.0
PRUNE_SECONDS = 60.0
PAUSE_SECONDS = 1.0

# Waits so many seconds for a group of messages; an empty one without any, None when no more will come.
Take = Callable[[float], Sequence[Judged] | None]
OnCommitted = Callable[[CommitResult, float], None]


class Writer(threading.Thread):
    """Runs until ``take`` gives None.

    ``on_committed`` is called in this thread after each commit, with the seconds it took. ``problem`` is the
    reason why nothing can be committed, or None. ``on_uncommitted`` gets the number of messages dropped for
    that reason. They get no receipt, so their agents send them again.
    """

    def __init__(
        self,
        ledger: Ledger,
        take: Take,
        on_committed: OnCommitted,
        *,
        on_uncommitted: Callable[[int], None],
        keep_payloads_s: float,
        comparison_grace_s: float,
    ) -> None:
        super().__init__(name="ledger-writer", daemon=True)
        self.problem: str | None = None
        self._ledger = ledger
        self._take = take
        self._on_committed = on_committed
        self._on_uncommitted = on_uncommitted
        self._keep_payloads_s = keep_payloads_s
        self._comparison_grace_s = comparison_grace_s
        self._next_prune = 0.0
        self._unpruned = Complaint()

    def run(self) -> None:
        """The thread's loop."""
        while (group := self._take(IDLE_SECONDS)) is not None:
            if group:
                self._commit_group(group)
            self._prune()

    def _commit_group(self, group: Sequence[Judged]) -> None:
        began = time.monotonic()
        result, problem = self._commit(group)
        self._say(problem)
        if result.messages:
            self._on_committed(result, time.monotonic() - began)
        if problem is not None:
            self._on_uncommitted(len(group) - len(result.messages))
            time.sleep(PAUSE_SECONDS)

    def _commit(self, group: Sequence[Judged]) -> tuple[CommitResult, str | None]:
        """Commit together; if one message is at fault, one by one, so that it alone is rejected.

        Returns the result of what was committed, and the reason why the ledger accepts no more.
        """
        try:
            return self._ledger.commit(group), None
        except Exception as error:
            if ledger_fails(error):
                return CommitResult(), explain(error)
            log.exception("a group of %d messages was not committed; trying them one by one", len(group))
        results: list[CommitResult] = []
        for message in group:
            try:
                results.append(self._commit_alone(message))
            except DatabaseError as error:
                if not ledger_fails(error):
                    raise
                return combined(results), explain(error)
        return combined(results), None

    def _commit_alone(self, message: Judged) -> CommitResult:
        try:
            return self._ledger.commit([message])
        except Exception as error:
            if ledger_fails(error):
                raise
            detail = f"the collector cannot store it ({type(error).__name__}): its fault, not the site's"
            fault = Fault(Reason.STORAGE, detail)
            return self._ledger.commit([_refused(message, fault)])

    def _say(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            log.error("the ledger accepts nothing: %s", problem)
        if problem is None and self.problem is not None:
            log.info("the ledger works again")
        self.problem = problem

    def _prune(self) -> None:
        now = time.monotonic()
        if now < self._next_prune:
            return
        problem = ""
        try:
            left = self._ledger.prune_payloads(int((time.time() - self._keep_payloads_s) * 1e6))
            left += self._give_up_comparisons(now)
            left += self._redate()
        except SQLAlchemyError as error:
            left, problem = 0, explain(error)
        if self._unpruned.is_news(problem):
            log.warning("the ledger cannot drop old payloads, close peer comparisons or re-date: %s", problem)
        self._next_prune = now if left else now + PRUNE_SECONDS

    def _redate(self) -> bool:
        """Re-date measurements of boots with better anchors; returns true if there are more."""
        began = time.monotonic()
        redated, more = self._ledger.redate()
        if redated:
            self._on_committed(CommitResult(redated=tuple(redated)), time.monotonic() - began)
        return more

    def _give_up_comparisons(self, now: float) -> int:
        """Report load tests whose second record did not arrive in time; returns their number."""
        compared = self._ledger.give_up_comparisons(int((time.time() - self._comparison_grace_s) * 1e6))
        if compared:
            self._on_committed(CommitResult(compared=tuple(compared)), time.monotonic() - now)
        return len(compared)


def _refused(message: Judged, fault: Fault) -> UnreadableMessage:
    site = None if isinstance(message, PeerBatch) else message.site
    peer = None if isinstance(message, Batch) else message.peer
    return UnreadableMessage(message.arrival, site, message.digest, fault, peer)
