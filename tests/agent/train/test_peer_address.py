"""Choice between the addresses of a peer: by its authenticated reply."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from agent.train.peer_address import peer_address, peer_answers
from net.addresses.host import HostAddresses
from peer.reflector import StampReflector
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.timestamp import ErrorEstimate

KEY, OTHER_KEY = b"the site's key", b"a key that is not ours"
ESTIMATE = ErrorEstimate.from_seconds(0.0001, synchronised=True)
RIGHT, HOLE = "127.0.0.1", "127.0.0.2"


@asynccontextmanager
async def reflecting(address: str, port: int = 0, key: bytes = KEY) -> AsyncIterator[int]:
    reflector = StampReflector(address, port, ReflectorSettings(keys=(key,)), lambda: ESTIMATE)
    await reflector.start()
    try:
        yield reflector.port
    finally:
        reflector.close()


def host(*addresses: str, proved: tuple[str, ...] = ()) -> HostAddresses:
    return HostAddresses("peer.test", addresses, proved)


async def chosen(addresses: HostAddresses, port: int) -> str:
    return await peer_address(addresses, port, KEY, lambda: ESTIMATE)


async def test_the_address_that_answers_under_the_key_is_chosen_and_proved() -> None:
    async with reflecting(RIGHT) as port, reflecting(HOLE, port, OTHER_KEY):
        known = host(HOLE, RIGHT)
        assert await chosen(known, port) == RIGHT
        assert (known.proved, known.candidates) == ((RIGHT,), (RIGHT, HOLE))


async def test_a_black_hole_of_the_other_family_delays_by_a_quarter_of_a_second() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as silent:
        silent.bind(("::1", 0))
        async with reflecting(RIGHT, silent.getsockname()[1]) as port, asyncio.timeout(2.0):
            assert await chosen(host("::1", RIGHT), port) == RIGHT


async def test_nothing_is_sent_where_the_choice_is_known() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind((RIGHT, 0))
        silent.setblocking(False)
        port = silent.getsockname()[1]
        assert await chosen(host(HOLE, RIGHT, proved=(RIGHT,)), port) == RIGHT
        assert await chosen(host(RIGHT), port) == RIGHT
        with pytest.raises(BlockingIOError):
            silent.recv(1)


async def test_addresses_of_a_peer_without_reflector_are_used_in_turn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("agent.train.peer_address._REPLY_S", 0.05)
    known = host(RIGHT, HOLE)
    assert [await chosen(known, 9) for _ in range(3)] == [RIGHT, HOLE, RIGHT]


async def test_another_key_is_no_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agent.train.peer_address._REPLY_S", 0.2)
    async with reflecting(RIGHT, key=OTHER_KEY) as port:
        assert not await peer_answers(RIGHT, port, KEY, ESTIMATE)
        assert await peer_answers(RIGHT, port, OTHER_KEY, ESTIMATE)
