"""Client of aiomqtt, made to end in bounded time, to use bounded memory, and to leave no socket open.

Without this module aiomqtt 2.5 and paho 2 have these defects:

- After a broker hangs up before its CONNACK, SUBACK or PUBACK, they wait until the time-out.
- An attempt that fails or is cancelled keeps its socket.
- On a dead link, a cancellation ends in an error of the DISCONNECT; other cancellations may be swallowed.
- Several addresses are tried one after the other, ten seconds each, and the name blocks a thread.
- The reason of a failed read is lost. With TLS 1.3 that is the broker's answer to our certificate.
- A packet may have 256 MB, and queues are unbounded.

A publication beyond the bound is read and thrown away, and the connection stays. A broker sends a retained
one again after each connection, so that closing it would lock the program out.
"""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Awaitable, Sequence
from types import TracebackType
from typing import Any, Self, TypeVar

import aiomqtt

from net.addresses import racing
from net.mqtt_errors import CLOSED, HUNG_UP, TOO_LARGE, UNREAD, UNREQUESTED

# Longest time for sending a DISCONNECT; then the connection is dropped.
GOODBYE_S = 2.0
# Longest time for TCP, and again for TLS, to each address of the broker.
CONNECT_S = 10.0
# Largest packet accepted: the limit of the shipped broker, twice the size of our largest message.
MOST_PACKET_BYTES = 1024 * 1024 + 4096
# Bytes kept of a larger publication: topic and packet identifier, which its acknowledgement needs.
_HEAD_BYTES = 2 + 65_535 + 2
_PUBLISH = 3
_USUAL_BYTES = 4096
_READ_BYTES = 65536
# Far more than the acknowledgements of a full queue of incoming messages (1,000).
_MOST_WAITING = 5000
_LOG_EVERY_S = 60.0

T = TypeVar("T")
log = logging.getLogger(__name__)
# Errors that the libraries log end the connection and are reported then, or are repeated for each packet of a
# flood.
logging.getLogger("mqtt").setLevel(logging.CRITICAL)


class Incoming(asyncio.Queue[aiomqtt.Message]):
    """Queue of messages to be handled, bounded in number (``maxsize``) and in bytes.

    Further messages are dropped and logged once a minute. Missing receipts cause them to be sent again.
    """

    def __init__(self, maxsize: int = 0) -> None:
        super().__init__(maxsize)
        self.most_bytes = MOST_PACKET_BYTES + maxsize * _USUAL_BYTES
        self._bytes = 0
        self._dropped = 0
        self._logged = -_LOG_EVERY_S

    def put_nowait(self, message: aiomqtt.Message) -> None:
        """Add a message, or drop it."""
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
        if (now := time.monotonic()) - self._logged >= _LOG_EVERY_S:
            log.warning("messages arrive faster than they are handled: %d dropped so far", self._dropped)
            self._logged = now


