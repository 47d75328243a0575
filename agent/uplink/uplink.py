"""The agent's session with the broker: measurements, presence, and the collector's commands."""

import asyncio
import logging
from collections.abc import Callable

from agent.settings.sections import UplinkSettings
from net.addresses.host import HostAddresses
from net.mqtt import Broker, Publication, Session
from outbox.delivery.pace import Pace
from outbox.journal.thread import JournalThread
from outbox.publisher import Publisher, Sender
from outbox.receipt_watch import ReceiptWatch
from wire.messages import commands, topics
from wire.messages import envelope as messages
from wire.messages.envelope import SCHEMA, Fault, Presence, PresenceState
from wire.records import ClockReading

log = logging.getLogger(__name__)

# A broker that does not answer must not hold up the end of the program.
FAREWELL_S = 2.0
# Receipts of four batches, and a few commands. A broker that sends more must not fill the memory.
INCOMING_BOUND = 16


class Uplink:
    """Sends what the journal holds until the collector has it.

    ``last_acknowledgement`` is the newest of the broker on an open connection.
    Raises BrokerError if the broker's settings name files that cannot be used.
    """

    def __init__(
        self,
        site: str,
        program: str,
        broker: Broker,
        settings: UplinkSettings,
        journal: JournalThread,
        clock: Callable[[], ClockReading],
        addresses: HostAddresses | None = None,
    ) -> None:
        self._site = site
        self._program = program
        self._journal = journal
        self._clock = clock
        self._since_us = clock().wall_us
        self.last_acknowledgement: ClockReading | None = None
        self._receipts_topic, self._commands_topic = (
            topics.topic(site, kind) for kind in (topics.Kind.RECEIPTS, topics.Kind.COMMANDS)
        )
        self._session = Session(
            broker,
            f"plancher-agent-{site}",
            subscriptions=[self._receipts_topic, self._commands_topic],
            on_message=self._on_message,
            on_connected=self._on_connected,
            will=self._presence(PresenceState.CONNECTION_LOST),
            incoming_bound=INCOMING_BOUND,
            clock_synchronised=lambda: clock().synchronised,
            addresses=addresses,
            on_acknowledged=self._acknowledged,
        )
        pace = Pace(settings.interval, settings.backlog_interval, settings.receipt_timeout)
        sender = Sender(site, program, topics.topic(site, topics.Kind.RESULTS))
        self._publisher = Publisher(sender, self._session, pace, journal, messages.decode_measurement, clock)

    @property
    def receipts(self) -> ReceiptWatch:
        """Moments of receipts, and of batches without one."""
        return self._publisher.receipts

    @property
    def problem(self) -> str | None:
        """Reason for a missing connection to the broker, for a person; None while there is one."""
        return self._session.problem

    def ask(self) -> None:
        """Request an acknowledgement of the broker now."""
        self._session.ask()

    def _acknowledged(self) -> None:
        self.last_acknowledgement = self._clock()

    def committed(self) -> None:
        """There is a new measurement in the journal."""
        self._publisher.committed()

    async def run(self) -> None:
        """Send until cancelled, then say farewell if the broker can be reached."""
        async with asyncio.TaskGroup() as group:
            connection = group.create_task(self._session.run())
            try:
                await self._publisher.run()
            finally:
                # Before the session ends: it carries the farewell.
                await self._say_farewell()
                connection.cancel()

    async def _on_message(self, topic: str, payload: bytes) -> None:
        if topic == self._commands_topic:
            await self._obey(payload)
        else:
            await self._publisher.take_receipt(payload)

    async def _obey(self, payload: bytes) -> None:
        message = commands.decode(payload, self._site)
        if isinstance(message, Fault):
            log.warning("not a command: %s: %s", message.reason, message.detail)
            return
        command = message.command
        waiting = await self._journal.do(
            lambda journal: journal.resend(command.id, command.since_us, command.ranges)
        )
        if waiting is not None:
            # Receipts on their way still say committed of what the collector has lost since.
            self._publisher.forget_receipts()
            log.info("command %s: the collector asks for %d measurements again", command.id, waiting)

    async def _on_connected(self) -> None:
        self._publisher.connected()
        await self._session.publish(self._presence(PresenceState.ONLINE))

    async def _say_farewell(self) -> None:
        if self._session.connected:
            try:
                async with asyncio.timeout(FAREWELL_S):
                    await self._session.publish(self._presence(PresenceState.STOPPED))
            except TimeoutError:
                log.warning("the broker did not take the farewell: it will call this site connection-lost")

    def _presence(self, state: PresenceState) -> Publication:
        presence = Presence(
            schema=SCHEMA, sender=self._site, state=state, program=self._program, since_us=self._since_us
        )
        topic = topics.topic(self._site, topics.Kind.PRESENCE)
        return Publication(topic, messages.encode(presence), retain=True)
