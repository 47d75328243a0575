"""How the agent asks the path helper: as a child of its own, or through a socket behind which one is started.

The resident agent has no capability and its unit forbids to gain any. A service manager that starts the
helper for each connection can give it the one that it needs; where the agent itself may open raw sockets, a
child has that right from the agent.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import IO

log = logging.getLogger(__name__)

COMMAND = (sys.executable, "-I", "-m", "agent.probes.path.child")
_CHUNK_BYTES = 65_536
_MOST_WORDS = 200
_LAST_MOMENT_S = 0.5


class HelperError(Exception):
    """The helper gave no answer; the text says why, for a person."""


async def ask_child(request: bytes, most_bytes: int, command: Sequence[str] = COMMAND) -> bytes:
    """Start the helper, hand it ``request``, and return what it answers.

    It is killed and reaped when this is cancelled. Raises HelperError when it does not end well or says more
    than ``most_bytes``, OSError when it cannot be started.
    """
    process = _start(request, command)
    heard = _Heard(process, most_bytes)
    try:
        await heard.ended
        # Both its pipes are closed: it is at its very end, or means to stay and is killed below.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_LAST_MOMENT_S)
    finally:
        heard.stop()
        process.kill()
        process.wait()
    if heard.last_words:
        log.warning("the path helper said: %s", heard.last_words)
    if len(heard.told) > most_bytes:
        raise HelperError(f"the path helper answered more than {most_bytes} bytes")
    if process.returncode:
        raise HelperError(f"the path helper ended with status {process.returncode}: {heard.last_words}")
    return bytes(heard.told)


async def ask_socket(path: str, request: bytes, most_bytes: int) -> bytes:
    """The same through a Unix socket. Raises HelperError, OSError where nobody listens there."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request)
        writer.write_eof()
        told = bytearray()
        while len(told) <= most_bytes and (chunk := await reader.read(_CHUNK_BYTES)):
            told += chunk
    finally:
        # Not closed, which waits until somebody has read the request: it may be that nobody ever does.
        writer.transport.abort()
    if not told:
        raise HelperError(f"the path helper behind {path} gave no answer: see the log of its service")
    if len(told) > most_bytes:
        raise HelperError(f"the path helper answered more than {most_bytes} bytes")
    return bytes(told)


def _start(request: bytes, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    """The request is a file in memory: writing to a pipe could block on a reader that is gone."""
    descriptor = os.memfd_create("plancher-path", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, request)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return subprocess.Popen(  # noqa: S603 -- our own program, no shell
            command, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    finally:
        os.close(descriptor)


class _Heard:
    """Collects what a process says until it has closed both pipes, or has said too much."""

    def __init__(self, process: "subprocess.Popen[bytes]", most_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._most_bytes = most_bytes
        self._complaint = bytearray()
        self._open: dict[int, IO[bytes]] = {}
        self.told = bytearray()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        for pipe, into in ((process.stdout, self.told), (process.stderr, self._complaint)):
            if pipe is not None:
                self._listen(pipe, into)

    @property
    def last_words(self) -> str:
        """The last line on standard error, cut to what fits a record."""
        return self._complaint.decode(errors="replace").strip().rpartition("\n")[2][:_MOST_WORDS]

    def stop(self) -> None:
        """Close what is still open."""
        for descriptor in list(self._open):
            self._close(descriptor)

    def _listen(self, pipe: IO[bytes], into: bytearray) -> None:
        descriptor = pipe.fileno()
        os.set_blocking(descriptor, False)
        self._open[descriptor] = pipe
        self._loop.add_reader(descriptor, self._read, descriptor, into)

    def _read(self, descriptor: int, into: bytearray) -> None:
        try:
            chunk = os.read(descriptor, _CHUNK_BYTES)
        except BlockingIOError:
            return
        into += chunk
        del self._complaint[:-_CHUNK_BYTES]
        if not chunk:
            self._close(descriptor)
        if (not self._open or len(self.told) > self._most_bytes) and not self.ended.done():
            self.ended.set_result(None)

    def _close(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._open.pop(descriptor).close()
