"""Running collector: from the broker through queue and ledger to receipts and views; and its end."""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from collector.ingest.outgoing import OutgoingQueue
from collector.ingest.queue import Intake, IntakeRefusal
from collector.ingest.resend import Resends
from collector.ledger.admin.start_check import check_newest_day
from collector.ledger.place import LedgerError
from collector.ledger.read import latest, outages
from collector.ledger.write.commit_result import CommitResult
from collector.ledger.write.writer import Ledger, Writer, no_fault
from collector.live.fleet import MAX_STRANGERS
from collector.live.peers import PeerCounters
from collector.model.message import Arrival
from collector.model.outages import KEPT_US
from collector.model.own_counters import OwnCounters
from collector.model.own_problem import OwnProblem, ProblemKind
from collector.service import watchdog
from collector.service.blackout_watch import BlackoutWatch
from collector.service.commit_results import CommitResults
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.contents_watch import ContentsWatch
from collector.service.http import WebPages, serve
from collector.service.inventory_file import InventoryFile
from collector.service.outage_history_cache import OutageHistoryCache
from collector.service.resend_watch import ResendWatch
from collector.service.views import Views
from collector.settings import CollectorSettings
from host.clock import Clock
from host.notify import NOBODY, Notifier
from net.mqtt import Session
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import Presence

log = logging.getLogger(__name__)

INCOMING_BOUND = 5000
INVENTORY_SECONDS = 2.0
EXPIRY_SECONDS = 1.0
RENDER_AT_ONCE = 100  # sites between two turns of the event loop, a few milliseconds
DRAIN_SECONDS = 5.0
RECEIPT_SECONDS = 3.0
_ROOM = {IntakeRefusal.SENDER: "this sender", IntakeRefusal.FULL: "all senders"}


