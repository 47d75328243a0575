"""The uplink behind a link and a broker that fail in every way: nothing is lost, and a lie is found out."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from lab.faults.processes.fault_proxy import NONE, ConnectionFault, FaultKind, FaultProxy, Way, fault_proxy
from net import liveness, mqtt
from net.mqtt import Broker
from tests.agent.uplink.test_uplink import Collector, Site, collecting, until
from tests.brokers import mosquitto

UP, DOWN = frozenset({Way.UP}), frozenset({Way.DOWN})
COUNT = 40


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    with mosquitto(tmp_path_factory.mktemp("mosquitto")) as running:
        yield Broker(port=running.port)


@pytest.fixture(autouse=True)
def short_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(liveness, "ASK_AFTER_S", 0.5)
    monkeypatch.setattr(mqtt, "ANSWER_WITHIN_S", 0.5)
    monkeypatch.setattr(liveness, "LAST_PAUSE_S", 0.1)
    monkeypatch.setattr("outbox.publisher.RECONNECTED_NAP_S", 0.2)


def play(
    folder: Path, broker: Broker, scenario: Callable[[Site, Collector, FaultProxy], Awaitable[None]]
) -> None:
    async def whole() -> None:
        async with (
            collecting(broker) as collector,
            fault_proxy(broker.port, mqtt=True) as proxy,
            Site(folder, Broker(port=proxy.port)).running() as site,
        ):
            await scenario(site, collector, proxy)

    asyncio.run(whole())


async def all_marked(site: Site) -> None:
    async def agreed() -> bool:
        return await site.state() == (0, COUNT, 0)

    await until(agreed)


@pytest.mark.parametrize("ways", [UP, DOWN])
def test_a_broker_that_acknowledges_and_delivers_nothing_marks_nothing(
    tmp_path: Path, broker: Broker, ways: frozenset[Way]
) -> None:
    """Towards the collector (up) the results are missing, towards the site (down) their receipts."""

    async def scenario(site: Site, collector: Collector, proxy: FaultProxy) -> None:
        proxy.set(ConnectionFault(FaultKind.LIE, ways, topics=lambda topic: "presence" not in topic))
        await site.commit(COUNT)

        async def lied_to() -> bool:
            return proxy.tally.swallowed > 1

        await until(lied_to)
        assert await site.state() == (COUNT, 0, 0)
        proxy.set(NONE)
        await all_marked(site)
        assert set(collector.seqs) == set(range(1, COUNT + 1))

    play(tmp_path, broker, scenario)


@pytest.mark.parametrize(
    "fault",
    [
        ConnectionFault(FaultKind.STALL),
        ConnectionFault(FaultKind.STALL, DOWN),
        ConnectionFault(FaultKind.SWALLOW, UP),
        ConnectionFault(FaultKind.SWALLOW),
        ConnectionFault(FaultKind.RESET),
        ConnectionFault(FaultKind.HANG_UP),
        ConnectionFault(FaultKind.GARBAGE, DOWN),
        ConnectionFault(FaultKind.TRUNCATE, DOWN, after=100),
        ConnectionFault(FaultKind.TRICKLE, DOWN, seconds=0.05),
    ],
    ids=lambda fault: f"{fault.kind}-{'-'.join(sorted(fault.ways))}",
)
def test_what_is_measured_while_a_link_fails_arrives_once_it_does_not(
    tmp_path: Path, broker: Broker, fault: ConnectionFault
) -> None:
    async def scenario(site: Site, collector: Collector, proxy: FaultProxy) -> None:
        async def connected() -> bool:
            return site.uplink.problem is None

        async def noticed() -> bool:
            return site.uplink.problem is not None or proxy.tally.connections > 1

        await until(connected)
        proxy.set(fault)
        await site.commit(COUNT)
        await until(noticed)
        proxy.set(NONE)
        await all_marked(site)
        assert set(collector.seqs) == set(range(1, COUNT + 1))

    play(tmp_path, broker, scenario)
