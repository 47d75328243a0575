"""Watchdog of the collector: checks its writer and its web server from outside the code that runs them.

systemd restarts a collector whose watchdog finds a fault. A ledger that takes nothing and a broker that is
down are no faults here: a restart does not mend them, and /readyz reports both.
"""

import asyncio

WRITER_WITHIN_S = 60.0  # the longest group, on a disk that other programs keep busy
WEB_WITHIN_S = 10.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- looked up, not listened on
_REQUEST = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def of_writer(unasked_s: float) -> str | None:
    """Fault of the ledger's writer, which last asked for messages ``unasked_s`` ago, or None."""
    if unasked_s <= WRITER_WITHIN_S:
        return None
    return f"the ledger's writer has not asked for messages for {unasked_s:.0f} s: does its disk answer?"


async def of_web(host: str, port: int) -> str | None:
    """Fault of the web server, asked through its own socket, or None."""
    try:
        async with asyncio.timeout(WEB_WITHIN_S):
            status = await _status_line(_LOOPBACK.get(host, host), port)
    except (OSError, TimeoutError) as error:
        return f"the web server does not answer: {str(error) or 'time-out'}"
    return None if b" 200 " in status else "the web server is not healthy"


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_REQUEST)
        return await reader.readline()
    finally:
        writer.close()
