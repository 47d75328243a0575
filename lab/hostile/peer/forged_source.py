"""A key holder writes a bystander's address into set-up and activation, and tries every test port.

The bystander's socket stands for the forged address: the attacker sends from it and never reads what arrives.
Status PDUs and Load PDUs that the attacker guesses follow each activation. Before, 20 Mbit/s arrived.
"""

import contextlib
import socket
import tempfile
import time
from pathlib import Path
from random import Random

from lab.hostile.effort import AttackEffort, Tell, held
from lab.hostile.peer.packets import activation, set_up
from lab.hostile.peer.testbed import TEST_PORTS, PeerTestbed
from lab.testbed.base import HOST
from wire.ip_layer import IPV4_UDP_BYTES
from wire.udpstp import pdu
from wire.udpstp.ends.hearing import SIZES, SMALLEST_BYTES

ROUNDS = 12
KEY = 1
GUESS_EVERY_S = 0.05
LISTENS_S = 4.0
FACTOR = 2
"""Bytes that a bystander may get for each that was sent to the peer in its name (decision 47)."""

_SET_UP_BYTES = pdu.SETUP.size + IPV4_UDP_BYTES
_ACTIVATION_BYTES = pdu.ACTIVATION.size + IPV4_UDP_BYTES


def run(effort: AttackEffort, tell: Tell) -> bool:
    """Forge tests in both directions; True if no bystander got more than is written down."""
    chance, claims = Random(effort.seed), []
    with tempfile.TemporaryDirectory() as folder, PeerTestbed(Path(folder), effort.seed) as testbed:
        for number in range(max(2, round(effort.seconds(ROUNDS)))):
            up = bool(number % 2)
            sent, guessed, arrived = _forge(testbed, f"127.78.0.{1 + number}", up, chance)
            # Of what went to every port, one packet each went to the port of the test.
            most = FACTOR * (_SET_UP_BYTES + _ACTIVATION_BYTES + guessed)
            way = "up" if up else "down"
            claims.append((f"{way}: {sent} forged bytes brought {arrived}, at most {most}", arrived <= most))
        claims.append(("no test was loaded", "outcome=completed" not in testbed.log))
    return held(tell, claims)


def _forge(testbed: PeerTestbed, bystander: str, up: bool, chance: Random) -> tuple[int, int, int]:
    """Bytes sent, those of them that are guesses, and those that arrived at the bystander (IP layer)."""
    key, sent, guessed, arrived = testbed.keys[KEY], 0, 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((bystander, 0))
        sock.setblocking(False)
        request = set_up(key, KEY, mbps=20, up=up, chance=chance)
        sock.sendto(request, (HOST, testbed.places.control_port))
        time.sleep(0.1)
        asked = activation(key, request, row=20, seconds=60)
        sent += len(request) + IPV4_UDP_BYTES + _to_every_port(testbed, sock, asked)
        number, until = 0, time.monotonic() + LISTENS_S
        while time.monotonic() < until:
            number += 1
            guess = _load(number) if up else _status(number, chance)
            guessed += _to_every_port(testbed, sock, guess) // TEST_PORTS
            time.sleep(GUESS_EVERY_S)
            arrived += _drained(sock)
    return sent + guessed * TEST_PORTS, guessed, arrived


def _to_every_port(testbed: PeerTestbed, sock: socket.socket, packet: bytes) -> int:
    for port in range(testbed.first_test_port, testbed.first_test_port + TEST_PORTS):
        # Ports without a test answer with an error, which the next call reports.
        with contextlib.suppress(OSError):
            sock.sendto(packet, (HOST, port))
    return TEST_PORTS * (len(packet) + IPV4_UDP_BYTES)


def _status(number: int, chance: Random) -> bytes:
    size = SMALLEST_BYTES + chance.randrange(SIZES)
    return pdu.Status(sequence=number, datagrams=1, payload_bytes=size).pack()


def _load(number: int) -> bytes:
    now = time.time_ns()
    return pdu.LOAD_HEADER.pack(
        pdu.LOAD_ID, pdu.TESTING, 0, number, pdu.LOAD_HEADER.size, 0,
        now // 10**9, now % 10**9, now // 10**9, now % 10**9, 0, 0,
    )  # fmt: skip


def _drained(sock: socket.socket) -> int:
    arrived = 0
    while True:
        try:
            arrived += len(sock.recv(65_535)) + IPV4_UDP_BYTES
        except BlockingIOError:
            return arrived
        except OSError:
            continue
