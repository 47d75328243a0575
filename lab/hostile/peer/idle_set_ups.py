"""One holder of a key sets tests up and activates none: two a second, then as fast as it can.

Each asks for the whole bandwidth. Two a second, 1.4 kbit/s, once refused every load test of every site. The
attacker has a key of its own, from one address and from many; then the key of the good sites.
"""

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from lab.hostile.effort import AttackEffort, Tell, held
from lab.hostile.peer.packets import Flood, floor_tests, set_up
from lab.hostile.peer.testbed import PeerTestbed
from lab.testbed.base import HOST

PHASE_S = 30.0
GOOD_KEY, BAD_KEY = 0, 1
PHASES = (
    ("another key, one address, 2 a second", BAD_KEY, 1, 2.0),
    ("another key, one address, 200 a second", BAD_KEY, 1, 200.0),
    ("another key, 100 addresses, 50 a second", BAD_KEY, 100, 50.0),
    ("the sites' key, 100 addresses, 2 a second", GOOD_KEY, 100, 2.0),
)
MOST_LINES = 60
"""Lines of refused set-ups that the log may have, in a minute."""


def run(effort: AttackEffort, tell: Tell) -> bool:
    """Run the phases; True if every good test was served."""
    claims = []
    with tempfile.TemporaryDirectory() as folder, PeerTestbed(Path(folder), effort.seed) as testbed:
        began = time.monotonic()
        # The good site has been here before: this alone tells it from a flood under its own key.
        first = asyncio.run(floor_tests(testbed, GOOD_KEY, began + 0.1))
        claims.append(("a test before the attack is served", first.served("completed") == (1, 1)))
        for name, key_id, addresses, a_second in PHASES:
            with _flooding(testbed, key_id, addresses, a_second, effort.seed) as flood:
                until = time.monotonic() + effort.seconds(PHASE_S)
                found = asyncio.run(floor_tests(testbed, GOOD_KEY, until))
            served, asked = found.served("completed")
            claims.append((f"{name}: {flood.sent} set-ups, {served} of {asked} served", served == asked > 0))
            if served < asked:
                tell(f"results: {dict(found.results)}")
        claims.append(
            ("the flood is counted by reason", testbed.logs("not-activated", "waiting", "bandwidth"))
        )
        minutes = (time.monotonic() - began) / 60 + 1
        lines = sum(testbed.log.count(f"outcome={one}") for one in ("refused", "not-activated"))
        claims.append((f"{lines} lines of refused set-ups in the log", lines <= MOST_LINES * minutes))
    return held(tell, claims)


@contextlib.contextmanager
def _flooding(
    testbed: PeerTestbed, key_id: int, addresses: int, a_second: float, seed: int
) -> Iterator[Flood]:
    chance = Random(seed)
    peer = (HOST, testbed.places.control_port)
    with contextlib.ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(addresses)
        ]
        for number, sock in enumerate(sockets):
            sock.bind((f"127.77.{1 + number // 250}.{1 + number % 250}", 0))

        def send(number: int) -> None:
            request = set_up(
                testbed.keys[key_id], key_id, mbps=testbed.mbps, up=bool(number % 2), chance=chance
            )
            sockets[number % addresses].sendto(request, peer)

        with Flood.running(send, a_second) as flood:
            yield flood
