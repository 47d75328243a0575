"""Client of the path helper: real children and sockets."""

import asyncio
import contextlib
import os
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from agent.probes.path import helper as path_helper
from agent.probes.path.helper import HelperError, ask_child, ask_socket

ECHO = "import sys; sys.stdout.write(sys.stdin.read())"
WAIT = "import os, sys, time; print(os.getpid(), file=sys.stderr, flush=True); time.sleep(600)"


def child(code: str, request: bytes = b"{}", most_bytes: int = 1000) -> bytes:
    return asyncio.run(ask_child(request, most_bytes, (sys.executable, "-I", "-c", code)))


def test_the_answer_is_returned_whole() -> None:
    request = b"x" * 300_000
    assert child(ECHO, request, 300_000) == request


def test_too_long_an_answer_is_none_and_the_helper_is_ended() -> None:
    with pytest.raises(HelperError, match="answered more than 1000 bytes"):
        child("import sys\nwhile True: sys.stdout.write('x' * 1000)")


def test_a_helper_that_fails_is_quoted_with_its_last_line() -> None:
    with pytest.raises(HelperError, match=r"^the path helper ended with status 3: second$"):
        child("import sys; print('first\\nsecond', file=sys.stderr); sys.exit(3)")


def test_what_it_complains_of_is_one_line_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    assert child("import sys; print('a\\nb' * 100_000, file=sys.stderr); print('{}')") == b"{}\n"
    assert [record.getMessage() for record in caplog.records] == ["path helper, standard error: b"]


def test_a_program_that_is_not_there_is_the_kernels_error() -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(ask_child(b"", 10, ("/no/such/program",)))


def test_what_is_cancelled_is_killed_and_reaped(monkeypatch: pytest.MonkeyPatch) -> None:
    async def cancel() -> int:
        asking = asyncio.create_task(ask_child(b"", 10, (sys.executable, "-I", "-c", WAIT)))
        while not (heard := started()):
            await asyncio.sleep(0.01)
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking
        return heard

    really = path_helper._start
    processes = []

    def start(*arguments):
        processes.append(really(*arguments))
        return processes[0]

    def started() -> int:
        return processes[0].pid if processes else 0

    monkeypatch.setattr(path_helper, "_start", start)
    pid = asyncio.run(cancel())
    assert processes[0].returncode == -9
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def over_socket(path: Path, answer: bytes, most_bytes: int = 1000) -> tuple[bytes, bytes]:
    """Request that the helper behind a socket got, and its answer."""

    async def run() -> tuple[bytes, bytes]:
        got = asyncio.get_running_loop().create_future()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            got.set_result(await reader.read())
            writer.write(answer)
            writer.close()

        server = await asyncio.start_unix_server(serve, path)
        async with server:
            told = await ask_socket(str(path), b"request", most_bytes)
            return await got, told

    return asyncio.run(run())


def test_a_helper_behind_a_socket_gets_the_request_to_its_end(tmp_path: Path) -> None:
    assert over_socket(tmp_path / "s", b"answer") == (b"request", b"answer")


def test_a_helper_behind_a_socket_is_bounded_too(tmp_path: Path) -> None:
    with pytest.raises(HelperError, match="answered more than 5 bytes"):
        over_socket(tmp_path / "s", b"answer", 5)


def test_a_helper_that_closes_without_a_word(tmp_path: Path) -> None:
    with pytest.raises(HelperError, match=r"gave no answer: see the log of its service$"):
        over_socket(tmp_path / "s", b"")


def test_a_helper_that_never_reads_cannot_hold_up_who_gives_up_waiting(tmp_path: Path) -> None:
    """The request is more than the socket's buffer holds."""

    async def give_up() -> bool:
        asking = asyncio.create_task(ask_socket(str(tmp_path / "s"), b"x" * 5_000_000, 10))
        await asyncio.to_thread(full.acquire)
        asking.cancel()
        ended, _ = await asyncio.wait([asking], timeout=20)
        return asking in ended and asking.cancelled()

    def accept(listening: socket.socket) -> socket.socket:
        connection, _ = listening.accept()
        connection.recv(1, socket.MSG_PEEK)
        full.release()
        return connection

    full = threading.Semaphore(0)
    with socket.socket(socket.AF_UNIX) as listening, ThreadPoolExecutor(1) as pool:
        listening.bind(str(tmp_path / "s"))
        listening.listen()
        serving = pool.submit(accept, listening)
        given_up = asyncio.run(give_up())
        serving.result().close()
    assert given_up


def test_a_socket_without_a_helper(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        asyncio.run(ask_socket(str(tmp_path / "s"), b"", 10))
