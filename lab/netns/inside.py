"""Python functions inside a namespace, in a child process that has moved there."""

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
    """Return what ``function`` returns when called in a fresh process inside ``namespace``.

    Function, arguments and result must be picklable. Raises what it raises, and BrokenProcessPool when the
    namespace cannot be entered. Sockets and psutil are of that namespace; /sys stays this process's own.
    """
    with executor(namespace) as pool:
        return pool.submit(function, *arguments, **named).result()


def executor(namespace: str) -> ProcessPoolExecutor:
    """One process inside ``namespace``, for calls one after the other; use it as a context manager."""
    # Not forked: a copy of a process with threads may hang on a lock that nobody will release.
    spawn = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(1, mp_context=spawn, initializer=_enter, initargs=(namespace,))


def opened(namespace: str, open_it: Callable[[], Result]) -> Result:
    """Return what ``open_it`` opens inside ``namespace``: a socket or device belongs there for good.

    It runs in a thread of this process, so what it opens is this process's. Raises OSError for the namespace,
    and what ``open_it`` raises.
    """
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(_opened, namespace, open_it).result()


def _opened(namespace: str, open_it: Callable[[], Result]) -> Result:
    _enter(namespace)
    return open_it()


def _enter(namespace: str) -> None:
    """``os.setns`` came with Python 3.12; threads started later inherit the namespace."""
    descriptor = os.open(names.DIRECTORY / namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), namespace)
    finally:
        os.close(descriptor)
