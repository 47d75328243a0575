import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from net.snmp import TRIES, NoAnswer, SnmpAgent
from tests.snmp_agents import COMMUNITY, UPTIME, Router, free_udp_port, response, snmpd_on_loopback
from wire.snmp.codec import Binding, Response

Conversation = Callable[[SnmpAgent, Router], Awaitable[None]]


def with_router(router: Router, conversation: Conversation, community: str = COMMUNITY) -> None:
    async def whole() -> None:
        port = await router.listen()
        try:
            await conversation(SnmpAgent("127.0.0.1", port, community, 0.2), router)
        finally:
            router.close()

    asyncio.run(whole())


def test_a_request_is_answered() -> None:
    async def conversation(agent: SnmpAgent, router: Router) -> None:
        answer = await agent.get((UPTIME,))
        assert isinstance(answer, Response)
        assert answer.bindings == (Binding(UPTIME, 77),)

    with_router(Router({UPTIME: 77}), conversation)


def test_a_lost_request_is_sent_again() -> None:
    async def conversation(agent: SnmpAgent, router: Router) -> None:
        router.silent = TRIES - 1
        assert isinstance(await agent.get((UPTIME,)), Response)

    with_router(Router({UPTIME: 77}), conversation)


def test_it_gives_up_after_all_tries_and_never_shows_the_community() -> None:
    async def conversation(agent: SnmpAgent, router: Router) -> None:
        answer = await agent.get((UPTIME,))
        assert isinstance(answer, NoAnswer)
        assert answer.detail.startswith("no answer from 127.0.0.1 port ")
        assert router.asked == TRIES
        assert "another-word" not in answer.detail + repr(agent)

    with_router(Router({UPTIME: 77}), conversation, "another-word")


def test_other_answers_garbage_and_other_communities_are_ignored() -> None:
    def mischief(request_id: int) -> list[bytes]:
        forged = {UPTIME: 666}
        return [
            b"",
            b"\x30\x03\x02\x01",
            response((request_id + 1) % 2**31, forged),
            response(request_id, forged, community="public"),
        ]

    async def conversation(agent: SnmpAgent, router: Router) -> None:
        answer = await agent.get((UPTIME,))
        assert isinstance(answer, Response)
        assert answer.bindings[0].value == 77

    with_router(Router({UPTIME: 77}, mischief), conversation)


def test_answers_from_another_address_do_not_count() -> None:
    async def conversation(agent: SnmpAgent, router: Router) -> None:
        class Elsewhere(asyncio.DatagramProtocol):
            """Endpoint that gets the router's requests and answers them from another port."""

        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Elsewhere, ("127.0.0.1", 0))
        router.datagram_received = (
            lambda data, addr: transport.sendto(  # type: ignore[method-assign]
                response(int.from_bytes(data[data.index(b"\x02\x04") + 2 :][:4]), {UPTIME: 666}), addr
            )
        )
        assert isinstance(await agent.get((UPTIME,)), NoAnswer)
        transport.close()

    with_router(Router({UPTIME: 77}), conversation)


def test_an_error_of_the_router_is_reported() -> None:
    async def conversation(agent: SnmpAgent, router: Router) -> None:
        router.error = 16
        answer = await agent.get((UPTIME,))
        assert isinstance(answer, NoAnswer)
        assert answer.detail.endswith("answers with error 16 (authorizationError)")

    with_router(Router({UPTIME: 77}), conversation)


def test_a_closed_port_is_reported_at_once() -> None:
    port = free_udp_port()
    assert asyncio.run(SnmpAgent("127.0.0.1", port, COMMUNITY, 5.0).get((UPTIME,))) == NoAnswer(
        f"nothing listens on 127.0.0.1 port {port}: is SNMP on there, is the port right?"
    )


def test_the_real_snmpd_answers(tmp_path: Path) -> None:
    with snmpd_on_loopback(tmp_path) as port:
        agent = SnmpAgent("127.0.0.1", port, COMMUNITY, 1.0)
        answer = asyncio.run(agent.get((UPTIME, (1, 3, 6, 1, 2, 1, 1, 2, 0))))
        stranger = asyncio.run(SnmpAgent("127.0.0.1", port, "public", 0.2).get((UPTIME,)))
    assert isinstance(answer, Response)
    assert answer.bindings[1].value == (1, 3, 6, 1, 4, 1, 8072, 3, 2, 10)
    assert isinstance(stranger, NoAnswer)


@pytest.mark.parametrize("repetitions", [1, 20])
def test_the_real_snmpd_lists_its_interfaces(tmp_path: Path, repetitions: int) -> None:
    with snmpd_on_loopback(tmp_path) as port:
        agent = SnmpAgent("127.0.0.1", port, COMMUNITY, 1.0)
        answer = asyncio.run(agent.get_bulk((1, 3, 6, 1, 2, 1, 31, 1, 1, 1, 1), repetitions))
    assert isinstance(answer, Response)
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


def test_a_flood_of_datagrams_outlasts_no_timeout() -> None:
    async def whole() -> NoAnswer | Response:
        with Flood(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.setblocking(False)
            sock.bind(("127.0.0.1", 0))
            sock.connect(sock.getsockname())
            agent = SnmpAgent("127.0.0.1", 161, COMMUNITY, 0.05)
            return await agent._converse(sock, lambda _: b"question")

    answer = asyncio.run(whole())
    assert isinstance(answer, NoAnswer)
    assert answer.detail.startswith("no answer from 127.0.0.1 port 161 to 3 requests")
