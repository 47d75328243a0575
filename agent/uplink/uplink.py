"""The journal's way to the collector, over MQTT: a thin shell around ``agent.uplink.window``."""

import asyncio
import logging
import random
from collections.abc import Callable

from agent.journal.journal import Journal, Row
from agent.journal.thread import JournalThread
from agent.settings.sections import Uplink as UplinkSettings
from agent.uplink.rules import ReceiptWatch
from agent.uplink.window import Pace, Want, Window, envelope
from net.mqtt import Broker, Publication, Session
from wire.messages import commands, topics
from wire.messages import envelope as messages
from wire.messages.envelope import MAX_GAPS, SCHEMA, Fault, Gap, Presence, PresenceState, Reason, Receipt
from wire.records import ClockReading

log = logging.getLogger(__name__)

LONGEST_NAP_S = 60.0
RECONNECTED_NAP_S = 5.0
FAREWELL_S = 2.0
PRUNE_EVERY_S = 600.0
RETRY_S = 10.0  # the disk, while it takes nothing
INCOMING_BOUND = 16


class Uplink:
    """Sends what the journal holds until the collector has said that it has it.

    ``last_receipt`` is the moment of the newest receipt, None before the first; ``receipts`` watches for
    them. Raises BrokerError if the broker's settings name files that cannot be used.
    """

    def __init__(
        self,
        site: str,
        agent: str,
        broker: Broker,
        settings: UplinkSettings,
        journal: JournalThread,
        clock: Callable[[], ClockReading],
    ) -> None:
        self.last_receipt: ClockReading | None = None
        self.receipts = ReceiptWatch()
        self._site = site
        self._agent = agent
        self._journal = journal
        self._clock = clock
        self._pace = Pace(settings.interval, settings.backlog_interval, settings.receipt_timeout)
        self._since_us = clock().wall_us
        self._window: Window | None = None
        self._wake = asyncio.Event()
        self._pruned = 0.0
        self._known = ("", 0)
        self._refused: Reason | None = None
        self._session = Session(
            broker,
            f"plancher-agent-{site}",
            subscriptions=[topics.topic(site, kind) for kind in (topics.Kind.RECEIPTS, topics.Kind.COMMANDS)],
            on_message=self._on_message,
            on_connected=self._on_connected,
            will=self._presence(PresenceState.CONNECTION_LOST),
            incoming_bound=INCOMING_BOUND,
            clock_synchronised=lambda: clock().synchronised,
        )

    @property
    def problem(self) -> str | None:
        """Why the broker is not connected, for a person; None while it is."""
        return self._session.problem

    def committed(self) -> None:
        """There is a new measurement in the journal."""
        if self._window:
            self._window.committed()
            self._wake.set()

    async def run(self) -> None:
        """Send until cancelled, then say farewell if the broker can be reached."""
        chance = random.Random()
        newest = await self._journal.do(Journal.newest_position)
        begin = await self._journal.do(lambda journal: journal.quarantined_at(chance.random()))
        self._known = self._journal.epoch, self._journal.recoveries
        self._window = Window(self._pace, chance, newest=newest, now=self._now(), begin=begin)
        connection = asyncio.create_task(self._session.run())
        try:
            await self._send_while(connection, self._window)
        finally:
            await self._farewell()
            connection.cancel()
            await asyncio.gather(connection, return_exceptions=True)

    async def _send_while(self, connection: "asyncio.Task[None]", window: Window) -> None:
        while not connection.done():
            await self._keep_house(window)
            while self._session.connected and await self._send_one(window):
                pass
            if self._journal.epoch != self._known[0]:
                continue  # what was to be sent was damaged: the rest of it is not to wait
            longest_s = RETRY_S if self._journal.trouble else LONGEST_NAP_S
            nap = min(longest_s, window.next_wake(self._now()) - self._now())
            nap = max(nap, 0.05) if self._session.connected else RECONNECTED_NAP_S
            self._wake.clear()
            try:
                async with asyncio.timeout(nap):
                    await self._wake.wait()
            except TimeoutError:
                continue
        connection.result()  # it ends by an exception only, which is a bug to be told

    async def _keep_house(self, window: Window) -> None:
        await self._mind_the_disk(window)
        if self._now() - self._pruned > PRUNE_EVERY_S or not self._pruned:
            self._pruned = self._now()
            await self._journal.do(lambda journal: journal.prune(self._clock()))
            window.declared()

    async def _mind_the_disk(self, window: Window) -> None:
        """What a disk, or a file that took over from a damaged one, gives again is a backlog."""
        if self._journal.trouble:
            await self._journal.do(lambda journal: journal.recover(self._clock()))
        known = self._journal.epoch, self._journal.recoveries
        if known != self._known:  # trouble may have come and gone unseen
            self._known = known
            window.released()
            window.declared()

    async def _send_one(self, window: Window) -> bool:
        """Send one batch if one is due; returns whether another may be."""
        want = window.want(self._now())
        if want is None:
            return False
        fetched, gaps = await self._journal.do(lambda journal: fetch(journal, want))
        rows = window.choose(want, fetched, self._now(), gaps)
        if not rows and not gaps:
            return True
        payload = await self._compose(rows, gaps)
        digest = messages.digest(payload)
        window.sent(digest, rows, self._now(), gaps)  # before publishing: the receipt may overtake the PUBACK
        topic = topics.topic(self._site, topics.Kind.RESULTS)
        sent = self._clock()
        if not await self._session.publish(Publication(topic, payload)):
            window.not_published(digest)
            return False
        self.receipts.taken(sent, self._clock())
        log.debug("%d measurements and %d gaps in flight as %s", len(rows), len(gaps), digest[:12])
        return True

    async def _compose(self, rows: tuple[Row, ...], gaps: list[Gap]) -> bytes:
        epochs = list({row.epoch for row in rows} | {gap.epoch for gap in gaps})
        marks, obeyed = await self._journal.do(lambda journal: (journal.marks(epochs), journal.obeyed))
        return envelope(self._site, self._agent, self._clock(), marks, rows, gaps, obeyed)

    async def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == topics.topic(self._site, topics.Kind.COMMANDS):
            await self._obey(payload)
        else:
            await self._take_receipt(topic, payload)
        self._wake.set()

    async def _obey(self, payload: bytes) -> None:
        message = commands.decode(payload, self._site)
        if isinstance(message, Fault):
            log.warning("not a command: %s: %s", message.reason, message.detail)
            return
        command = message.command
        again = await self._journal.do(lambda journal: journal.resend(command.id, command.since_us))
        if again is not None and self._window:
            self._window.forget(self._now())
            log.info("the collector asks again (%s): %d measurements are sent once more", command.id, again)

    async def _take_receipt(self, topic: str, payload: bytes) -> None:
        receipt = messages.decode(payload, Receipt, self._site)
        if isinstance(receipt, Fault):
            log.warning("not a receipt on %s: %s: %s", topic, receipt.reason, receipt.detail)
            return
        if self._window is None:
            return
        heard = self._window.receipt(receipt)
        if not heard.trial:
            self._tell_of_refusal(receipt)
        if heard.culprit is not None:
            self._tell_of_culprit(*heard.culprit, receipt)
        self.last_receipt = self._clock()
        self.receipts.received(self.last_receipt)
        if heard.changes or heard.told:
            await self._journal.do(lambda journal: journal.apply(heard.changes, self._clock(), heard.told))

    def _tell_of_refusal(self, receipt: Receipt) -> None:
        """Once for a reason, however many batches it meets, and once when it is over."""
        before, self._refused = self._refused, receipt.reason
        if receipt.reason == before:
            return
        if receipt.reason is None:
            log.info("the collector takes batches again")
            return
        log.error(
            "the collector refuses batches (%s: %s): their measurements are kept and sent again later",
            receipt.reason,
            receipt.detail,
        )

    @staticmethod
    def _tell_of_culprit(epoch: str, seq: int, receipt: Receipt) -> None:
        log.error(
            "the collector refuses measurement %d of epoch %s even alone (%s: %s): kept, and tried daily",
            seq,
            epoch,
            receipt.reason,
            receipt.detail,
        )

    async def _on_connected(self) -> None:
        self.receipts.begin_anew()
        self._wake.set()
        await self._session.publish(self._presence(PresenceState.ONLINE))

    async def _farewell(self) -> None:
        if self._session.connected:
            try:
                async with asyncio.timeout(FAREWELL_S):
                    await self._session.publish(self._presence(PresenceState.STOPPED))
            except TimeoutError:
                log.warning("the broker did not take the farewell: it will call this site connection-lost")

    def _presence(self, state: PresenceState) -> Publication:
        presence = Presence(
            schema=SCHEMA, site=self._site, state=state, agent=self._agent, since_us=self._since_us
        )
        topic = topics.topic(self._site, topics.Kind.PRESENCE)
        return Publication(topic, messages.encode(presence), retain=True)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def fetch(journal: Journal, want: Want) -> tuple[list[Row], list[Gap]]:
    """What a window wants of a journal: measurements and gaps."""
    if want.trial:
        rows = journal.quarantined(want.limit, after=want.after, before=want.before)
    else:
        rows = journal.unsent(want.limit, after=want.after, skip=want.skip) if want.limit else []
    return rows, journal.gaps(MAX_GAPS) if want.gaps else []
