"""The search before a condemnation, over loopback and by value."""

import asyncio

import pytest
from msgspec.structs import replace

from agent.configuration import SETTINGS
from agent.line.counters import NoSource
from agent.load.packet_size import PacketSize
from agent.probes.floor.search import search_of, sustained_bps
from agent.settings.sections import PeerAccessSettings
from agent.task.task import ProbeContext
from tests.agent.fakes import FakeClock
from tests.processes import free_port
from wire.records import Direction
from wire.udpstp.load import Ending, LoadInterval, LoadReport

TENTH = 100_000


def report(*rates: float, ending: Ending = Ending.COMPLETED) -> LoadReport:
    """A search of ten seconds whose seconds carried these rates."""
    intervals = [
        LoadInterval(
            offset_us=index * TENTH,
            duration_us=TENTH,
            datagrams=100,
            ip_bytes=round(rates[index // 10] / 80),
            lost=0,
            reordered=0,
            duplicated=0,
            delay_min_us=0.0,
            delay_max_us=0.0,
            delay_mean_us=0.0,
        )
        for index in range(10 * len(rates))
    ]
    return LoadReport(
        session="s",
        direction=Direction.DOWN,
        row=16,
        planned_bps=16_000_000,
        planned_duration_us=1_000_000 * len(rates),
        planned_packets=0,
        ending=ending,
        intervals=tuple(intervals),
    )


def test_a_token_bucket_is_empty_by_the_second_half() -> None:
    bucket = report(16e6, 16e6, 6e6, 6e6, 6e6, 6e6, 5.9e6, 6e6, 6e6, 5.8e6)
    assert sustained_bps(bucket) == pytest.approx(6e6, rel=0.001)


def test_the_greatest_second_counts() -> None:
    assert sustained_bps(report(1e6, 2e6, 7.6e6, 6e6, 7e6, 7.5e6, 7e6, 7.6e6, 7e6, 7e6)) == pytest.approx(
        7.6e6
    )


def test_an_incomplete_search_gives_no_maximum() -> None:
    assert sustained_bps(report(7e6, 7e6, ending=Ending.WATCHDOG)) is None
    assert sustained_bps(replace(report(7e6), intervals=())) is None


def test_a_missing_peer_gives_no_maximum() -> None:
    chosen = SETTINGS(site="A", peer=PeerAccessSettings(host="127.0.0.1", udpstp_port=free_port(), key="k"))
    built = ProbeContext(chosen, b"k", NoSource(), FakeClock().read)
    found = asyncio.run(search_of(built, PacketSize())(Direction.UP, 16e6))
    assert found.maximum_bps is None
