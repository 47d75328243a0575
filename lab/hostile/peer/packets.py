"""Packets of attackers, and load tests of good sites."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from random import Random

from agent.load.udpstp_client import run_load
from lab.hostile.effort import GoodSites
from lab.hostile.peer.testbed import PeerTestbed
from lab.testbed.base import HOST
from wire.records import Direction
from wire.udpstp import auth, pdu
from wire.udpstp.load import Ending

FLOOR_ROW = 8
PAUSE_S = 0.5
_TICK_S = 0.002


class Flood:
    """Packets sent at a rate, in a thread of its own; ``sent`` counts them."""

    def __init__(self, send: Callable[[int], None], a_second: float) -> None:
        self.sent = 0
        self._send, self._a_second = send, a_second
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @classmethod
    @contextlib.contextmanager
    def running(cls, send: Callable[[int], None], a_second: float) -> Iterator["Flood"]:
        """Flood while the block lasts; ``send`` sends the packet of a number."""
        flood = cls(send, a_second)
        flood._thread.start()
        try:
            yield flood
        finally:
            flood._over.set()
            flood._thread.join()

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(_TICK_S):
            due = int((time.monotonic() - began) * self._a_second)
            while self.sent < due:
                # A full buffer or an error of an earlier packet stops no attacker.
                with contextlib.suppress(OSError):
                    self._send(self.sent)
                self.sent += 1


def set_up(key: bytes, key_id: int, *, mbps: int, up: bool, chance: Random) -> bytes:
    """Setup Request, signed with a key."""
    now = int(time.time())
    request = pdu.Setup(
        ident=chance.randrange(1, 65_536), auth_time=now, key_id=key_id, bandwidth_mbps=mbps, upstream=up
    )
    return auth.sign(request.pack(), auth.derive_keys(key, now).client)


def activation(key: bytes, set_up_request: bytes, *, row: int, seconds: int) -> bytes:
    """Activation Request for a set-up, signed as its client would sign it."""
    request = pdu.parse_setup(set_up_request)
    if request is None:
        raise ValueError("no Setup Request")
    asked = pdu.Activation(
        command=pdu.UPSTREAM if request.upstream else pdu.DOWNSTREAM,
        row=row,
        test_s=seconds,
        trial_interval=5,
        auth_time=request.auth_time,
        key_id=request.key_id,
    )
    return auth.sign(asked.pack(), auth.derive_keys(key, request.auth_time).client)


async def floor_tests(testbed: PeerTestbed, key_id: int, until: float) -> GoodSites:
    """Tests of 1 s at 8 Mbit/s, down and up in turn, one after the other, until a monotonic time."""
    found, turn = GoodSites(), 0
    while time.monotonic() < until:
        began = time.monotonic()
        report = await run_load(
            HOST,
            testbed.places.control_port,
            key_id=key_id,
            secret=testbed.keys[key_id],
            direction=list(Direction)[turn % 2],
            row=FLOOR_ROW,
            duration_s=1,
        )
        found.note(
            "completed" if report.ending is Ending.COMPLETED else f"{report.ending} {report.detail}".strip(),
            time.monotonic() - began,
        )
        turn += 1
        await asyncio.sleep(PAUSE_S)
    return found
