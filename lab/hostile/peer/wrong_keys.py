"""3,000 set-ups a second under wrong keys, beside good load tests.

They are refused without an answer. The log names key id and reason, once a minute, and the good tests run.
"""

import asyncio
import socket
import tempfile
import time
from pathlib import Path
from random import Random

from lab.hostile.effort import AttackEffort, Tell, held
from lab.hostile.peer.packets import Flood, floor_tests, set_up
from lab.hostile.peer.testbed import PeerTestbed
from lab.testbed.base import HOST

A_SECOND = 3000
PHASE_S = 30.0
GOOD_KEY, BAD_KEY, UNKNOWN_KEY = 0, 1, 200
MOST_LOG_BYTES = 20_000


def run(effort: AttackEffort, tell: Tell) -> bool:
    """Flood the control port; True if good tests were served and the flood left a trace, a short one."""
    chance = Random(effort.seed)
    with tempfile.TemporaryDirectory() as folder, PeerTestbed(Path(folder), effort.seed) as testbed:
        wrong = [
            set_up(b"a wrong key", key_id, mbps=8, up=False, chance=chance)
            for key_id in (BAD_KEY, UNKNOWN_KEY)
        ]
        peer = (HOST, testbed.places.control_port)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.81.0.1", 0))
            sock.setblocking(False)

            def send(number: int) -> None:
                sock.sendto(wrong[number % 2], peer)

            with Flood.running(send, A_SECOND) as flood:
                until = time.monotonic() + effort.seconds(PHASE_S)
                found = asyncio.run(floor_tests(testbed, GOOD_KEY, until))
            answers = _waiting(sock)
        is_named = testbed.logs("wrong-key", "unknown-key-id")
        served, asked = found.served("completed")
        log, reasons = testbed.log, testbed.not_served()
        if served < asked:
            tell(f"results: {dict(found.results)}")
    return held(tell, [
        (f"{flood.sent} wrong set-ups; {served} of {asked} good tests served", served == asked > 0),
        (f"{answers} answers to wrong keys", answers == 0),
        (f"reasons in the log: {', '.join(sorted(reasons))}", is_named),
        (f"{len(log)} bytes of log", len(log) < MOST_LOG_BYTES),
    ])  # fmt: skip


def _waiting(sock: socket.socket) -> int:
    count = 0
    while True:
        try:
            sock.recv(2048)
        except BlockingIOError:
            return count
        count += 1
