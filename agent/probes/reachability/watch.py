"""Watch over reachability: polls as long as the agent runs, and emits begin and end of each outage."""

import asyncio
import secrets
from collections.abc import Callable
from pathlib import Path

from agent.probes.reachability.poller import TargetPoller
from agent.probes.reachability.rules.network_view import OutageScope, Target, UplinkState
from agent.probes.reachability.rules.outages import SUSPECT_SHARE, OutageRules
from agent.probes.reachability.rules.polling_plan import PollingPlan
from agent.probes.reachability.state import ReachabilityState
from agent.probes.reachability.state_writer import StateWriter
from agent.task.context import ProbeContext
from agent.task.watch import EmitEvent, WatchEvent
from agent.train.peer_last_seen import PeerLastSeen
from agent.uplink.uplink import Uplink
from outbox.journal.thread import JournalThread
from wire.records import ClockReading, ReachabilityMeasurement, ReachabilityValues

# Intervals that a receipt may take: the collector, too, may have to reconnect to the broker.
RECEIPT_INTERVALS = 9


class ReachabilityWatch:
    """Looks five times an interval; most looks poll no target.

    ``own_test`` tells if a load test of ours has the line. No target is polled then, and no silence counts.
    """

    name = "reachability"

    def __init__(
        self,
        context: ProbeContext,
        interval_s: float,
        uplink: Uplink,
        peer_last_seen: PeerLastSeen,
        journal: JournalThread,
        path: Path,
        previous_run: ClockReading | None = None,
    ) -> None:
        interval_us = round(interval_s * 1e6)
        self.own_test: Callable[[], bool] = lambda: False
        self._look_s = interval_s * SUSPECT_SHARE
        self._clock = context.clock
        self._uplink = uplink
        self._peer_last_seen = peer_last_seen
        self._last_reply: ClockReading | None = None
        receipt_us = round(context.settings.uplink.receipt_timeout * 1e6)
        self._receipt_wait_us = max(receipt_us, RECEIPT_INTERVALS * interval_us)
        self._rules = OutageRules(interval_us, lambda: secrets.token_hex(8), previous_run)
        self._plan = PollingPlan(interval_us)
        self._poller = TargetPoller(context, self._rules)
        self._writer = StateWriter(path, journal)
        self._looks = 0

    @property
    def outages(self) -> tuple[ReachabilityValues, ...]:
        """Open outages, the line's first."""
        return tuple(self._rules.outages[scope] for scope in OutageScope if scope in self._rules.outages)

    @property
    def findings(self) -> tuple[str, ...]:
        """Remarks that are no outage: addresses that do not work while others do, and who rejects packets."""
        return tuple(self._poller.findings(self._clock()))

    async def run(self, emit: EmitEvent) -> None:
        """Watch until cancelled."""
        self._restore(self._writer.read())
        self._looks = 0
        try:
            while True:
                if not self.own_test():
                    self._look(emit)
                await asyncio.sleep(self._look_s)
        finally:
            self._poller.close()
            await self._writer.finish(self._state())

    def _look(self, emit: EmitEvent) -> None:
        self._looks += 1
        rules, now = self._rules, self._clock()
        self._take_reply()
        egress, names_fail = self._poller.egress(), self._poller.names_fail(now)
        for values in rules.decide(now, egress, self._uplink_state(), names_fail=names_fail):
            emit(WatchEvent(ReachabilityMeasurement, values.end or values.begin, values))
        if rules.is_line_in_doubt(now):
            # A batch that was sent into a dead line says nothing of the collector.
            self._uplink.receipts.forget_sent()
        if rules.suspects(now):
            # Where new connections are refused or taken by a box, the open session still shows the line.
            self._uplink.ask()
        for target in self._plan.due(rules, now):
            self._poller.poll(target, now)
        self._poller.poll_addresses(now)
        self._writer.write(self._state(), self._looks)

    def _take_reply(self) -> None:
        """Count a reply to a train as an answer, unless a later poll is unanswered."""
        newest = self._peer_last_seen.newest
        if newest is None or newest == self._last_reply:
            return
        self._last_reply = newest
        peer = self._rules.targets[Target.PEER]
        if not peer.was_polled_after(newest):
            peer.answer(newest)

    def _uplink_state(self) -> UplinkState:
        receipts = self._uplink.receipts
        connected = self._uplink.problem is None
        return UplinkState(
            connected,
            receipts.unanswered,
            receipts.newest,
            receipts.missed,
            self._receipt_wait_us,
            self._uplink.last_acknowledgement,
        )

    def _restore(self, state: ReachabilityState) -> None:
        for target in state.known:
            self._rules.targets[target].known = True
        self._rules.outages.update(state.outages)
        self._poller.gateway = state.gateway
        self._poller.hop.ttl, self._poller.hop.address = state.hop_ttl, state.hop_address

    def _state(self) -> ReachabilityState:
        return ReachabilityState(
            known=tuple(target for target in Target if self._rules.targets[target].known),
            gateway=self._poller.gateway,
            hop_ttl=self._poller.hop.ttl,
            hop_address=self._poller.hop.address,
            outages=dict(self._rules.outages),
        )
