"""3,000 STAMP packets a second without a key that the peer knows, at a peer of 256 keys.

Each would be tried with every key. They come from one port, from many ports of the sites' own address, and
from many addresses. Beside them good sites send trains, some of them in sessions that begin in the flood.
Before, 35 of 60 packets of good sites had no answer.
"""

import asyncio
import contextlib
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from lab.hostile.effort import AttackEffort, GoodSites, Tell, held
from lab.hostile.peer.packets import Flood
from lab.hostile.peer.testbed import PeerTestbed
from lab.testbed.base import HOST
from wire.stamp.packet import AUTHENTICATED_BASE_BYTES, Request, encode_request
from wire.stamp.timestamp import ErrorEstimate, to_ntp

KEYS = 256
A_SECOND = 3000
PHASE_S = 20.0
SITES = 5
SPACING_S = 0.1
TRAIN = 10
ANSWER_WITHIN_S = 1.0
PHASES = (
    ("one port of the sites' address", HOST, 1),
    ("200 ports of the sites' address", HOST, 200),
    ("200 addresses", None, 200),
)


def run(effort: AttackEffort, tell: Tell) -> bool:
    """Flood from each kind of source; True if good sites had every answer."""
    claims = []
    with (
        tempfile.TemporaryDirectory() as folder,
        PeerTestbed(Path(folder), effort.seed, keys=KEYS) as testbed,
    ):
        # Each site has been here: its address is known, its next session is not.
        before = asyncio.run(_trains(testbed, time.monotonic() + 1.0))
        claims.append(("packets before the flood are answered", _all(before)))
        for name, host, sockets in PHASES:
            with _flooding(testbed, host, sockets, effort.seed) as flood:
                found = asyncio.run(_trains(testbed, time.monotonic() + effort.seconds(PHASE_S)))
            answered, asked = found.served("answered")
            slowest_ms = round(max(found.seconds) * 1000)
            text = f"{answered} of {asked} of good sites answered, the slowest in {slowest_ms} ms"
            claims.append((f"{name}: {flood.sent} packets; {text}", _all(found)))
        claims.append(("the flood is counted by reason", testbed.logs("budget", "unauthenticated")))
    return held(tell, claims)


def _all(found: GoodSites) -> bool:
    answered, asked = found.served("answered")
    return answered == asked > 0


@contextlib.contextmanager
def _flooding(testbed: PeerTestbed, host: str | None, count: int, seed: int) -> Iterator[Flood]:
    chance = Random(seed)
    with contextlib.ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(count)
        ]
        for number, sock in enumerate(sockets):
            sock.bind((host or f"127.79.0.{1 + number}", 0))
            sock.setblocking(False)
        peer = (HOST, testbed.places.stamp_port)

        def send(number: int) -> None:
            sockets[number % count].sendto(chance.randbytes(AUTHENTICATED_BASE_BYTES), peer)

        with Flood.running(send, A_SECOND) as flood:
            yield flood


async def _trains(testbed: PeerTestbed, until: float) -> GoodSites:
    """Trains of all sites, each train from another port, until a monotonic time."""
    found = GoodSites()
    await asyncio.gather(*(_site(testbed, site, until, found) for site in range(SITES)))
    return found


async def _site(testbed: PeerTestbed, site: int, until: float, found: GoodSites) -> None:
    key = testbed.keys[KEYS - 1 - site * 40]
    while time.monotonic() < until:
        # Two sites share the address of the flood.
        with _connected(f"127.80.0.{site}" if site > 1 else HOST, testbed.places.stamp_port) as sock:
            for sequence in range(TRAIN):
                began = time.monotonic()
                request = Request(sequence, to_ntp(time.time_ns()), ErrorEstimate(), 7)
                sock.send(encode_request(request, key))
                found.note(*await _answer(sock, began))
                await asyncio.sleep(max(began + SPACING_S - time.monotonic(), 0))


async def _answer(sock: socket.socket, began: float) -> tuple[str, float]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S):
            await asyncio.get_running_loop().sock_recv(sock, 2048)
    except TimeoutError:
        return "no answer", ANSWER_WITHIN_S
    return "answered", time.monotonic() - began


@contextlib.contextmanager
def _connected(host: str, port: int) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind((host, 0))
        sock.connect((HOST, port))
        yield sock
