"""The peer's own records of load tests: into the journal, and from there to the collector by ``outbox``.

The serving path only hands a test over (``record``); a disk or a broker that hangs holds up nothing else.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from host.units import counted
from net.mqtt import Broker, Session
from outbox.delivery.pace import Pace
from outbox.journal.thread import JournalThread
from outbox.publisher import Publisher, Sender
from wire.messages import topics
from wire.messages.peer_tests import PeerTest, decode_test
from wire.messages.topics import PeerKind
from wire.records import ClockReading

MOST_WAITING = 10_000
INCOMING_BOUND = 100

Build = Callable[[str, int], PeerTest]
"""Makes a test's record from the epoch and sequence number that the journal gives it."""

log = logging.getLogger(__name__)


class TestRecorder:
    """Keeps the record of each test and sends it until the collector has it.

    ``peer`` is this peer's name, ``program`` its version. Raises BrokerError if the broker's settings name
    files that cannot be used.
    """

    __test__ = False  # the name is the domain's; pytest is not to collect it

    def __init__(
        self,
        peer: str,
        program: str,
        broker: Broker,
        pace: Pace,
        journal: JournalThread,
        clock: Callable[[], ClockReading],
    ) -> None:
        self._journal = journal
        self._clock = clock
        self._waiting: deque[Build] = deque(maxlen=MOST_WAITING)
        self._lost = 0
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._session = Session(
            broker,
            f"plancher-peer-{peer}",
            subscriptions=[topics.peer_topic(peer, PeerKind.RECEIPTS)],
            on_message=self._on_message,
            on_connected=self._on_connected,
            incoming_bound=INCOMING_BOUND,
            clock_synchronised=lambda: clock().synchronised,
        )
        sender = Sender(peer, program, topics.peer_topic(peer, PeerKind.TESTS))
        self._publisher = Publisher(sender, self._session, pace, journal, decode_test, clock)

    def record(self, build: Build) -> None:
        """A test has ended. From the event loop's thread; returns at once."""
        if len(self._waiting) == MOST_WAITING:  # a disk that hangs for an hour: the oldest are lost
            self._lost += 1
            if self._lost % 1000 == 1:
                log.error("lost %s: the disk hangs and memory is full", counted(self._lost, "test"))
        self._waiting.append(build)
        self._news.set()

    async def start(self) -> None:
        """Open the journal and begin to send. Raises JournalError."""
        await self._journal.open()
        for work in (
            self._keep(),
            self._publisher.run(),
            self._session.run(),
            self._journal.keep_beating(self._clock),
        ):
            task = asyncio.create_task(work)
            task.add_done_callback(_log_bug)
            self._tasks.append(task)

    async def stop(self) -> None:
        """End, once what was recorded until now is in the journal."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._commit()
            self._tasks.clear()
        await self._journal.close(self._clock())

    async def _keep(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            await self._commit()

    async def _commit(self) -> None:
        builds, now = list(self._waiting), self._clock()
        self._waiting.clear()
        if builds:
            await self._journal.do(lambda journal: [journal.commit(build, now) for build in builds])
            self._publisher.committed()

    async def _on_message(self, _topic: str, payload: bytes) -> None:
        await self._publisher.take_receipt(payload)

    async def _on_connected(self) -> None:
        self._publisher.connected()


def _log_bug(task: "asyncio.Task[None]") -> None:
    """A bug here ends the records; load tests are served on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("internal error: tests are no longer recorded or sent", exc_info=error)
