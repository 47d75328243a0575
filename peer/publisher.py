"""The way of the peer's tests to the collector: thin shells around ``peer.record_log`` and ``peer.outbox``.

The serving path only hands a test over (``tell``); a disk or a broker that hangs holds up nothing else.
"""

import asyncio
import contextlib
import logging
import random
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from host.units import counted
from net.complaint import Complaint
from net.mqtt import Broker, Publication, Session
from peer.outbox import Outbox, Pace
from peer.record import Entry, entry
from peer.record_log import RecordLog
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import Fault
from wire.messages.peer_tests import PeerReceipt, PeerTest, decode_peer, envelope
from wire.messages.topics import PeerKind
from wire.records import ClockReading

MOST_WAITING = 10_000
LONGEST_NAP_S = 60.0
RECONNECTED_NAP_S = 5.0
INCOMING_BOUND = 100

Result = TypeVar("Result")
_LOG = logging.getLogger(__name__)


class Publisher:
    """Keeps what it is told and sends it until the collector has said that it has it.

    ``peer`` is this peer's name, ``program`` what it runs. Raises BrokerError if the broker's settings name
    files that cannot be used.
    """

    def __init__(
        self, peer: str, program: str, broker: Broker, pace: Pace, log: RecordLog,
        clock: Callable[[], ClockReading],
    ) -> None:  # fmt: skip
        self._peer, self._program, self._pace, self._log, self._clock = peer, program, pace, log, clock
        self._told: deque[Entry] = deque(maxlen=MOST_WAITING)
        self._lost = 0
        self._complaint = Complaint()
        self._news, self._wake = asyncio.Event(), asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="tests")
        self._outbox: Outbox | None = None
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

    def tell(self, test: PeerTest) -> None:
        """A test has ended. From the event loop's thread; returns at once."""
        if len(self._told) == MOST_WAITING:  # a disk that hangs for an hour: the oldest give way
            self._lost += 1
            if self._lost % 1000 == 1:
                _LOG.error("%s lost so far: the disk takes none, memory is full", counted(self._lost, "test"))
        self._told.append(entry(test))
        self._news.set()

    def start(self) -> None:
        """Begin to keep and to send."""
        self._outbox = Outbox(self._pace, random.Random(), self._now())
        for work in (self._keep(), self._send(self._outbox), self._session.run()):
            task = asyncio.create_task(work)
            task.add_done_callback(_tell_of_error)
            self._tasks.append(task)

    async def stop(self) -> None:
        """End, once what was told until now is kept."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._tasks:
            await self._store()
            await self._do(self._log.close)
        self._tasks.clear()
        self._thread.shutdown()

    async def _keep(self) -> None:
        await self._do(self._log.open)
        while True:
            await self._news.wait()
            self._news.clear()
            await self._store()

    async def _store(self) -> None:
        entries = list(self._told)
        self._told.clear()
        if entries:
            await self._do(lambda: self._log.add(entries))
            if self._outbox is not None:
                self._outbox.added()
            self._wake.set()

    async def _send(self, outbox: Outbox) -> None:
        while True:
            await self._release(outbox)
            while self._session.connected and await self._send_one(outbox):
                pass
            nap = min(LONGEST_NAP_S, outbox.next_wake(self._now()) - self._now())
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(nap, 0.05) if self._session.connected else RECONNECTED_NAP_S):
                    await self._wake.wait()

    async def _release(self, outbox: Outbox) -> None:
        if outbox.release_due(self._now()):
            released = await self._do(self._log.release)
            if released:
                outbox.added()
                _LOG.info("%d rejected tests are sent again", released)

    async def _send_one(self, outbox: Outbox) -> bool:
        """Send one batch if one is due; returns whether another may be."""
        limit = outbox.want(self._now())
        if not limit:
            return False
        flying = outbox.flying
        fetched = await self._do(lambda: self._log.unsent(limit, flying))
        entries = outbox.choose(fetched, self._now())
        if not entries:
            return False
        records = tuple(one.record for one in entries)
        payload = messages.encode(envelope(self._peer, self._program, self._clock(), records))
        digest = messages.digest(payload)
        outbox.sent(digest, entries, self._now())  # before publishing: the receipt may overtake the PUBACK
        if not await self._session.publish(
            Publication(topics.peer_topic(self._peer, PeerKind.TESTS), payload)
        ):
            outbox.not_published(digest)
            return False
        _LOG.debug("%d tests in flight as %s", len(entries), digest[:12])
        return True

    async def _on_message(self, topic: str, payload: bytes) -> None:
        receipt = decode_peer(payload, PeerReceipt, self._peer)
        if isinstance(receipt, Fault):
            _LOG.warning("not a receipt on %s: %s: %s", topic, receipt.reason, receipt.detail)
            return
        refusal = "" if receipt.reason is None else f"{receipt.reason}: {receipt.detail}"
        if self._complaint.is_news(refusal):
            _LOG.error("the collector refuses a batch (%s): its tests are kept and sent again later", refusal)
        states = self._outbox.receipt(receipt) if self._outbox is not None else {}
        if states:
            await self._do(lambda: self._log.settle(states))
        self._wake.set()

    async def _on_connected(self) -> None:
        self._wake.set()

    async def _do(self, work: Callable[[], Result]) -> Result:
        """What was asked for is done, even if whoever asked is cancelled meanwhile."""
        return await asyncio.shield(asyncio.get_running_loop().run_in_executor(self._thread, work))

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()


def _tell_of_error(task: "asyncio.Task[None]") -> None:
    """A bug here ends the publishing; load tests are served on."""
    if not task.cancelled() and (error := task.exception()) is not None:
        _LOG.error("internal error: tests are no longer kept or sent", exc_info=error)
