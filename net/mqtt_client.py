"""aiomqtt's client, made to end in bounded time and to leave no socket behind.

What aiomqtt 2.5 leaves open: a broker that hangs up before its CONNACK is waited for until the time-out; an
attempt that fails or is cancelled keeps its socket; and a DISCONNECT that a dead link does not take ends in
an error in place of the cancellation that asked for it.
"""

import asyncio
from types import TracebackType
from typing import Any, Self

import aiomqtt

HUNG_UP = "hung up before it answered"
GOODBYE_S = 2.0
"""How long a DISCONNECT may take to leave; then the connection is dropped."""


class Client(aiomqtt.Client):
    """One connection. Entering raises aiomqtt.MqttError whose text is ``HUNG_UP`` where the broker did so."""

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._drop()
            raise

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        try:
            async with asyncio.timeout(GOODBYE_S):
                await super().__aexit__(exc_type, exc, tb)
        except TimeoutError:
            self._drop()

    def _on_disconnect(self, *told: Any, **more: Any) -> None:
        """Paho's callback, in whatever thread."""
        if not self._connected.done():
            self._loop.call_soon_threadsafe(self._hung_up)
        super()._on_disconnect(*told, **more)

    def _hung_up(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(HUNG_UP))

    def _drop(self) -> None:
        sock = self._client.socket()
        if sock is not None:
            self._loop.remove_writer(sock)
            self._on_socket_close(self._client, None, sock)
            sock.close()