class MqttClient(aiomqtt.Client):
    """One connection. Entering raises aiomqtt.MqttError, with the text ``HUNG_UP`` where the broker did so.

    ``cause`` is the first error of the connection, ``left`` is true after ``leave``. ``address`` is the one
    that was connected to. ``failed`` are those whose TLS handshake failed before it.
    """

    def __init__(
        self,
        *arguments: Any,
        addresses: Sequence[str],
        tls_context: ssl.SSLContext | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(*arguments, tls_context=tls_context, queue_type=Incoming, **settings)
        self.cause: BaseException | None = None
        self.left = False
        self.address: str | None = None
        self.failed: list[str] = []
        self._addresses = tuple(addresses)
        self._client._create_socket = self._open  # type: ignore[method-assign]
        self._client.connect_timeout = CONNECT_S
        self._read = self._client._sock_recv
        self._client._sock_recv = self._receive  # type: ignore[method-assign]
        self._tls_context = tls_context
        self._waits: set[asyncio.Timeout] = set()
        self._oversized = 0
        self._logged_oversized = -_LOG_EVERY_S
        self._disconnected.add_done_callback(self._ended)

    async def __aenter__(self) -> Self:
        try:
            return await super().__aenter__()
        except BaseException:
            self._drop()
            raise

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> None:
        try:
            async with asyncio.timeout(GOODBYE_S):
                await super().__aexit__(exc_type, exc, tb)
        except TimeoutError:
            pass
        finally:
            self._drop()

    async def _wait_for(self, fut: Awaitable[T], timeout: float | None) -> T:  # noqa: ASYNC109 -- aiomqtt's
        # Not by asyncio.wait_for, which may swallow a cancellation in Python 3.11.
        by_itself = fut is self._connected or fut is self._disconnected
        wait = asyncio.timeout(self.timeout if timeout is None else timeout)
        try:
            async with wait:
                self._waits.add(wait)
                return await (fut if by_itself else self._while_connected(fut))
        except TimeoutError:
            raise aiomqtt.MqttError("Operation timed out") from None
        finally:
            self._waits.discard(wait)

    async def _while_connected(self, fut: Awaitable[T]) -> T:
        """Await an acknowledgement. Raises aiomqtt.MqttError when the connection ends before it."""
        answer = asyncio.ensure_future(fut)
        try:
            await asyncio.wait((answer, self._disconnected), return_when=asyncio.FIRST_COMPLETED)
            if answer.done():
                return answer.result()
        finally:
            answer.cancel()
        raise aiomqtt.MqttError(str(self.cause or "") or CLOSED)

    def leave(self) -> None:
        """End the connection with a DISCONNECT."""
        self.left = True
        self._client.disconnect()

    def fail(self, why: str) -> None:
        """End the connection now, without a DISCONNECT that a dead link would not carry."""
        self._drop()
        if not self._disconnected.done():
            self._disconnected.set_exception(aiomqtt.MqttError(why))

    def _receive(self, bufsize: int) -> bytes:
        """Read as paho does, within bounds, and keep the error, which paho forgets."""
        try:
            if why := self._beyond_bounds():
                raise ConnectionError(why)
            data = self._read(min(bufsize, _READ_BYTES))
            return self._discard(data) if self._discards() else data
        except BlockingIOError:
            raise
        except ConnectionResetError:
            # A reset says no more than that the broker hung up.
            raise
        except OSError as error:
            self.cause = error
            raise

    def _open(self) -> socket.socket:
        """Connect to the first address that accepts and, with TLS, proves to be the broker. Blocks.

        Whoever accepts TCP may be a box on the way: then the other addresses are tried.
        """
        left, context = list(self._addresses), self._tls_context
        while True:
            sock, address = racing.connect(left, self._port, CONNECT_S)
            self.address = address
            if context is None:
                return sock
            try:
                return self._shake_hands(sock, context)
            except OSError:
                self.failed.append(address)
                left.remove(address)
                if not left:
                    raise

    def _shake_hands(self, tcp_sock: socket.socket, context: ssl.SSLContext) -> ssl.SSLSocket:
        """Shake hands as paho does, but close the socket of a handshake that fails."""
        host = self._hostname
        shaken = context.wrap_socket(tcp_sock, server_hostname=host, do_handshake_on_connect=False)
        shaken.settimeout(CONNECT_S)
        try:
            shaken.do_handshake()
        except BaseException:
            shaken.close()
            raise
        return shaken

    def _discards(self) -> bool:
        packet = self._client._in_packet
        return self._is_oversized() and len(packet["packet"]) >= _HEAD_BYTES

    def _is_oversized(self) -> bool:
        return bool(self._client._in_packet["remaining_length"] > MOST_PACKET_BYTES)

    def _discard(self, data: bytes) -> bytes:
        """Give paho the first byte alone of what was read, as if it were all."""
        self._client._in_packet["to_process"] -= max(len(data) - 1, 0)
        # On a slow line the answers that somebody waits for are behind these bytes.
        later = self._loop.time() + self.timeout
        for wait in self._waits:
            if (when := wait.when()) is not None and when < later:
                wait.reschedule(later)
        return data[:1]

    def _on_message(self, client: Any, userdata: Any, message: Any) -> None:
        """Callback of paho: drop a publication of which the most part was thrown away."""
        if not self._is_oversized():
            super()._on_message(client, userdata, message)
            return
        self._oversized += 1
        if (now := time.monotonic()) - self._logged_oversized >= _LOG_EVERY_S:
            self._logged_oversized = now
            size = self._client._in_packet["remaining_length"] // 1000
            remedy = ": publish an empty retained message there to remove it" if message.retain else ""
            log.warning(
                "a message of %d kB on %s was dropped, %d so far on this connection: "
                "set max_packet_size at the broker%s", size, _shown(message._topic), self._oversized, remedy,
            )  # fmt: skip

    def _beyond_bounds(self) -> str | None:
        paho = self._client
        # Only a publication may be large without being an attempt to fill memory.
        if self._is_oversized() and paho._in_packet["command"] >> 4 != _PUBLISH:
            return TOO_LARGE
        # paho keeps publications of QoS 2 until their release, without a bound, and we subscribe to none.
        if paho._in_messages:
            return UNREQUESTED
        if len(paho._out_packet) > _MOST_WAITING:
            return UNREAD
        return None

    def _on_socket_register_write(self, client: Any, userdata: Any, sock: Any) -> None:
        """Callback of paho, in any thread."""

        def write() -> None:
            try:
                self._client.loop_write()
            except Exception as error:
                if not self._disconnected.done():
                    self._disconnected.set_exception(error)

        def register() -> None:
            # The socket may be closed by now, and its number may belong to another connection.
            if sock.fileno() >= 0:
                self._loop.add_writer(sock, write)

        self._loop.call_soon_threadsafe(register)

    def _on_disconnect(self, *arguments: Any, **more: Any) -> None:
        """Callback of paho, in any thread."""
        if not self._connected.done():
            self._loop.call_soon_threadsafe(self._hung_up)
        super()._on_disconnect(*arguments, **more)

    def _hung_up(self) -> None:
        if not self._connected.done():
            self._connected.set_exception(aiomqtt.MqttError(str(self.cause or "") or HUNG_UP))

    def _ended(self, disconnected: "asyncio.Future[None]") -> None:
        # An error of paho before it was connected ends the wait for a CONNACK, too.
        error = None if disconnected.cancelled() else disconnected.exception()
        self.cause = self.cause or error
        self._hung_up()

    def _drop(self) -> None:
        sock = self._client.socket()
        if sock is not None and sock.fileno() >= 0:
            # Before the socket is closed: its number may be given to another connection at once.
            self._loop.remove_writer(sock)
            self._on_socket_close(self._client, None, sock)
            sock.close()


def _shown(topic: bytes) -> str:
    # In the log it is a part of one line, whatever characters and length it has.
    return ascii(topic[:100].decode(errors="replace"))


def _size(message: aiomqtt.Message) -> int:
    return len(message.payload) if isinstance(message.payload, bytes) else 0
