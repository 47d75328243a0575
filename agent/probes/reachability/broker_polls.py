"""Polls of the broker: connections in which it has to prove itself, to each of its addresses."""

import asyncio
import ssl
from functools import partial

from agent.probes.reachability.rules.address_histories import AddressHistories
from agent.probes.reachability.rules.target_history import TargetHistory
from agent.task.context import ProbeContext
from net.addresses.host import HostAddresses
from net.addresses.racing import STAGGER_S
from net.mqtt_proof import is_broker
from net.tls import BrokerError, Credentials

# An attempt needs three round trips, of at most 1.2 s each on the slowest path, and may lose a packet.
_ATTEMPT_S = 10.0
_MOST_ATTEMPTS = 16
# Addresses of one host that are polled.
MOST_ADDRESSES = 4


class BrokerPolls:
    """Attempts that run side by side. ``target`` is the history of the broker as a whole."""

    def __init__(
        self,
        context: ProbeContext,
        addresses: HostAddresses,
        target: TargetHistory,
        histories: AddressHistories,
    ) -> None:
        self._settings = context.settings.broker
        self._clock = context.clock
        self._addresses = addresses
        self._target = target
        self._histories = histories
        self._credentials: Credentials | None = None
        self._running: list[asyncio.Task[None]] = []

    def close(self) -> None:
        """End all attempts."""
        for task in self._running:
            task.cancel()

    def poll(self) -> None:
        """Try all addresses, 250 ms apart, until one proves itself (RFC 8305)."""
        for place, address in enumerate(self._addresses.candidates[:MOST_ADDRESSES]):
            self.try_address(address, place * STAGGER_S)

    def try_address(self, address: str, after_s: float = 0.0) -> None:
        """Try one address in the background, unless the broker has answered within ``after_s``."""
        self._running = [task for task in self._running if not task.done()]
        if len(self._running) >= _MOST_ATTEMPTS:
            self._running.pop(0).cancel()
        self._running.append(asyncio.create_task(self._attempt(address, after_s)))

    async def _attempt(self, address: str, after_s: float) -> None:
        began = self._clock()
        await asyncio.sleep(after_s)
        if after_s and self._target.answered_since(began):
            return
        history, settings = self._histories.of(address), self._settings
        history.poll(self._clock())
        try:
            tls = self._context()
            async with asyncio.timeout(_ATTEMPT_S):
                accepted = partial(self._accepted, history)
                proved = await is_broker(address, settings.port, settings.host, tls, accepted)
        except ConnectionRefusedError:
            history.refuse(self._clock())
            self._target.refuse(self._clock())
            return
        except (OSError, BrokerError):  # TimeoutError is an OSError
            return
        if proved:
            history.answer(self._clock())
            self._target.answer(self._clock())
            self._addresses.prove(address)

    def _accepted(self, history: TargetHistory) -> None:
        history.accept(self._clock())
        self._target.accept(self._clock())

    def _context(self) -> ssl.SSLContext | None:
        if self._settings.tls is None:
            return None
        if self._credentials is None:
            self._credentials = Credentials(self._settings.tls)
        # Chain and name say who answers. A certificate that has expired is the broker's all the same.
        return self._credentials.context(check_dates=False)
