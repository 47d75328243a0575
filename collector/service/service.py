"""The running collector: broker to queue to ledger to receipts and views, and its orderly end."""

import asyncio
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from collector.ingest.commands import Commands
from collector.ingest.decode import Arrival
from collector.ingest.queue import Intake
from collector.ingest.receipts import Receipts
from collector.ingest.resend import Resends
from collector.ledger.read import latest as reading
from collector.ledger.read import outages
from collector.ledger.store import LedgerError
from collector.ledger.write.commit import Ledger, no_fault
from collector.ledger.write.commit_result import Settled
from collector.ledger.write.writer import Writer
from collector.live.fleet import MAX_STRANGERS
from collector.live.peers import PeerCounters
from collector.model.outages import KEPT_US
from collector.model.own_counters import OwnCounters
from collector.model.peer_comparison import ComparedTest
from collector.service import watchdog as health
from collector.service.blackout_watch import BlackoutWatch
from collector.service.completeness_refresh import CompletenessRefresh
from collector.service.http import WebPages, serve
from collector.service.inventory_file import InventoryFile
from collector.service.outage_history_cache import OutageHistoryCache
from collector.service.views import Views
from collector.settings import CollectorSettings
from host.clock import Clock
from host.notify import NOBODY, Notifier
from net.mqtt import Session
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import Presence, ReceiptStatus

log = logging.getLogger(__name__)

INCOMING_BOUND = 5000
INVENTORY_SECONDS = 2.0
EXPIRY_SECONDS = 1.0
RENDER_AT_ONCE = 100  # sites, a few milliseconds: nothing else should have to wait longer
LEARN_AT_ONCE = 50  # messages, for the same reason
DRAIN_SECONDS = 5.0
RECEIPT_SECONDS = 3.0


