"""Client of the path helper: as a child process, or through a socket behind which a service manager starts
one.

The resident agent has no capability, and its unit forbids to gain any. A service manager that starts the
helper for each connection can give it CAP_NET_RAW (decision 12). Where the agent itself may open raw sockets,
a child inherits the right.
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

# -I: no import from the directory or the environment of the caller.
COMMAND = (sys.executable, "-I", "-m", "agent.probes.path.child")
_CHUNK_BYTES = 65_536
_MOST_CHARACTERS = 200
_EXIT_S = 0.5


class HelperError(Exception):
    """Error: the helper gave no answer; the text says why, for a person."""


async def ask_child(request: bytes, most_bytes: int, command: Sequence[str] = COMMAND) -> bytes:
    """Start the helper, give it ``request``, and return its answer.

    It is killed and reaped when this is cancelled. Raises HelperError if it fails or answers more than
    ``most_bytes``, OSError if it cannot be started.
    """
    process = _start(request, command)
    output = _Output(process, most_bytes)
    try:
        await output.ended
        # Both its pipes are closed: it ends by itself, or is killed below.
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_EXIT_S)
    finally:
        output.stop()
        process.kill()
        process.wait()
    if output.last_line:
        log.warning("path helper, standard error: %s", output.last_line)
    if len(output.answer) > most_bytes:
        raise HelperError(f"the path helper answered more than {most_bytes} bytes")
    if process.returncode:
        raise HelperError(f"the path helper ended with status {process.returncode}: {output.last_line}")
    return bytes(output.answer)


async def ask_socket(path: str, request: bytes, most_bytes: int) -> bytes:
    """As ``ask_child``, through a Unix socket. Raises OSError if nobody listens there."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        writer.write(request)
        writer.write_eof()
        answer = bytearray()
        while len(answer) <= most_bytes and (chunk := await reader.read(_CHUNK_BYTES)):
            answer += chunk
    finally:
        # Not closed: closing would wait until the request was read, which may never be.
        writer.transport.abort()
    if not answer:
        raise HelperError(f"the path helper behind {path} gave no answer: see the log of its service")
    if len(answer) > most_bytes:
        raise HelperError(f"the path helper answered more than {most_bytes} bytes")
    return bytes(answer)


def _start(request: bytes, command: Sequence[str]) -> "subprocess.Popen[bytes]":
    # A file in memory: writing to a pipe could block on a reader that is gone.
    descriptor = os.memfd_create("plancher-path", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, request)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return subprocess.Popen(  # noqa: S603 -- our own program, no shell
            command, stdin=descriptor, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
    finally:
        os.close(descriptor)


class _Output:
    """Output of a process, until it has closed both pipes or written too much."""

    def __init__(self, process: "subprocess.Popen[bytes]", most_bytes: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._most_bytes = most_bytes
        self._errors = bytearray()
        self._open: dict[int, IO[bytes]] = {}
        self.answer = bytearray()
        self.ended: asyncio.Future[None] = self._loop.create_future()
        for pipe, into in ((process.stdout, self.answer), (process.stderr, self._errors)):
            if pipe is not None:
                self._open_pipe(pipe, into)

    @property
    def last_line(self) -> str:
        """Last line of standard error, cut to fit a record."""
        return self._errors.decode(errors="replace").strip().rpartition("\n")[2][:_MOST_CHARACTERS]

    def stop(self) -> None:
        """Close the pipes that are still open."""
        for descriptor in list(self._open):
            self._close(descriptor)

    def _open_pipe(self, pipe: IO[bytes], into: bytearray) -> None:
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
        # Only the last line of it is used.
        del self._errors[:-_CHUNK_BYTES]
        if not chunk:
            self._close(descriptor)
        if (not self._open or len(self.answer) > self._most_bytes) and not self.ended.done():
            self.ended.set_result(None)

    def _close(self, descriptor: int) -> None:
        self._loop.remove_reader(descriptor)
        self._open.pop(descriptor).close()
