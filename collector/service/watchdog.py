"""Whether the collector does its work, asked from outside of what does it: what its watchdog is fed by.

A ledger that takes nothing, or a broker that is away, is no reason to be restarted: both are told elsewhere
and mend themselves.
"""

import asyncio

WRITER_WITHIN_S = 60.0  # the longest group, on a disk that others keep busy
WEB_WITHIN_S = 10.0
_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 -- told apart, not listened on
_QUESTION = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def of_writer(unasked_s: float) -> str | None:
    """What is wrong with the ledger's writer, which came for messages ``unasked_s`` ago."""
    if unasked_s <= WRITER_WITHIN_S:
        return None
    return f"the ledger's writer hangs for {unasked_s:.0f} s: does its disk answer?"


async def of_web(host: str, port: int) -> str | None:
    """What is wrong with our own web server, asked through its socket as anybody would."""
    try:
        async with asyncio.timeout(WEB_WITHIN_S):
            status = await _status_line(_ANYWHERE.get(host, host), port)
    except (OSError, TimeoutError) as error:
        return f"the web server does not answer: {str(error) or 'time-out'}"
    return None if b" 200 " in status else "the web server is not healthy"


async def _status_line(host: str, port: int) -> bytes:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        writer.write(_QUESTION)
        return await reader.readline()
    finally:
        writer.close()
