"""Trains beside a load, against the real reflector on loopback."""

import asyncio
import socket

import pytest
from msgspec.structs import replace

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.load import latency_under_load
from agent.load.latency_under_load import beside_load, spacing_s
from agent.settings.sections import PeerAccessSettings
from agent.task.task import ProbeContext
from host.clock import Clock
from lab.links.line import LineSettings
from peer.reflector import StampReflector
from tests.agent.load import fixed_rate
from wire.records import LatencyUnderLoad
from wire.stamp.reflector import ReflectorSettings
from wire.stamp.timestamp import ErrorEstimate
from wire.udpstp.load import LoadReport

KEY = b"the site's key"
PACKET_BYTES = 112 + 28
REPORT = replace(fixed_rate.run(LineSettings(rate=20_000_000, queue=100_000))[0], bytes_received=2_000_000)


def surroundings(port: int) -> ProbeContext:
    settings = SETTINGS(
        site="A", peer=PeerAccessSettings(host="127.0.0.1", stamp_port=port, key=KEY.decode())
    )
    return ProbeContext(settings, KEY, NoSource(), Clock().read)


class OwnReflector(StampReflector):
    """With this site's key, on a free port."""

    def __init__(self) -> None:
        serving = ReflectorSettings(keys=(KEY,))
        super().__init__("127.0.0.1", 0, serving, lambda: ErrorEstimate.of_clock(Clock().read()))


async def beside(load_s: float) -> tuple[LoadReport, LatencyUnderLoad | None]:
    reflector = OwnReflector()
    await reflector.start()

    async def run() -> LoadReport:
        await asyncio.sleep(load_s)
        return REPORT

    try:
        return await beside_load(surroundings(reflector.port), 8e6, run)
    finally:
        reflector.close()


def test_idle_and_loaded_round_trips_are_recorded_with_their_bytes() -> None:
    report, latency = asyncio.run(beside(load_s=0.6))
    assert latency is not None
    assert latency.load_bps == 8e6
    assert latency.loaded is not None
    assert 0 < latency.idle.min_us <= latency.idle.p99_us < 1_000_000
    assert latency.loss_ratio == 0
    trains = report.bytes_received - REPORT.bytes_received
    assert trains == report.bytes_sent - REPORT.bytes_sent
    packets, rest = divmod(trains, PACKET_BYTES)
    assert rest == 0
    assert packets > latency_under_load.IDLE_PACKETS


def test_a_load_that_ends_at_once_leaves_the_idle_train_alone() -> None:
    report, latency = asyncio.run(beside(load_s=0))
    assert latency is not None
    assert (latency.loaded, latency.loss_ratio) == (None, None)
    assert report.bytes_sent - REPORT.bytes_sent == latency_under_load.IDLE_PACKETS * PACKET_BYTES


def test_a_peer_without_a_reflector_changes_nothing_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency_under_load, "TIMEOUT_S", 0.05)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def run() -> LoadReport:
        return REPORT

    report, latency = asyncio.run(beside_load(surroundings(port), 8e6, run))
    assert latency is None
    assert replace(report, bytes_sent=0, bytes_received=0) == replace(REPORT, bytes_sent=0, bytes_received=0)


def test_what_the_test_raises_is_raised_and_its_train_ended() -> None:
    async def scene() -> int:
        reflector = OwnReflector()
        await reflector.start()

        async def run() -> LoadReport:
            raise asyncio.CancelledError

        try:
            with pytest.raises(asyncio.CancelledError):
                await beside_load(surroundings(reflector.port), 8e6, run)
            await asyncio.sleep(0)
            return len(asyncio.all_tasks())
        finally:
            reflector.close()

    assert asyncio.run(scene()) == 1


@pytest.mark.parametrize("load_bps", [1e6, 8e6, 1e9])
def test_the_train_takes_at_most_a_five_hundredth_of_the_load(load_bps: float) -> None:
    assert PACKET_BYTES * 8 / spacing_s(load_bps) <= max(0.002 * load_bps, PACKET_BYTES * 8)
    assert 0.1 <= spacing_s(load_bps) <= 1
