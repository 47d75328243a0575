"""Watches who answers for as long as the agent runs, and tells when an outage begins and when it is over."""

import asyncio
import logging
import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path

from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.asks import Asks
from agent.probes.reachability.rules.asking_plan import AskingPlan
from agent.probes.reachability.rules.outages import SUSPECTED, Connection, OutageRules, Target, Track
from agent.probes.reachability.state import ReachabilityState
from agent.task.context import Surroundings
from agent.task.watch import Event, Tell
from agent.train.peer_last_seen import Hearing
from agent.uplink.uplink import Uplink
from net.complaint import Complaint
from outbox.journal.thread import JournalThread
from wire.records import ClockReading, ReachabilityMeasurement, ReachabilityValues

log = logging.getLogger(__name__)

PATIENCE_INTERVALS = 9
"""So long a receipt may be late: the collector, too, may have to come back to the broker."""
LOOK_UP_LOOKS = 300
"""The names of peer and broker are looked up again every so many looks, ten minutes, ..."""
LOOK_UP_SILENT_LOOKS = 15
"""... and while one of them does not answer."""

KEEP_AGAIN_LOOKS = 15
"""What a disk did not take is written later: else the next run would tell of an outage that is long over."""


class ReachabilityWatch:
    """Looks five times an interval; most looks ask nobody.

    ``own_test`` says whether a test of ours has the line: nobody is asked then, and nothing held against
    anybody. ``outages`` are those that are open.
    """

    name = "reachability"

    def __init__(
        self,
        surroundings: Surroundings,
        interval_s: float,
        uplink: Uplink,
        hearing: Hearing,
        journal: JournalThread,
        path: Path,
        before: ClockReading | None = None,
    ) -> None:
        interval_us = round(interval_s * 1e6)
        self.own_test: Callable[[], bool] = lambda: False
        self._look_s = interval_s * SUSPECTED
        self._clock = surroundings.clock
        self._uplink = uplink
        self._hearing = hearing
        self._journal = journal
        self._path = path
        receipt_us = round(surroundings.settings.uplink.receipt_timeout * 1e6)
        self._patience_us = max(receipt_us, PATIENCE_INTERVALS * interval_us)
        self._rules = OutageRules(interval_us, lambda: secrets.token_hex(8), before)
        self._plan = AskingPlan(interval_us)
        self._asks = Asks(surroundings, self._rules)
        self._looks = 0
        self._heard: ClockReading | None = None
        self._kept = ReachabilityState()
        self._asked = self._kept
        self._keeping: asyncio.Future[None] | None = None
        self._keep_at = 0
        self._complaint = Complaint()

    @property
    def outages(self) -> tuple[ReachabilityValues, ...]:
        """Those that are open, the line's first."""
        return tuple(self._rules.outages[track] for track in Track if track in self._rules.outages)

    async def run(self, tell: Tell) -> None:
        """Watch until cancelled."""
        self._recall()
        self._looks = self._keep_at = 0
        await self._asks.look_up_now()
        try:
            while True:
                if not self.own_test():
                    self._look(tell)
                await asyncio.sleep(self._look_s)
        finally:
            self._asks.close()
            await self._keep_last()

    def _look(self, tell: Tell) -> None:
        self._looks += 1
        rules, now = self._rules, self._clock()
        if self._hearing.newest != self._heard:
            self._heard = self._hearing.newest
            peer = rules.targets[Target.PEER]
            if self._heard is not None and not peer.is_asked_since(self._heard):
                peer.answer(self._heard)
        for values in rules.decide(now, self._asks.way(), self._connection()):
            tell(Event(ReachabilityMeasurement, values.end or values.begin, values))
        if rules.is_line_in_doubt(now):
            self._uplink.receipts.begin_anew()
        for target in self._plan.due(rules, now):
            self._asks.ask(target, now)
        silent = any(rules.targets[one].is_silent(now) for one in (Target.PEER, Target.BROKER))
        if self._looks % (LOOK_UP_SILENT_LOOKS if silent else LOOK_UP_LOOKS) == 0:
            self._asks.look_up()
        self._keep()

    def _connection(self) -> Connection:
        receipts = self._uplink.receipts
        connected = self._uplink.problem is None
        return Connection(connected, receipts.unanswered, receipts.newest, receipts.missed, self._patience_us)

    def _recall(self) -> None:
        self._asked = self._kept = kept = reachability_state.read(self._path)
        for target in kept.known:
            self._rules.targets[target].known = True
        self._rules.outages.update(kept.outages)
        self._asks.gateway = kept.gateway
        self._asks.hop.ttl, self._asks.hop.address = kept.hop_ttl, kept.hop_address

    def _keep(self) -> None:
        """On the journal's thread, ahead of the records of what this look told; one after the other.

        What has changed waits for no write that is under way: that would let the records go first.
        """
        state = self._state()
        again = self._keeping is None and state != self._kept and self._looks >= self._keep_at
        if state == self._asked and not again:
            return
        self._asked = state
        self._keeping = self._journal.beside(partial(reachability_state.write, self._path, state))
        self._keeping.add_done_callback(partial(self._was_kept, state))

    async def _keep_last(self) -> None:
        """What is being written, and what has changed since."""
        self._keep_at = 0
        self._keep()
        if self._keeping is not None:
            await asyncio.wait([self._keeping])

    def _was_kept(self, state: ReachabilityState, done: "asyncio.Future[None]") -> None:
        if self._keeping is done:
            self._keeping = None
        try:
            done.result()
        except OSError as error:
            self._keep_at = self._looks + KEEP_AGAIN_LOOKS
            self._complain(f"{self._path}: {error.strerror}: an outage may be told without its end")
        else:
            self._kept = state
            self._complain("")

    def _state(self) -> ReachabilityState:
        return ReachabilityState(
            known=tuple(target for target in Target if self._rules.targets[target].known),
            gateway=self._asks.gateway,
            hop_ttl=self._asks.hop.ttl,
            hop_address=self._asks.hop.address,
            outages=dict(self._rules.outages),
        )

    def _complain(self, problem: str) -> None:
        if self._complaint.is_news(problem):
            log.warning(problem)
