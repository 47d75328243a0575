"""The watch and its asks on loopback: a real reflector, a listening socket for a broker, no gateway."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import cast

import pytest
from msgspec.structs import replace

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.probes.reachability import state as reachability_state
from agent.probes.reachability.poller import TargetPoller
from agent.probes.reachability.probe import ReachabilityProbe, state_path
from agent.probes.reachability.rules.network_view import EgressKind, OutageScope, Target
from agent.probes.reachability.rules.outages import OutageRules
from agent.probes.reachability.state import ReachabilityState
from agent.probes.reachability.watch import ReachabilityWatch
from agent.settings.sections import JournalSettings, PeerAccessSettings, StampTrainSettings
from agent.task.task import ProbeContext
from agent.task.watch import WatchEvent
from agent.train.peer_last_seen import PeerLastSeen
from agent.uplink.uplink import Uplink
from host.clock import Clock
from net.addresses.host import HostAddresses
from net.mqtt import Broker
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from outbox.receipt_watch import ReceiptWatch
from peer.reflector import StampReflector
from tests.processes import free_port
from wire.records import Cause, ClockReading, Outcome, ReachabilityMeasurement, ReachabilityValues
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.timestamp import ErrorEstimate

KEY = b"a key for the site"
INTERVAL_S = 0.2
WITHIN_S = 20.0


class FakeUplink:
    """A session that is there, or not, as events."""

    def __init__(self) -> None:
        self.problem: str | None = None
        self.receipts = ReceiptWatch()
        self.last_acknowledgement: ClockReading | None = None
        self.asked = 0

    def ask(self) -> None:
        self.asked += 1


def around(
    folder: Path, stamp_port: int, broker_port: int, *, host: str = "127.0.0.1", broker: str = "127.0.0.1"
) -> ProbeContext:
    settings = SETTINGS(
        site="A",
        peer=PeerAccessSettings(host=host, stamp_port=stamp_port, key=KEY.decode()),
        stamp=StampTrainSettings(classes=()),
        broker=Broker(host=broker, port=broker_port),
        journal=JournalSettings(path=str(folder / "journal.db")),
    )
    clock = Clock().read
    return ProbeContext(settings, KEY, NoSource(), clock, peer_last_seen=PeerLastSeen(clock))


@asynccontextmanager
async def reflecting(port: int = 0, key: bytes = KEY) -> AsyncIterator[int]:
    reflector = StampReflector("127.0.0.1", port, ReflectorSettings(keys=(key,)), ErrorEstimate)
    await reflector.start()
    try:
        yield reflector.port
    finally:
        reflector.close()


@asynccontextmanager
async def watching(
    built: ProbeContext, uplink: FakeUplink
) -> AsyncIterator[tuple[ReachabilityWatch, list[WatchEvent]]]:
    events: list[WatchEvent] = []
    assert built.peer_last_seen is not None
    path = state_path(built.settings.journal.path)
    thread = JournalThread(lambda: Journal(path.with_name("journal.db"), 10**8, built.clock()))
    watch = ReachabilityWatch(built, INTERVAL_S, cast("Uplink", uplink), built.peer_last_seen, thread, path)
    task = asyncio.create_task(watch.run(events.append))
    try:
        yield watch, events
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await thread.close()


async def listening(port: int = 0) -> asyncio.Server:
    """Takes connections as a broker does: with a CONNACK."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(14)
        writer.write(b"\x20\x02\x00\x00")
        await writer.drain()
        writer.close()

    return await asyncio.start_server(serve, "127.0.0.1", port)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_S):
        while not ready():
            await asyncio.sleep(0.01)


def causes(events: list[WatchEvent]) -> list[tuple[Cause, bool]]:
    values = [cast("ReachabilityValues", one.values) for one in events]
    return [(one.cause, one.end is not None) for one in values]


def knows(built: ProbeContext, *targets: Target) -> bool:
    kept = reachability_state.read(state_path(built.settings.journal.path))
    return set(targets) <= set(kept.known)


