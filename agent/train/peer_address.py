"""Address of the peer for trains and load tests, where its name has several (RFC 8305 over UDP).

UDP has no handshake whose winner could be taken. So each address gets a STAMP packet, 250 ms apart, and the
first authenticated reply decides. An address that has proved itself before is used without a packet.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from net.addresses.host import HostAddresses
from net.addresses.racing import STAGGER_S
from wire.stamp.sender import ReplyVerdict, SenderSettings, SessionSender
from wire.stamp.timestamp import ErrorEstimate

# The slowest path with verdicts has a round trip of about 1.2 s.
_REPLY_S = 3.0
# A probe waits no longer for a resolver; its next run has the address.
_LOOKUP_S = 5.0
_DATAGRAM_BYTES = 2048


async def peer_address(
    addresses: HostAddresses, port: int, key: bytes | None, estimate: Callable[[], ErrorEstimate]
) -> str:
    """Address of the peer to use now. Raises OSError where none is known.

    Without any reply it is the first address, which is tried last the next time: a peer may have no
    reflector.
    """
    first, *others = candidates = await addresses.known(_LOOKUP_S)
    if not others or first in addresses.proved:
        return first
    winner = await _race(candidates, port, key, estimate)
    if winner is None:
        addresses.fail(first)
        return first
    addresses.prove(winner)
    return winner


async def _race(
    candidates: Sequence[str], port: int, key: bytes | None, estimate: Callable[[], ErrorEstimate]
) -> str | None:
    """First address that answers, or None."""
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(_winner(one, port, key, estimate, place * STAGGER_S))
            for place, one in enumerate(candidates)
        ]
        try:
            for ended in asyncio.as_completed(running):
                if winner := await ended:
                    return winner
        finally:
            for task in running:
                task.cancel()
    return None


async def _winner(
    address: str, port: int, key: bytes | None, estimate: Callable[[], ErrorEstimate], after_s: float
) -> str | None:
    await asyncio.sleep(after_s)
    return address if await peer_answers(address, port, key, estimate()) else None


async def peer_answers(address: str, port: int, key: bytes | None, estimate: ErrorEstimate) -> bool:
    """Check by one STAMP packet if the peer answers at ``address``, within 3 s."""
    loop = asyncio.get_running_loop()
    sender = SessionSender(SenderSettings(1 + secrets.randbelow(0xFFFF), key))
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError, TimeoutError), socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address, port))
        sock.send(sender.packet(time.time_ns(), estimate))
        async with asyncio.timeout(_REPLY_S):
            while True:
                data = await loop.sock_recv(sock, _DATAGRAM_BYTES)
                if sender.received(data, time.time_ns(), by_kernel=False) is ReplyVerdict.ACCEPTED:
                    return True
    return False
