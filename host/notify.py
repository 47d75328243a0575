"""Notifications to the service manager: ready, watchdog, stopping, and one line of status (sd_notify(3)).

The protocol is one datagram for each message, to the Unix socket that the environment names. Without that
nothing is sent: a program need not know if a service manager started it.
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

# sd_watchdog_enabled(3) recommends two; on a busy machine one of them may be late.
_FEEDS_IN_ITS_TIME = 4
_MOST_CHARACTERS = 200


class Notifier:
    """Connection to the service manager at ``address``; ``watchdog_s`` is the time-out of its watchdog.

    No method raises: a service manager that does not listen is no reason to stop measuring.
    """

    def __init__(self, address: str | None = None, watchdog_s: float | None = None) -> None:
        self._address = address
        self._every_s = None if watchdog_s is None else watchdog_s / _FEEDS_IN_ITS_TIME
        self._fed = -float("inf")
        self._status = ""

    @classmethod
    def from_environment(cls, environment: MutableMapping[str, str]) -> "Notifier":
        """Read the service manager's variables and remove them from ``environment``."""
        # A child process must not send notifications in our name.
        address = environment.pop("NOTIFY_SOCKET", None)
        watchdog_us = environment.pop("WATCHDOG_USEC", "")
        meant = environment.pop("WATCHDOG_PID", str(os.getpid()))
        watched = watchdog_us.isdecimal() and int(watchdog_us) > 0 and meant == str(os.getpid())
        return cls(address, int(watchdog_us) / 1e6 if watched else None)

    def ready(self) -> None:
        """Report that the program has started."""
        self._send("READY=1")

    def working(self) -> None:
        """Feed the watchdog; calls that are too early are ignored."""
        if self._every_s is None or time.monotonic() - self._fed < self._every_s:
            return
        self._fed = time.monotonic()
        self._send("WATCHDOG=1")

    def set_status(self, status: str) -> None:
        """Set the status line of the service, unless it is the present one."""
        line = " ".join(status.split())[:_MOST_CHARACTERS]
        if line != self._status:
            self._status = line
            self._send(f"STATUS={line}")

    def stopping(self) -> None:
        """Report that the program stops as requested."""
        self._send("STOPPING=1")

    async def feed_watchdog(self, fault: Callable[[], Awaitable[str | None]]) -> Never:
        """Feed the watchdog, where there is one, as long as ``fault`` finds none; a fault is logged once."""
        if self._every_s is None:
            await asyncio.Event().wait()
            raise AssertionError("the event is never set")
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
        # A name that begins with @ is in the abstract namespace, whose names begin with a zero byte
        # (unix(7)).
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.sendto(message.encode(), address)


NOBODY = Notifier()
