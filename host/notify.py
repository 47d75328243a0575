"""What a service manager hears of a program: ready, at work, stopping, and one line of text (sd_notify(3)).

The protocol is one datagram for each message, to the Unix socket that the environment names. Where it names
none nothing is sent: a program need not know who started it.
"""

import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Never

log = logging.getLogger(__name__)

_FEEDS_IN_ITS_TIME = 4  # sd_watchdog_enabled(3) asks for two; a busy machine may be late for one
_MOST_CHARACTERS = 200


class Notifier:
    """Tells the service manager at ``address``; ``watchdog_s`` is how long it waits for ``working``.

    Nothing here raises: a service manager that does not hear is no reason to stop measuring.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._every_s = None if watchdog_s is None else watchdog_s / _FEEDS_IN_ITS_TIME
        self._fed = -float("inf")
        self._told = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """What the service manager asked for, taken out of ``environment``: no child is to speak for us."""
        address = environment.pop("NOTIFY_SOCKET", None)
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(os.getpid()))
        watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and meant == str(os.getpid())
        return cls(address, int(watchdog_us) / 1e6 if watched else None)

    def ready(self) -> None:
        """The program does its work from now on."""
        self._send("READY=1")

    def working(self) -> None:
        """The program works. As often as you like: what is too early for the watchdog is not sent."""
        if self._every_s is None or time.monotonic() - self._fed < self._every_s:
            return
        self._fed = time.monotonic()
        self._send("WATCHDOG=1")

    def tell(self, status: str) -> None:
        """One line for whoever asks the service manager; what it said last is not repeated."""
        line = " ".join(status.split())[:_MOST_CHARACTERS]
        if line != self._told:
            self._told = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """The program ends, as it was asked to."""
        self._send("STOPPING=1")

    async def attend(self, fault: Callable[[], Awaitable[str | None]]) -> Never:
        """Feed the watchdog, where there is one, for as long as ``fault`` finds none; that is logged once."""
        if self._every_s is None:
            await asyncio.Event().wait()
            raise AssertionError("nobody sets it")
        known = None
        while True:
            found = await fault()
            if found is None:
                self.working()
            elif found != known:
                log.error("the watchdog is not fed: %s", found)
            known = found
            await asyncio.sleep(self._every_s)

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # One that begins with @ is in the abstract namespace, whose names begin with a zero byte (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), address)


NOBODY = Notifier()
