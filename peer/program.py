"""The peer as a whole: both servers with one set of keys, and the record of their tests, to a clean end."""

import asyncio
import errno
import logging
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path

from host.clock import Clock
from host.notify import NOBODY, Notifier
from net.mqtt import Broker
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from peer import record
from peer.admission import Admission
from peer.keys import PeerKeys
from peer.recorder import TestRecorder
from peer.reflector import StampReflector
from peer.settings import PeerSettings
from peer.udpstp import UdpstpServer
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp.server import ServerTest

_LOG = logging.getLogger(__name__)
KEYS_EVERY_S = 10.0


class PortTakenError(Exception):
    """A port cannot be had; the text says which, why, and what to do."""


class PeerService:
    """Load tests and STAMP on one address, and where there is a broker the record of the load tests.

    Raises BrokerError if the broker's settings name files that cannot be used.
    """

    def __init__(self, chosen: PeerSettings, secrets: dict[int, bytes]) -> None:
        self._chosen = chosen
        self._clock = Clock()
        self.udpstp = UdpstpServer(
            chosen.host, chosen.udpstp.port, secrets, Admission(chosen.capacity), chosen.limits, self._ended
        )
        self.reflector = StampReflector(
            chosen.host, chosen.stamp.port, chosen.reflector(secrets), self._estimate
        )
        self._records = self._new_records(chosen.broker) if chosen.broker else None
        self._keys = PeerKeys(chosen, secrets)

    def _new_records(self, broker: Broker) -> TestRecorder:
        chosen, tests, clock = self._chosen, self._chosen.tests, self._clock.read
        journal = JournalThread(lambda: Journal(Path(tests.path), int(tests.size), clock()))
        return TestRecorder(chosen.name, version("plancher"), broker, tests.pace, journal, clock)

    def _ended(self, test: ServerTest, set_up: int) -> None:
        if self._records is not None:
            ended = record.Ended(test, set_up, time.monotonic_ns(), self._clock.read())
            self._records.record(partial(record.of_test, ended))

    def _estimate(self) -> ErrorEstimate:
        return ErrorEstimate.of_clock(self._clock.read())

    async def run(self, stop: asyncio.Event, service: Notifier = NOBODY) -> None:
        """Serve until ``stop`` is set; running tests are then told to stop.

        Raises PortTakenError, and JournalError if the file of the tests cannot be used.
        """
        try:
            await self.start()
            _LOG.info("serving load tests on %s port %d, STAMP on port %d",
                      self._chosen.host, self.udpstp.port, self.reflector.port)  # fmt: skip
            if self._records is not None:
                await self._records.start()
            service.ready()
            beside = [
                asyncio.create_task(work) for work in (service.feed_watchdog(self._fault), self._keep_keys())
            ]
            await stop.wait()
            for task in beside:
                task.cancel()
            service.stopping()
        finally:
            await self.close()

    async def _keep_keys(self) -> None:
        while True:
            await asyncio.sleep(KEYS_EVERY_S)
            if await asyncio.to_thread(self._keys.renew):
                self.udpstp.take_keys(self._keys.secrets)
                self.reflector.take(self._chosen.reflector(self._keys.secrets))

    async def _fault(self) -> str | None:
        """What keeps it from answering; that this is asked at all shows that the event loop turns."""
        served = {"load tests": self.udpstp.serving, "STAMP": self.reflector.serving}
        closed = [name for name, open_still in served.items() if not open_still]
        return f"the socket for {' and '.join(closed)} is closed" if closed else None

    async def start(self) -> None:
        """Take both ports. Raises PortTakenError."""
        for name, server in (("udpstp", self.udpstp), ("stamp", self.reflector)):
            try:
                await server.start()
            except OSError as error:
                where = f"{self._chosen.host} port {server.port}"
                raise PortTakenError(f"{name}.port: {where}: {_why(error)}") from None

    async def close(self) -> None:
        """Give both ports back, and keep what the last tests left; harmless when not started."""
        self.reflector.close()
        await self.udpstp.stop()
        if self._records is not None:
            await self._records.stop()


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another, or grant it"
    if error.errno == errno.EADDRINUSE:
        return (
            "in use, by this peer if it is running: else choose another host or port, or stop what holds it"
        )
    return f"{error.strerror}: choose another host or port"