class CollectorService:
    """One collector. Its construction opens inventory, ledger and certificates, and restores live state.

    Raises InventoryError, LedgerError or BrokerError, whose texts say what to do.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        before_commit: Callable[[], None] = no_fault,
        *,
        unchecked: bool = False,
    ) -> None:
        self._settings = settings
        self._counters = OwnCounters()
        ledger = Path(settings.ledger.path)
        self._inventory = InventoryFile(
            Path(settings.inventory), kept=ledger.with_name(f"{ledger.name}-inventory.csv")
        )
        self._inventory.load_or_last_valid()
        self._session = self._new_session()
        path = Path(settings.ledger.path)
        self._ledger = open_ledger(path, settings, before_commit)
        if not unchecked:
            try:
                check_newest_day(path)
            except LedgerError:
                self._ledger.close()
                raise
        self._queue = Intake(settings.intake.messages, settings.intake.size)
        self._writer = Writer(
            self._ledger,
            self._queue.take_decoded,
            self._hand_over,
            on_uncommitted=self._counters.uncommitted.inc,
            keep_payloads_s=settings.ledger.keep_payloads,
            comparison_grace_s=settings.peers.grace,
        )
        # The broker's acknowledgement of a receipt would prove nothing, and waiting for it costs more than a
        # batch that is sent again. Commands are seldom, and wait for each other.
        self._receipts = OutgoingQueue(
            self._session.publish, self._counters.receipts, quality=0, workers=4, bound=20_000
        )
        self._commands = OutgoingQueue(
            self._session.publish, self._counters.commands, quality=1, workers=1, bound=1000
        )
        self._now_us = self._writer.now_us
        self._writer.look()
        self._views = Views(self._inventory.sites)
        self._completeness = CompletenessRefresh(path, self._views, self._now_us)
        self._contents = ContentsWatch(path, self._now_us)
        self._peers = PeerCounters(self._counters.registry)
        self._blackout_watch = BlackoutWatch(
            self._views,
            lambda: not self._unready(),
            self._now_us,
            # A dead connection to the broker is noticed within two keep-alives (decision 24).
            2_000_000 * settings.broker.keepalive_s,
        )
        resends = Resends(latest.resend(path), lambda: f"resend-{secrets.token_hex(8)}")
        self._resends = ResendWatch(path, resends, self._commands)
        self._results = CommitResults(
            self._receipts,
            self._resends,
            self._views,
            self._counters,
            self._peers,
            self._blackout_watch,
            self._now_us,
        )
        self._restore(path)
        self._watch()

    def _restore(self, path: Path) -> None:
        """Restore live state from the ledger, and render every site once."""
        now_us = self._now_us()
        # Observations first: all that follows is added to sites that the fleet knows.
        self._views.fleet.restore(latest.newest(path, now_us))
        compared = latest.peer_comparisons(path)
        self._peers.restore(compared.newest_tests)
        self._views.fleet.restore_comparisons(compared.disagreements)
        self._completeness.begin()
        self._views.fleet.restore_outages(outages.outages(path, now_us - KEPT_US).outages)
        self._blackout_watch.begin(outages.last_received_us(path))
        self._views.render([site.site_id for site in self._views.fleet], now_us)

    async def run(self, stop: asyncio.Event, service: Notifier = NOBODY) -> None:
        """Work until ``stop``, then commit what is queued, send its receipts and close.

        Raises OSError if the web server cannot listen.
        """
        self._loop = asyncio.get_running_loop()
        web = self._settings.web
        try:
            runner = await serve(self._pages().application(), web)
        except OSError:
            self._ledger.close()
            raise
        log.info("overview on http://%s:%d/ for %d sites", web.host, web.port, len(self._views.fleet))
        self._writer.start()
        try:
            await self._work(stop, service)
        finally:
            await runner.cleanup()
            await self._finish_writing()
            self._ledger.close()

    async def _work(self, stop: asyncio.Event, service: Notifier) -> None:
        async with asyncio.TaskGroup() as group:
            endless = (
                self._session.run(),
                self._receipts.run(),
                self._commands.run(),
                self._keep_inventory(),
                self._keep_current(),
                service.feed_watchdog(self._fault),
                self._completeness.run(),
                self._contents.run(),
                self._blackout_watch.run(),
                self._resends.run(),
            )
            # The group ends all tasks when one of them fails: a collector that works in part would look
            # healthy.
            tasks = [group.create_task(work) for work in endless]
            service.ready()
            await stop.wait()
            service.stopping()
            await self._drain()
            for task in tasks:
                task.cancel()

    async def _drain(self) -> None:
        """Commit what is queued and send its receipts; refuse new messages."""
        await self._finish_writing()
        await asyncio.sleep(0)  # the last commit's receipts were handed over by the writer's thread
        if self._session.connected and not await self._receipts.drained(RECEIPT_SECONDS):
            log.warning("some receipts were not sent in time: agents send those batches again")

    async def _finish_writing(self) -> None:
        self._queue.close()
        await asyncio.to_thread(self._writer.join, DRAIN_SECONDS)
        if left := self._queue.abandon():
            log.warning("%d messages were not committed in time: their agents send them again", left)
            await asyncio.to_thread(self._writer.join, DRAIN_SECONDS)

    def _new_session(self) -> Session:
        clock = Clock()
        return Session(
            self._settings.broker,
            # A broker closes the older of two connections with one client id.
            f"plancher-collector-{secrets.token_hex(4)}",
            subscriptions=topics.of_collector(),
            on_message=self.take,
            incoming_bound=INCOMING_BOUND,
            clock_synchronised=lambda: clock.read().synchronised,
        )

    async def take(self, topic: str, payload: bytes) -> None:
        """Take a message from the broker: queue it for the writer, or note a presence."""
        # A presence is not committed: the broker retains it and sends it again after a restart.
        place = topics.parse(topic)
        if place is not None and place[1] is topics.Kind.PRESENCE:
            presence = messages.decode(payload, Presence, place[0])
            if isinstance(presence, Presence):
                self._views.set_presence(place[0], presence.state)
            return
        refusal = self._queue.offer(Arrival(topic, payload, *self._writer.moment()))
        if refusal is None:
            self._counters.messages.inc()
            return
        self._counters.refused.labels(refusal.value).inc()
        # A sender that filled its own room says nothing of the others, whose messages still arrive.
        if refusal is IntakeRefusal.FULL:
            self._blackout_watch.queue_refused()
        log.warning(
            "a message on %s was refused: the room for %s is used up", ascii(topic[:100]), _ROOM[refusal]
        )

    def _hand_over(self, result: CommitResult, seconds: float) -> None:
        """Hand the result of a commit over to the event loop; called in the writer's thread."""
        with suppress(RuntimeError):  # the loop has ended: without receipts, agents send these again
            self._loop.call_soon_threadsafe(self._results.take, result, seconds)

    async def _keep_inventory(self) -> None:
        while True:
            await asyncio.sleep(INVENTORY_SECONDS)
            if await asyncio.to_thread(self._inventory.refresh):
                changed = self._views.take_inventory(self._inventory.sites)
                for start in range(0, len(changed), RENDER_AT_ONCE):
                    self._views.render(changed[start : start + RENDER_AT_ONCE], self._now_us())
                    await asyncio.sleep(0)

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            more = True
            while more:
                more = self._views.show_presence(self._now_us(), RENDER_AT_ONCE)
                more |= self._views.expire(self._now_us(), RENDER_AT_ONCE)
                await asyncio.sleep(0)
            if not self._writer.is_alive() and not self._queue.closed:
                raise RuntimeError("the ledger's writer ended by itself")

    async def _fault(self) -> str | None:
        web = self._settings.web
        return watchdog.of_writer(self._queue.unasked_s) or await watchdog.of_web(web.host, web.port)

    def _pages(self) -> WebPages:
        return WebPages(
            self._views,
            self._counters,
            self._completeness,
            unready=self._unready,
            warnings=self._warnings,
            history=OutageHistoryCache(
                Path(self._settings.ledger.path), self._views.incidents, self._now_us
            ).read,
            now_us=self._now_us,
            language=self._settings.web.language,
            expose_fleet=self._settings.expose_fleet,
        )

    def _unready(self) -> list[OwnProblem]:
        broker, ledger = self._session.problem, self._writer.problem
        path = self._settings.ledger.path
        return [
            *([OwnProblem(ProblemKind.BROKER, broker)] if broker else []),
            *([OwnProblem(ProblemKind.LEDGER, f"{path}: {ledger}")] if ledger else []),
        ]

    def _warnings(self) -> list[OwnProblem]:
        fleet, mistake = self._views.fleet, self._inventory.problem
        off_s = round(self._clock_off_s())
        return [
            *(
                [OwnProblem(ProblemKind.DAMAGE, str(self._contents.problems))]
                if self._contents.problems
                else []
            ),
            *([OwnProblem(ProblemKind.CLOCK, str(off_s))] if off_s else []),
            *([OwnProblem(ProblemKind.BLACKOUT)] if fleet.blackouts.is_open else []),
            *([OwnProblem(ProblemKind.INVENTORY, mistake)] if mistake else []),
            *([OwnProblem(ProblemKind.STRANGERS, str(MAX_STRANGERS))] if fleet.crowded else []),
        ]

    def _clock_off_s(self) -> float:
        """Wall clock of the machine less the time in use, seconds."""
        clock = self._ledger.clock
        return 0.0 if clock is None else clock.off_us / 1e6

    def _watch(self) -> None:
        watch = self._counters.watch
        watch("queued_messages", "Messages that wait for the ledger.", lambda: len(self._queue))
        watch("broker_connected", "1 while connected to the broker.", lambda: self._session.connected)
        watch("ledger_working", "1 while the ledger accepts commits.", lambda: not self._writer.problem)
        watch(
            "ledger_damage",
            "Damaged rows, batches and tables that the weekly check of the ledger found.",
            lambda: self._contents.problems,
        )
        watch(
            "ledger_checked_timestamp_seconds",
            "Begin of the last complete check of the ledger's contents.",
            lambda: self._contents.checked_us / 1e6,
        )
        watch(
            "clock_off_seconds",
            "Wall clock less the time that arrivals are dated by; 0 unless that clock has stepped.",
            self._clock_off_s,
        )
        watch(
            "receiving",
            "1 while messages of sites reach the ledger; 0 during a blackout, when no site is called silent.",
            lambda: not self._views.fleet.blackouts.is_open,
        )
        watch(
            "inventory_valid",
            "1 while the inventory file is valid and in use.",
            lambda: not self._inventory.problem,
        )
        watch(
            "completeness_timestamp_seconds",
            "Time of the last count of every site's completeness.",
            lambda: self._completeness.counted_us / 1e6,
        )
        watch("sites", "Sites known, in the inventory or not.", lambda: len(self._views.fleet))


def open_ledger(
    path: Path, settings: CollectorSettings, before_commit: Callable[[], None] = no_fault
) -> Ledger:
    """Open the ledger; create its folder and file if they do not exist. Raises LedgerError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LedgerError(f"ledger {path}: cannot create its folder: {error.strerror}") from None
    rows = settings.ledger.reject_rows
    return Ledger(path, reject_rows=rows, before_commit=before_commit)


def now_us() -> int:
    """Wall clock of the collector, Unix microseconds."""
    return time.time_ns() // 1000