async def test_a_peer_that_stops_and_starts_again(tmp_path: Path) -> None:
    built = around(tmp_path, free_port(), 1)
    port = built.settings.peer.stamp_port
    async with watching(built, FakeUplink()) as (watch, events):
        async with reflecting(port):
            await until(lambda: knows(built, Target.PEER))
            assert (events, watch.outages) == ([], ())
        await until(lambda: causes(events) == [(Cause.PEER, False)])
        assert [one.cause for one in watch.outages] == [Cause.PEER]
        kept = reachability_state.read(state_path(built.settings.journal.path))
        await until(
            lambda: OutageScope.PEER in reachability_state.read(tmp_path / "reachability.json").outages
        )
        assert kept.gateway is None
        async with reflecting(port):
            await until(lambda: causes(events)[1:] == [(Cause.PEER, True)])
    begun, ended = (cast("ReachabilityValues", one.values) for one in events)
    assert (begun.outage, begun.peer, begun.gateway) == (ended.outage, False, None)
    assert {one.record for one in events} == {ReachabilityMeasurement}
    assert events[1].start == ended.end
    assert reachability_state.read(tmp_path / "reachability.json").outages == {}


async def test_a_refused_write_is_repeated_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    in_the_way = tmp_path / "reachability.json.new"
    in_the_way.mkdir()
    async with reflecting() as port:
        built = around(tmp_path, port, 1)
        async with watching(built, FakeUplink()) as (watch, _):
            await until(lambda: watch._rules.targets[Target.PEER].known)
            looks = watch._looks
            await until(lambda: watch._looks >= looks + 2)
            in_the_way.rmdir()
            await until(lambda: knows(built, Target.PEER))
    assert caplog.text.count("without its end") == 1


async def test_a_slow_disk_delays_no_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    write, held = reachability_state.write, []

    def slowly(path: Path, state: ReachabilityState) -> None:
        begun.set()
        held.append(go_on.wait(WITHIN_S))
        write(path, state)

    monkeypatch.setattr(reachability_state, "write", slowly)
    built = around(tmp_path, free_port(), 1)
    port = built.settings.peer.stamp_port
    async with watching(built, FakeUplink()) as (watch, events):
        async with reflecting(port):
            await until(begun.is_set)
            looks = watch._looks
            await until(lambda: watch._looks >= looks + 5)
        await until(lambda: causes(events) == [(Cause.PEER, False)])
        assert not (tmp_path / reachability_state.NAME).exists()
        asyncio.get_running_loop().call_soon(go_on.set)  # it ends while the last is being written
    assert held[0] is True
    assert OutageScope.PEER in reachability_state.read(tmp_path / reachability_state.NAME).outages


async def test_the_file_is_written_before_the_record_during_another_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, go_on = threading.Event(), threading.Event()
    write, order = reachability_state.write, []

    def slowly(path: Path, state: ReachabilityState) -> None:
        begun.set()
        go_on.wait(WITHIN_S)
        write(path, state)
        order.append(f"file with {len(state.outages)}")

    monkeypatch.setattr(reachability_state, "write", slowly)
    built = around(tmp_path, free_port(), 1)
    path = state_path(built.settings.journal.path)
    thread = JournalThread(lambda: Journal(path.with_name("journal.db"), 10**8, built.clock()))
    await thread.open()
    assert built.peer_last_seen is not None
    watch = ReachabilityWatch(
        built, INTERVAL_S, cast("Uplink", FakeUplink()), built.peer_last_seen, thread, path
    )
    recording: list[asyncio.Task[None]] = []

    def tell(_: WatchEvent) -> None:
        record = thread.do(lambda _: order.append("record"))
        recording.append(asyncio.get_running_loop().create_task(record))

    task = asyncio.create_task(watch.run(tell))
    async with reflecting(built.settings.peer.stamp_port):
        await until(begun.is_set)
    await until(lambda: bool(recording))
    go_on.set()
    await asyncio.gather(*recording)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await thread.close()
    assert order.index("file with 1") < order.index("record")


