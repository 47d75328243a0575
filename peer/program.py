"""Running peer: both servers with one set of keys, the record of their tests, and an orderly end."""

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
# A key that is taken away is refused within this time.
KEYS_EVERY_S = 10.0
REFUSALS_EVERY_S = 5.0


class PortTakenError(Exception):
    """Failure to listen on a port; the text says which one, why, and what to do."""


class PeerService:
    """Servers of load tests and STAMP on one address, and with a broker the record of the load tests.

    Raises BrokerError if the broker's settings name files that cannot be used.
    """

    def __init__(self, chosen: PeerSettings, secrets: dict[int, bytes]) -> None:
        self._chosen = chosen
        self._clock = Clock()
        self.udpstp = UdpstpServer(
            chosen.host,
            chosen.udpstp.port,
            secrets,
            Admission(chosen.admission),
            chosen.limits,
            self._ended,
            chosen.test_ports,
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
        """Serve until ``stop`` is set, then end the running tests.

        Raises PortTakenError, and JournalError if the file of the tests cannot be used.
        """
        try:
            await self.start()
            _LOG.info("serving load tests on %s port %d, STAMP on port %d with a receive buffer of %d kB",
                      self._chosen.host, self.udpstp.port, self.reflector.port,
                      self.reflector.receive_buffer // 1000)  # fmt: skip
            if self._records is not None:
                await self._records.start()
            service.ready()
            background = [
                asyncio.create_task(work)
                for work in (service.feed_watchdog(self._fault), self._keep_keys(), self._log_refusals())
            ]
            await stop.wait()
            # Before the sockets close: otherwise the watchdog would report them as a fault.
            for task in background:
                task.cancel()
            service.stopping()
        finally:
            await self.close()

    async def _keep_keys(self) -> None:
        while True:
            await asyncio.sleep(KEYS_EVERY_S)
            # In a thread: STAMP replies must not wait for the disk.
            if await asyncio.to_thread(self._keys.renew):
                self.udpstp.take_keys(self._keys.secrets)
                self.reflector.take(self._chosen.reflector(self._keys.secrets))

    async def _log_refusals(self) -> None:
        while True:
            await asyncio.sleep(REFUSALS_EVERY_S)
            self.udpstp.log_refusals()
            self.reflector.log_refusals()

    async def _fault(self) -> str | None:
        """Closed sockets, for the service manager. An event loop that hangs does not report at all."""
        served = {"load tests": self.udpstp.serving, "STAMP": self.reflector.serving}
        closed = [name for name, open_still in served.items() if not open_still]
        return f"the socket for {' and '.join(closed)} is closed" if closed else None

    async def start(self) -> None:
        """Open both ports. Raises PortTakenError."""
        # Both or none: a peer that serves one of the two would look alive to agents that need the other.
        for name, server in (("udpstp", self.udpstp), ("stamp", self.reflector)):
            try:
                await server.start()
            except OSError as error:
                where = f"{self._chosen.host} port {server.port}"
                raise PortTakenError(f"{name}.port: {where}: {_why(error)}") from None

    async def close(self) -> None:
        """Close both ports and store the records of the last tests; harmless when not started."""
        self.reflector.close()
        await self.udpstp.stop()
        if self._records is not None:
            # The records last: every test that ends adds one.
            await self._records.stop()


def _why(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another, or grant it"
    if error.errno == errno.EADDRINUSE:
        return "in use, by this peer if it is running: else choose another host or port, or stop what uses it"
    return f"{error.strerror}: choose another host or port"
