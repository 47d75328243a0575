import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from net.snmp import TRIES, NoAnswer, SnmpAgent
from tests.snmp_agents import COMMUNITY, UPTIME, Router, free_udp_port, response, snmpd_on_loopback
from wire.snmp.codec import Binding


@asynccontextmanager
async def serving(router: Router, community: str = COMMUNITY) -> AsyncIterator[SnmpAgent]:
    """Client of a router that runs while the block lasts."""
    port = await router.listen()
    try:
        yield SnmpAgent("127.0.0.1", port, community, 0.2)
    finally:
        router.close()


async def test_a_lost_request_is_sent_again_and_answered() -> None:
    router = Router({UPTIME: 77})
    async with serving(router) as agent:
        router.silent = TRIES - 1
        assert (await agent.get((UPTIME,))).bindings == (Binding(UPTIME, 77),)


async def test_it_gives_up_after_all_tries_and_never_shows_the_community() -> None:
    router = Router({UPTIME: 77})
    async with serving(router, "another-word") as agent:
        answer = await agent.get((UPTIME,))
    assert answer.detail.startswith("no answer from 127.0.0.1 port ")
    assert router.asked == TRIES
    assert "another-word" not in answer.detail + repr(agent)


async def test_other_answers_garbage_and_other_communities_are_ignored() -> None:
    def mischief(request_id: int) -> list[bytes]:
        forged = {UPTIME: 666}
        return [
            b"", b"\x30\x03\x02\x01", response((request_id + 1) % 2**31, forged),
            response(request_id, forged, community="public"),
        ]  # fmt: skip

    async with serving(Router({UPTIME: 77}, mischief)) as agent:
        assert (await agent.get((UPTIME,))).bindings[0].value == 77


async def test_answers_from_another_address_do_not_count() -> None:
    router = Router({UPTIME: 77})
    elsewhere, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, ("127.0.0.1", 0)
    )

    def answer_from_elsewhere(data: bytes, addr: tuple[str, int]) -> None:
        request_id = int.from_bytes(data[data.index(b"\x02\x04") + 2 :][:4])
        elsewhere.sendto(response(request_id, {UPTIME: 666}), addr)

    router.datagram_received = answer_from_elsewhere  # type: ignore[method-assign]
    async with serving(router) as agent:
        assert isinstance(await agent.get((UPTIME,)), NoAnswer)
    elsewhere.close()


async def test_an_error_of_the_router_is_reported() -> None:
    router = Router({UPTIME: 77})
    async with serving(router) as agent:
        router.error = 16
        assert (await agent.get((UPTIME,))).detail.endswith("answers with error 16 (authorizationError)")


async def test_a_closed_port_is_reported_at_once() -> None:
    port = free_udp_port()
    assert await SnmpAgent("127.0.0.1", port, COMMUNITY, 5.0).get((UPTIME,)) == NoAnswer(
        f"nothing listens on 127.0.0.1 port {port}: is SNMP on there, is the port right?"
    )


def test_the_real_snmpd_answers(tmp_path: Path) -> None:
    with snmpd_on_loopback(tmp_path) as port:
        agent = SnmpAgent("127.0.0.1", port, COMMUNITY, 1.0)
        stranger = SnmpAgent("127.0.0.1", port, "public", 0.2)
        answer = asyncio.run(agent.get((UPTIME, (1, 3, 6, 1, 2, 1, 1, 2, 0))))
        no_answer = asyncio.run(stranger.get((UPTIME,)))
    assert answer.bindings[1].value == (1, 3, 6, 1, 4, 1, 8072, 3, 2, 10)
    assert isinstance(no_answer, NoAnswer)


@pytest.mark.parametrize("repetitions", [1, 20])
def test_the_real_snmpd_lists_its_interfaces(tmp_path: Path, repetitions: int) -> None:
    with snmpd_on_loopback(tmp_path) as port:
        agent = SnmpAgent("127.0.0.1", port, COMMUNITY, 1.0)
        answer = asyncio.run(agent.get_bulk((1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1), repetitions))
    assert len(answer.bindings) == repetitions
    assert answer.bindings[0].value == b"lo"


class Flood(socket.socket):
    """Socket on which another datagram is always waiting."""

    received = 0

    def recv(self, size: int, flags: int = 0) -> bytes:
        self.received += 1
        if self.received > 1_000_000:
            raise AssertionError("the event loop had no turn in a million datagrams")
        return b"flood"


async def test_a_flood_of_datagrams_outlasts_no_timeout() -> None:
    with Flood(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.bind(("127.0.0.1", 0))
        sock.connect(sock.getsockname())
        agent = SnmpAgent("127.0.0.1", 161, COMMUNITY, 0.05)
        answer = await agent._converse(sock, lambda _: b"question")
    assert answer.detail.startswith("no answer from 127.0.0.1 port 161 to 3 requests")


async def test_variables_are_listed_one_by_one_where_getbulk_is_not_answered() -> None:
    router = Router({UPTIME: 77, (1, 3, 6, 1, 2, 1, 1, 4, 0): b"somebody"})
    router.knows_bulk = False
    async with serving(router) as agent:
        assert (await agent.get_bulk((1, 3), 20)).bindings == (Binding(UPTIME, 77),)
        assert (await agent.get_bulk(UPTIME, 20)).bindings[0].value == b"somebody"