async def test_a_train_replaces_polls_and_a_load_test_stops_them(tmp_path: Path) -> None:
    async with reflecting(key=b"another key that is not ours") as port:
        built = around(tmp_path, port, 1)
        peer_last_seen = built.peer_last_seen
        assert peer_last_seen is not None
        async with watching(built, FakeUplink()) as (watch, events):
            for _ in range(40):
                peer_last_seen.record_answer()
                await asyncio.sleep(INTERVAL_S / 8)
            assert events == []
            watch.own_test = lambda: True
            await asyncio.sleep(2 * INTERVAL_S)
            assert events == []
            watch.own_test = lambda: False
            await until(lambda: causes(events) == [(Cause.PEER, False)])


async def test_a_broker_that_stops_and_starts_again(tmp_path: Path) -> None:
    uplink, broker_port = FakeUplink(), free_port()
    async with reflecting() as port:
        built = around(tmp_path, port, broker_port)
        async with watching(built, uplink) as (_, events):
            await until(lambda: knows(built, Target.PEER, Target.BROKER))
            uplink.problem = "it hung up"
            await until(lambda: causes(events) == [(Cause.BROKER, False)])
            async with await listening(broker_port):
                await until(lambda: causes(events)[1:] == [(Cause.BROKER, True)])
    assert cast("ReachabilityValues", events[0].values).peer is True


async def test_an_unwritable_state_file_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()
    async with reflecting() as port:
        built = around(tmp_path / "file", port, 1)
        async with watching(built, FakeUplink()):
            await until(lambda: "may stay without its end" in caplog.text)
    assert caplog.text.count("may stay without its end") == 1


async def test_the_egress_over_loopback_is_direct(tmp_path: Path) -> None:
    rules = OutageRules(1_000_000, lambda: "one")
    with closing(TargetPoller(around(tmp_path, 1, 1), rules)) as poller:
        egress = poller.egress()
        assert (egress.kind, egress.carrier, egress.neighbour_failed) == (EgressKind.DIRECT, None, False)


async def test_a_host_without_an_address_is_not_asked(tmp_path: Path) -> None:
    rules = OutageRules(1_000_000, lambda: "one")
    built = around(tmp_path, 1, 1, host="no-such-name.invalid", broker="no-such-name.invalid")
    rules.targets[Target.PEER].known = True
    with closing(TargetPoller(built, rules)) as poller:
        await poller.look_up(WITHIN_S)
        for target in (Target.PEER, Target.BROKER):
            poller.poll(target, built.clock())
            assert rules.targets[target].unanswered.count == 0, target


async def test_silence_behind_a_name_that_nobody_vouches_for_proves_nothing(tmp_path: Path) -> None:
    built = around(tmp_path, free_port(), free_port(), host="localhost", broker="localhost")
    lie = {"answered": ["127.0.0.1"], "look_up": lambda _host, _family: ["127.0.0.1"]}
    built = replace(
        built,
        peer_addresses=HostAddresses("localhost", **lie),
        broker_addresses=HostAddresses("localhost", **lie),
    )
    uplink = FakeUplink()
    uplink.problem = "not connected"
    async with watching(built, uplink) as (watch, events):
        await until(lambda: any("no peer ever answered" in one for one in watch.findings))
        assert (events, watch._rules.targets[Target.PEER].unanswered.count) == ([], 0)
        polls = watch._looks
        await until(lambda: watch._looks >= polls + 20)
        assert (events, watch.outages) == ([], ())
        async with reflecting(built.settings.peer.stamp_port):
            await until(lambda: knows(built, Target.PEER))
        # Now it is known that the address was right.
        await until(lambda: (Cause.PEER, False) in causes(events))


async def test_the_probe_reports_answers_and_the_outage(tmp_path: Path) -> None:
    server = await listening()
    broker_port = server.sockets[0].getsockname()[1]
    async with server, reflecting() as port:
        probe = ReachabilityProbe(around(tmp_path, port, broker_port))
        [task] = probe.tasks()
        reading = await probe.run(task, lambda _: None)
        assert (reading.outcome, reading.values) == (Outcome.OK, None)
        assert reading.detail == "peer answers, broker answers"
    reading = await probe.run(task, lambda _: None)
    assert reading.detail == "peer does not answer, broker does not answer"
    assert isinstance(reading.values, ReachabilityValues)
    assert reading.values.cause is Cause.PEER
