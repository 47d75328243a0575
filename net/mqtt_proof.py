"""Proof that a broker is at an address, without a session.

Anything on the way may accept a TCP connection: a captive portal, an accelerator, a firewall. With TLS the
broker proves itself by its certificate. Without TLS a CONNACK (MQTT 3.1.1 section 3.2) is the least that only
a broker sends, whatever its return code. No user name and no password is sent for it.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress

# CONNECT, MQTT 3.1.1, clean session, keep-alive 10 s, empty client id; DISCONNECT.
_CONNECT = b"\x10\x0c\x00\x04MQTT\x04\x02\x00\x0a\x00\x00"
_DISCONNECT = b"\xe0\x00"
_CONNACK_BYTES, _CONNACK = 4, b"\x20\x02"


async def is_broker(
    address: str, port: int, host: str, tls: ssl.SSLContext | None, accepted: Callable[[], None]
) -> bool:
    """Check if the broker ``host`` is at ``address``; ``accepted`` is called when TCP is established.

    It takes as long as the other end likes: cancel it. Raises OSError where TCP is not established.
    """
    loop = asyncio.get_running_loop()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (address, port))
        accepted()
        try:
            if tls is not None:
                return await _has_certificate(sock, host, tls)
            return await _acknowledges(sock)
        except OSError:  # ssl.SSLError is one: another certificate, or no TLS at all
            return False


async def _has_certificate(sock: socket.socket, host: str, tls: ssl.SSLContext) -> bool:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=sock, ssl=tls, server_hostname=host)
    transport.abort()
    return True


async def _acknowledges(sock: socket.socket) -> bool:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(sock, _CONNECT)
    answer = b""
    while len(answer) < _CONNACK_BYTES:
        more = await loop.sock_recv(sock, _CONNACK_BYTES - len(answer))
        if not more:
            return False
        answer += more
    with suppress(OSError):
        sock.send(_DISCONNECT)
    return answer.startswith(_CONNACK)
