"""The session against brokers and handlers that misbehave."""

import asyncio
import contextlib

import pytest

from lab.faults.processes.fault_proxy import ConnectionFault, FaultKind, Way, fault_proxy
from net.mqtt import Broker, Publication, Session
from tests.net.fake_broker import FakeBroker, fake_broker
from tests.net.sessions import problem_of, running, until


async def test_a_connection_that_ends_before_a_suback_is_reported_at_once() -> None:
    async with fake_broker(FakeBroker(granted=None, drops=True)) as fake, asyncio.timeout(5):
        problem = await problem_of(Session(Broker(port=fake.port), "a", subscriptions=["qos/v1/A/receipts"]))
    assert problem.endswith("closed the connection")


async def test_a_connection_that_ends_before_a_puback_is_not_waited_for() -> None:
    async with fake_broker(FakeBroker()) as fake, fault_proxy(fake.port) as proxy:
        session = Session(Broker(port=proxy.port), "a", subscriptions=["a/b"])
        async with running(session):
            await until(lambda: session.connected)
            proxy.set(ConnectionFault(FaultKind.SWALLOW, frozenset({Way.UP})))
            publishing = asyncio.create_task(session.publish(Publication("a/c", b"lost")))
            await asyncio.sleep(0)  # it is on its way
            proxy.cut()
            async with asyncio.timeout(5):
                assert not await publishing


async def test_a_refused_subscription_is_no_connection() -> None:
    async with fake_broker(FakeBroker(granted=0x80)) as fake:
        session = Session(Broker(port=fake.port), "a", subscriptions=["qos/v1/A/receipts"])
        problem = await problem_of(session)
    why = "does not allow this user to read qos/v1/A/receipts: check its ACL"
    assert (problem, session.connected) == (f"broker 127.0.0.1:{fake.port}: {why}", False)


async def test_a_handler_that_fails_ends_neither_session_nor_connection(
    caplog: pytest.LogCaptureFixture,
) -> None:
    handled: list[bytes] = []

    async def handle(_topic: str, payload: bytes) -> None:
        if payload == b"bad":
            raise ValueError("of the handler")
        handled.append(payload)

    async with fake_broker(FakeBroker(messages=[("a/b", b"bad"), ("a/b", b"good")])) as fake:
        session = Session(Broker(port=fake.port), "a", subscriptions=["a/b"], on_message=handle)
        async with running(session):
            await until(lambda: bool(handled))
            assert session.connected
    assert fake.connections == 1
    assert handled == [b"good"]
    assert "internal error: a message on a/b was not handled" in caplog.text


async def test_an_attempt_that_is_cancelled_leaves_no_socket() -> None:
    async with fake_broker(FakeBroker(answers=False)) as fake:
        async with running(Session(Broker(port=fake.port), "a")):
            await until(lambda: fake.connections == 1)
            await asyncio.sleep(0.1)  # the client is past its connect call, waiting for the answer
        async with asyncio.timeout(5):
            await fake.ended.wait()


async def test_a_session_over_a_dead_link_still_ends_when_it_is_cancelled() -> None:
    """The link carries nothing any more: neither a publication nor the DISCONNECT."""
    async with fake_broker(FakeBroker(reads=False)) as fake:
        session = Session(Broker(port=fake.port), "a", subscriptions=["a/b"])
        async with running(session):
            await until(lambda: session.connected)
            large = Publication("a/c", bytes(500_000))
            stuck = [asyncio.create_task(session.publish(large)) for _ in range(30)]
            await asyncio.sleep(0.5)
        for one in stuck:
            one.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await one