class CollectorService:
    """One collector. Construction opens inventory, ledger and certificates, and restores live state.

    Raises InventoryError, LedgerError or BrokerError, whose texts say what to do.
    """

    def __init__(self, settings: CollectorSettings, before_commit: Callable[[], None] = no_fault) -> None:
        self._settings = settings
        self._meters = OwnCounters()
        self._inventory = InventoryFile(Path(settings.inventory))
        self._inventory.load()
        self._session = self._new_session()
        path = Path(settings.ledger.path)
        self._ledger = open_ledger(path, settings, before_commit)
        self._intake = Intake(settings.intake.messages, settings.intake.size)
        self._unlearnt: deque[Settled] = deque()
        self._writer = Writer(
            self._ledger,
            self._intake,
            self._hand_over,
            on_unsettled=self._meters.unsettled.inc,
            keep_payloads_s=settings.ledger.keep_payloads,
            side_grace_s=settings.peers.grace,
        )
        self._receipts = Receipts(self._session.publish, self._meters)
        self._commands = Commands(self._session.publish, self._meters)
        self._resends = Resends(reading.resend(path))
        self._views = Views(self._inventory.sites)
        self._counting = CompletenessRefresh(path, self._views, now_us)
        self._peers = PeerCounters(self._meters.registry)
        self._views.fleet.restore(reading.newest(path))
        self._restore_sides(path)
        self._counting.begin()
        self._views.restore_outages(outages.outages(path, now_us() - KEPT_US).outages)
        self._attention = BlackoutWatch(
            self._views, lambda: not self._unready(), now_us, 2_000_000 * settings.broker.keepalive_s
        )
        self._attention.begin(outages.last_received_us(path))
        self._views.render([site.site_id for site in self._views.fleet], now_us())
        self._watch()

    async def run(self, stop: asyncio.Event, service: Notifier = NOBODY) -> None:
        """Work until ``stop``, then commit what waits, send its receipts and close.

        Raises OSError if the web address cannot be had.
        """
        self._loop = asyncio.get_running_loop()
        web = self._settings.web
        try:
            runner = await serve(self._site().application(), web.host, web.port)
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
            log.info("stopped")

    async def _work(self, stop: asyncio.Event, service: Notifier) -> None:
        async with asyncio.TaskGroup() as group:
            endless = (
                self._session.run(),
                self._receipts.run(),
                self._commands.run(),
                self._keep_inventory(),
                self._keep_current(),
                service.feed_watchdog(self._fault),
                self._counting.run(),
                self._attention.run(),
            )
            tasks = [group.create_task(work) for work in endless]
            service.ready()
            await stop.wait()
            service.stopping()
            await self._drain()
            for task in tasks:
                task.cancel()

    async def _drain(self) -> None:
        """What was taken is committed and receipted; nothing more is taken."""
        await self._finish_writing()
        await asyncio.sleep(0)  # the last commit's receipts come over from the writer's thread
        if self._session.connected and not await self._receipts.drained(RECEIPT_SECONDS):
            log.warning("some receipts were not sent: those agents send again")

    async def _finish_writing(self) -> None:
        self._intake.close()
        await asyncio.to_thread(self._writer.join, DRAIN_SECONDS)
        if left := self._intake.abandon():
            log.warning("%d messages were not committed in time: their agents send them again", left)
            await asyncio.to_thread(self._writer.join, DRAIN_SECONDS)

    def _new_session(self) -> Session:
        kinds, clock = (topics.Kind.RESULTS, topics.Kind.PRESENCE), Clock()
        return Session(
            self._settings.broker,
            f"plancher-collector-{secrets.token_hex(4)}",  # of two with one name, a broker drops the first
            subscriptions=[
                *(topics.every_site(kind) for kind in kinds),
                topics.every_peer(topics.PeerKind.TESTS),
            ],
            on_message=self.take,
            incoming_bound=INCOMING_BOUND,
            clock_synchronised=lambda: clock.read().synchronised,
        )

    async def take(self, topic: str, payload: bytes) -> None:
        """Take a message from the broker, to be judged and committed by the writer; presence at once."""
        place = topics.parse(topic)
        if place is not None and place[1] is topics.Kind.PRESENCE:
            presence = messages.decode(payload, Presence, place[0])
            if isinstance(presence, Presence):
                self._views.set_presence(place[0], presence.state, now_us())
            return
        taken = self._intake.offer(Arrival(topic, payload, now_us()))
        (self._meters.messages if taken else self._meters.refused).inc()
        if not taken:
            self._attention.refused()

    def _hand_over(self, settled: list[Settled], seconds: float) -> None:
        """Called in the writer's thread, after a commit."""
        with suppress(RuntimeError):  # the program has ended: no receipt, so these are sent again
            self._loop.call_soon_threadsafe(self._committed, settled, seconds)

    def _committed(self, settled: list[Settled], seconds: float) -> None:
        self._meters.commit_seconds.observe(seconds)
        if any(found.receipt is not None for found in settled):
            self._attention.heard()
        self._receipts.add(
            [(found.topic, found.receipt) for found in settled if found.topic and found.receipt]
        )
        learning = bool(self._unlearnt)
        self._unlearnt += settled
        if not learning:
            self._learn()

    def _learn(self) -> None:
        """In the order of commits: what was placed anew must not be followed by what it was before."""
        now = [self._unlearnt.popleft() for _ in range(min(LEARN_AT_ONCE, len(self._unlearnt)))]
        if self._unlearnt:
            self._loop.call_soon(self._learn)
        for found in now:
            self._meters.settled((fate.status for fate in found.fates), found.rejected)
            self._meters.redelivered.inc(sum(fate.redelivered for fate in found.fates))
            self._meters.passed(found.passed_over)
            self._peers.heard(found.heard)
            tell_conflicts(found)
            self._ask(found)
        self._views.learn((seen for found in now for seen in found.observations), now_us())
        moved = (one for found in now for one in found.moved)
        self._views.relearn(((one.site, one.observations, one.outages) for one in moved), now_us())
        self._learn_sides([joined for found in now for joined in found.joined])

    def _ask(self, found: Settled) -> None:
        if found.speaker is not None and (command := self._resends.hear(found.speaker, now_us())):
            self._commands.add(command)

    def _learn_sides(self, joined: list[ComparedTest]) -> None:
        self._peers.learn(joined)
        self._views.learn_sides(joined, now_us())

    def _restore_sides(self, path: Path) -> None:
        sides = reading.sides(path)
        self._peers.restore(sides.newest_tests)
        self._views.fleet.restore_sides(sides.disagreements)

    async def _keep_inventory(self) -> None:
        while True:
            await asyncio.sleep(INVENTORY_SECONDS)
            if await asyncio.to_thread(self._inventory.refresh):
                changed = self._views.take_inventory(self._inventory.sites)
                for start in range(0, len(changed), RENDER_AT_ONCE):
                    self._views.render(changed[start : start + RENDER_AT_ONCE], now_us())
                    await asyncio.sleep(0)

    async def _keep_current(self) -> None:
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            more = True
            while more:
                more = self._views.expire(now_us(), RENDER_AT_ONCE)
                await asyncio.sleep(0)
            if not self._writer.is_alive() and not self._intake.closed:
                raise RuntimeError("the ledger's writer ended by itself")

    async def _fault(self) -> str | None:
        web = self._settings.web
        return health.of_writer(self._intake.unasked_s) or await health.of_web(web.host, web.port)

    def _site(self) -> WebPages:
        return WebPages(
            self._views,
            self._meters,
            self._counting,
            unready=self._unready,
            warnings=self._warnings,
            history=OutageHistoryCache(Path(self._settings.ledger.path), self._views.events, now_us).read,
            language=self._settings.web.language,
            expose_fleet=self._settings.expose_fleet,
        )

    def _unready(self) -> list[str]:
        ledger = self._writer.problem
        return [
            *([self._session.problem] if self._session.problem else []),
            *([f"ledger {self._settings.ledger.path}: {ledger}"] if ledger else []),
        ]

    def _warnings(self) -> list[str]:
        crowded = (
            f"more than {MAX_STRANGERS} sites outside the inventory: the others stand in the ledger alone"
        )
        deaf = "nothing that sites send gets through to the ledger: until it does, no site is called silent"
        return [
            *([deaf] if self._views.fleet.hearing.deaf else []),
            *([self._inventory.problem] if self._inventory.problem else []),
            *([crowded] if self._views.fleet.crowded else []),
        ]

    def _watch(self) -> None:
        watch = self._meters.watch
        watch("queued_messages", "Messages that wait for the ledger.", lambda: len(self._intake))
        watch("broker_connected", "Whether a broker connection stands.", lambda: self._session.connected)
        watch("ledger_working", "Whether the ledger takes commits.", lambda: not self._writer.problem)
        watch(
            "hearing",
            "Whether what sites send gets through to the ledger; where not, no site is called silent.",
            lambda: not self._views.fleet.hearing.deaf,
        )
        watch(
            "inventory_valid",
            "Whether the inventory's file is in force.",
            lambda: not self._inventory.problem,
        )
        watch(
            "completeness_timestamp_seconds",
            "When it was last counted what the ledger holds of each site.",
            lambda: self._counting.counted_us / 1e6,
        )
        watch("sites", "Sites known, in the inventory or not.", lambda: len(self._views.fleet))


def open_ledger(
    path: Path, settings: CollectorSettings, before_commit: Callable[[], None] = no_fault
) -> Ledger:
    """Open the ledger, creating its folder and file where there are none. Raises LedgerError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise LedgerError(f"ledger {path}: its folder cannot be made: {error.strerror}") from None
    rows = settings.ledger.reject_rows
    return Ledger(path, reject_rows=rows, before_commit=before_commit)


def tell_conflicts(found: Settled) -> None:
    """Log that something came again with another content: no agent and no peer of ours does so."""
    conflicts = sum(fate.status is ReceiptStatus.CONFLICT for fate in found.fates)
    if conflicts and found.receipt is not None:
        site = found.receipt.sender
        log.error("site %s: %d measurements came again with another content; both are kept", site, conflicts)
    tests = found.heard.statuses.count(ReceiptStatus.CONFLICT) if found.heard else 0
    if tests and found.heard:
        peer = found.heard.peer
        log.error("peer %s: %d tests came again with another content; both are kept", peer, tests)


def now_us() -> int:
    """The collector's wall clock, Unix microseconds."""
    return time.time_ns() // 1000
