"""Findings of ``plancher-agent check`` about the line's counters."""

import asyncio
from types import SimpleNamespace

import pytest

from agent.commands.check import counted, line_counters, movement
from agent.line.counters import DirectorySource, NoSource
from agent.line.readings import CounterReading, Unavailable
from wire.records import LineCounters


class Wan(NoSource):
    kind = LineCounters.SNMP
    interface = "wan0"


READING = CounterReading(1_000, 10, 2_000, 20, carrier=True, speed_bps=1e9, frame_bytes=18)


SHOWN = (
    "ok     line counters: snmp: wan0 at 1000 Mbit/s, 18 B a packet beyond the IP layer,"
    " 10 packets received, 20 sent so far"
)
TEST = "counters move: of a test of 125000 B towards the site, wan0 counted"
WRONG_SIDE = "it is towards the site; name the interface towards the line"
ELSEWHERE = "they stand still, or are those of another line; name the interface towards the line"


@pytest.mark.parametrize(("reading", "told"), [
    (READING, SHOWN),
    (CounterReading(1, 1, 1, 1, carrier=False),
     "WRONG  line counters: wan0 has no link: is its cable in, is it the interface towards the line?"),
    (Unavailable("line_counters.snmp: router r: no"),
     "WRONG  line counters: line_counters.snmp: router r: no"),
])  # fmt: skip
def test_what_the_counters_show(reading: CounterReading | Unavailable, told: str) -> None:
    assert str(line_counters(Wan(), reading)) == told


def test_without_counters_it_is_a_note() -> None:
    assert str(line_counters(NoSource(), Unavailable("none"))) == (
        "note   line counters: none: a missed floor stays unconfirmed, since the site may have used the line"
        " itself"
    )


@pytest.mark.parametrize(("after", "told"), [
    (CounterReading(141_000, 110, 3_000, 30), f"ok     {TEST} 138600 B received"),
    (CounterReading(1_500, 15, 142_000, 120),
     f"WRONG  {TEST} 430 B received and 138600 B sent: {WRONG_SIDE}"),
    (CounterReading(1_500, 15, 2_500, 25), f"WRONG  {TEST} 430 B received: {ELSEWHERE}"),
    (CounterReading(1, 1, 1, 1),
     "WRONG  counters move: a counter of the line went back: the interface was set up again"),
    (Unavailable("no answer"), "WRONG  counters move: no answer"),
])  # fmt: skip
def test_whether_they_count_the_lines_traffic(after: CounterReading | Unavailable, told: str) -> None:
    finding = movement("wan0", CounterReading(1_000, 10, 2_000, 20), after)
    assert str(finding) == told


def test_of_a_peer_on_this_machine_no_other_interface_counts_anything() -> None:
    before, after = CounterReading(1_000, 10, 2_000, 20), CounterReading(1_000, 10, 2_000, 20)
    assert str(movement("wan0", before, after, on_loopback=True)) == (
        f"WRONG  {TEST} 0 B received: the peer is on this machine, and its tests do not leave it; name the"
        " site's own peer"
    )


def test_a_directory_is_named_by_its_interface(tmp_path):
    for name in ("rx_bytes", "rx_packets", "tx_bytes", "tx_packets"):
        (tmp_path / name).write_text("1\n")
    source = DirectorySource(tmp_path)
    told = str(line_counters(source, source.read()))
    assert told.startswith(f"ok     line counters: inline: {tmp_path}, 14 B a packet")


class RefreshedSeldom(Wan):
    """Router whose counts change at the fourth question, each of which stands for 5 s."""

    lag_s = 5.0

    def __init__(self) -> None:
        self.asked = 0

    async def ask(self) -> CounterReading:
        self.asked += 1
        return CounterReading(141_000, 110, 3_000, 30) if self.asked > 3 else CounterReading(1_000, 10, 0, 0)


@pytest.mark.parametrize("source", [RefreshedSeldom(), Wan()])
def test_a_router_that_refreshes_its_counters_seldom_is_waited_for(
    source: NoSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_time(_: float) -> None:
        pass

    monkeypatch.setattr("agent.commands.check.asyncio.sleep", no_time)
    context = SimpleNamespace(
        line_counters=source, settings=SimpleNamespace(peer=SimpleNamespace(host="192.0.2.1"))
    )
    found = asyncio.run(counted(context, CounterReading(1_000, 10, 2_000, 20)))  # type: ignore[arg-type]
    if isinstance(source, RefreshedSeldom):
        assert found.ok
        assert found.text.endswith("20 s later: they are refreshed seldom, so that fails take longer")
    else:
        assert not found.ok
