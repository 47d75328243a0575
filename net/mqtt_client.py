"""aiomqtt's client, made to end in bounded time, to hold bounded memory, and to leave no socket behind.

What aiomqtt 2.5 and paho 2 leave open: a broker that hangs up before its CONNACK, or before it acknowledges
a subscription or a publication, is waited for until the time-out; an attempt that fails or is cancelled
keeps its socket; a DISCONNECT that a dead link does not take ends in an error in place of the cancellation
that asked for it, and other cancellations may be swallowed; why a read failed (with TLS 1.3, what the broker
says about our certificate) is not told; a packet may grow to 256 MB, and what is queued without end.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import aiomqtt

from net.mqtt_endings import CLOSED, HUNG_UP, TOO_LARGE, UNASKED, UNREAD

GOODBYE_S = 2.0
"""How long a DISCONNECT may take to leave; then the connection is dropped."""
CONNECT_S = 10.0
"""How long TCP, and after it TLS, may take to each address of the broker."""
MOST_PACKET_BYTES = 1024 * 1024 + 4096
"""The largest packet taken: what the shipped broker lets through, twice the largest message of ours."""
_USUAL_BYTES = 4096
_READ_BYTES = 65536
_MOST_WAITING = 5000
_TELL_EVERY_S = 60.0

T = TypeVar("T")
log = logging.getLogger(__name__)
# What the libraries complain of ends the connection, and is told then, or comes with every packet of a flood.
logging.getLogger("mqtt").setLevel(logging.CRITICAL)


class Incoming(asyncio.Queue[aiomqtt.Message]):
    """Messages that wait to be handled, bounded in number (``maxsize``) and in bytes.

    What does not fit is dropped and told of once a minute: receipts, or their absence, put it right.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self.most_bytes = MOST_PACKET_BYTES + maxsize * _USUAL_BYTES
        self._bytes = 0
        self._dropped = 0
        self._told = -_TELL_EVERY_S

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Take a message, or drop it."""
        if self.full() or self._bytes + _size(message) > self.most_bytes:
            self._drop()
        else:
            super().put_nowait(message)

    def _put(self, message: aiomqtt.Message) -> None:
        self._bytes += _size(message)
        super()._put(message)

    def _get(self) -> aiomqtt.Message:
        message = super()._get()
        self._bytes -= _size(message)
        return message

    def _drop(self) -> None:
        self._dropped += 1
        if (now := time.monotonic()) - self._told >= _TELL_EVERY_S:
            log.warning("messages come faster than they are handled: %d dropped so far", self._dropped)
            self._told = now


class Client(aiomqtt.Client):
    """One connection. Entering raises aiomqtt.MqttError whose text is ``HUNG_UP`` where the broker did so."""

    def __init__(self, *arguments: Any, tls_context: ssl.SSLContext | None = None, **settings: Any) -> None:
        super().__init__(*arguments, tls_context=tls_context, queue_type=Incoming, **settings)
        self.cause: BaseException | None = None
        self.left = False
        self._client.connect_timeout = CONNECT_S
        self._read = self._client._sock_recv
        self._client._sock_recv = self._receive  # type: ignore[method-assign]
        if tls_context is not None:
            self._tls_context = tls_context
            self._client._ssl_wrap_socket = self._shake_hands  # type: ignore[method-assign]
        self._disconnected.add_done_callback(self._ended)

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
            pass
        finally:
            self._drop()

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 -- aiomqtt's
        """Within ``timeout`` seconds; Python 3.11's ``asyncio.wait_for`` may swallow a cancellation."""
        by_itself = fut is self._connected or fut is self._disconnected
        try:
            async with asyncio.timeout(self.timeout if timeout is None else timeout):
                return await (fut if by_itself else self._while_connected(fut))
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None

    async def _while_connected(self, fut: Awaitable[T]) -> T:
        """An acknowledgement, or the end of the connection it would have come on, as aiomqtt.MqttError."""
        answer = asyncio.ensure_future(fut)
        try:
            await asyncio.wait((answer, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise aiomqtt.MqttError(str(self.cause or "") or CLOSED)

    def leave(self) -> None:
        """End the connection in good order; ``left`` tells that it was meant."""
        self.left = True
        self._client.disconnect()

    def fail(self, why: str) -> None:
        """End the connection now, without a word to a broker that would not hear it."""
        self._drop()
        if not self._disconnected.done():
            self._disconnected.set_exception(aiomqtt.MqttError(why))

    def _receive(self, bufsize: int) -> bytes:
        """Paho's read, within bounds; what it raises, paho logs nowhere and forgets."""
        try:
            if why := self._beyond_bounds():
                raise ConnectionError(why)
            return self._read(min(bufsize, _READ_BYTES))
        except BlockingIOError:
            raise
        except ConnectionResetError:
            raise  # no more than that it hung up
        except OSError as error:
            self.cause = error
            raise

    def _shake_hands(self, tcp_sock: socket.socket) -> ssl.SSLSocket:
        """Paho's, but that a handshake which fails leaves no socket."""
        context, host = self._tls_context, self._hostname
        shaken = context.wrap_socket(tcp_sock, server_hostname=host, do_handshake_on_connect=False)
        shaken.settimeout(CONNECT_S)
        try:
            shaken.do_handshake()
        except BaseException:
            shaken.close()
            raise
        return shaken

    def _beyond_bounds(self) -> str | None:
        paho = self._client
        if paho._in_packet["remaining_length"] > MOST_PACKET_BYTES:
            return TOO_LARGE
        if paho._in_messages:
            return UNASKED
        if len(paho._out_packet) > _MOST_WAITING:
            return UNREAD
        return None

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Paho's callback, in whatever thread. By the time it is heeded the socket may be closed."""

        def write() -> None:
            try:
                self._client.loop_write()
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            if sock.fileno() >= 0:  # else the number is nobody's, or another connection's
                self._loop.add_writer(sock, write)

        self._loop.call_soon_threadsafe(register)

    def _on_disconnect(self, *told: Any, **more: Any) -> None:
        """Paho's callback, in whatever thread."""
        if not self._connected.done():
            self._loop.call_soon_threadsafe(self._hung_up)
        super()._on_disconnect(*told, **more)

    def _hung_up(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(str(self.cause or "") or HUNG_UP))

    def _ended(self, disconnected: "asyncio.Future[None]") -> None:
        """Also what paho stumbled over before it was connected ends the wait for a CONNACK."""
        error = None if disconnected.cancelled() else disconnected.exception()
        self.cause = self.cause or error
        self._hung_up()

    def _drop(self) -> None:
        sock = self._client.socket()
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_writer(sock)
            self._on_socket_close(self._client, None, sock)
            sock.close()


def _size(message: aiomqtt.Message) -> int:
    return len(message.payload) if isinstance(message.payload, bytes) else 0
