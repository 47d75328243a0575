"""Python functions inside a network namespace, run in a child process or a thread."""

import ctypes
import multiprocessing
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import ParamSpec, TypeVar

from lab.netns import names

CLONE_NEWNET = 0x40000000

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


def call(
    namespace: str,
    function: Callable[Parameters, Result],
    *arguments: Parameters.args,
    **named: Parameters.kwargs,
) -> Result:
    """Call ``function`` in a new process inside ``namespace`` and return its result.

    Function, arguments and result must be picklable. Sockets and psutil see that namespace; /sys stays this
    process's own. Raises what ``function`` raises, and BrokenProcessPool when the namespace cannot be
    entered.
    """
    with executor(namespace) as pool:
        return pool.submit(function, *arguments, **named).result()


def executor(namespace: str) -> ProcessPoolExecutor:
    """Return a pool of one process inside ``namespace``, for use as a context manager."""
    # Spawned, not forked: a fork of a process with threads may hang on a lock that no thread of it releases.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_enter, initargs=(namespace,))


def opened(namespace: str, open_it: Callable[[], Result]) -> Result:
    """Return what ``open_it`` opens inside ``namespace``: a socket or device stays in its namespace.

    ``open_it`` runs in a thread of this process, and this process owns what it opens. Raises OSError when the
    namespace cannot be entered, and what ``open_it`` raises.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_opened, namespace, open_it).result()


def _opened(namespace: str, open_it: Callable[[], Result]) -> Result:
    _enter(namespace)
    return open_it()


def _enter(namespace: str) -> None:
    descriptor = os.open(names.DIRECTORY / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # ``os.setns`` needs Python 3.12. Threads that are started later inherit the namespace.
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(descriptor)
