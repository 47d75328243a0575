import asyncio
from collections.abc import Callable

import pytest

from agent.line.counters import InterfaceSource, NoSource
from agent.line.passive_proof import LineWatch, Stretches
from agent.line.readings import CounterReading, Unavailable
from host.clock import Clock
from wire import records

S = 1_000_000
FLOOR = 8e6
HEADERS = 14


def reading(received: int = 0, sent: int = 0) -> CounterReading:
    """Full-size packets of so many IP-layer bytes each way."""
    packets_in, packets_out = received // 1500, sent // 1500
    return CounterReading(
        received + HEADERS * packets_in, packets_in, sent + HEADERS * packets_out, packets_out
    )


def watched(rates: list[float], *, sent: bool = False, every_us: int = S) -> Stretches:
    """One reading a second, the line carrying these rates in between."""
    subject, total = Stretches(FLOOR), 0
    subject.add(0, reading())
    for second, rate in enumerate(rates, 1):
        total += int(rate * every_us / 8e6)
        subject.add(second * every_us, reading(sent=total) if sent else reading(total))
    return subject


@pytest.mark.parametrize(
    ("rates", "lasted_us"),
    [
        ([9e6], None),  # one second is not two
        ([9e6, 9e6], 2 * S),
        ([9e6, 7e6, 9e6], None),
        ([20e6, 1e6, 20e6], None),  # as much in the mean, but not throughout
        ([1e6, 9e6, 9e6, 9e6, 1e6], 3 * S),
        ([9e6, 9e6, 1e6, 9e6], 2 * S),  # what was proven stays proven
    ],
)
def test_the_floor_is_proven_by_two_seconds_throughout(rates: list[float], lasted_us: int | None) -> None:
    proof = watched(rates).since(0)
    assert (proof.lasted_us if proof else None) == lasted_us
    if proof:
        assert proof.bps == pytest.approx(9e6, rel=1e-3)


def test_headers_below_the_ip_layer_prove_nothing() -> None:
    """8.02 Mbit/s of Ethernet are 7.95 at the IP layer."""
    assert watched([7.95e6] * 5).since(0) is None
    assert watched([8.01e6] * 5).since(0) is not None


def test_sent_traffic_proves_nothing() -> None:
    assert watched([20e6] * 5, sent=True).since(0) is None


def test_a_proof_counts_in_the_slot_that_contains_it() -> None:
    subject = watched([9e6, 9e6])
    assert subject.since(0) is not None
    assert subject.since(1) is None


def test_a_download_that_goes_on_proves_the_floor_in_every_slot() -> None:
    subject = watched([9e6] * 600)
    for slot_us in (0, 60 * S, 333 * S, 500 * S):
        proof = subject.since(slot_us)
        assert proof is not None
        assert proof.begin_us >= slot_us
        assert proof.lasted_us >= 2 * S


@pytest.mark.parametrize("between", [None, Unavailable("gone")])
def test_an_own_test_or_a_missing_reading_interrupts(between: Unavailable | None) -> None:
    subject = Stretches(FLOOR)
    subject.add(0, reading())
    subject.add(S, reading(1_500_000))
    if between is None:
        subject.interrupt()
    else:
        subject.add(S + 1, between)
    subject.add(2 * S, reading(3_000_000))
    assert subject.since(0) is None
    subject.add(3 * S, reading(4_500_000))
    subject.add(4 * S, reading(6_000_000))
    assert subject.since(0) is not None


def test_a_gap_in_which_a_test_could_hide_interrupts() -> None:
    assert watched([9e6] * 3, every_us=2_600_000).since(0) is None


def test_counters_that_went_back_prove_nothing() -> None:
    subject = watched([9e6])
    subject.add(2 * S, reading())
    assert subject.since(0) is None


class Source(NoSource):
    """Counts up by a given number of bytes at every reading."""

    kind = records.LineCounters.INLINE
    least_interval_s = 0.1

    def __init__(self, step: int) -> None:
        self.step, self.total, self.reads = step, 0, 0

    def read(self) -> CounterReading | Unavailable:
        self.total += self.step
        self.reads += 1
        return reading(self.total)


def watch(source: Source, monkeypatch: pytest.MonkeyPatch, own_test: Callable[[], bool]) -> LineWatch:
    """Watch without waiting, on a clock that goes a second with every look."""
    clock, boot = Clock().read(), iter(range(S, 100 * S, S))
    subject = LineWatch(
        source,
        FLOOR,
        lambda: records.ClockReading(
            wall_us=0, boot_us=next(boot), boot_id=clock.boot_id, synchronised=False
        ),
    )
    monkeypatch.setattr("agent.line.passive_proof.EVERY_S", 0)

    async def scenario() -> None:
        running = asyncio.ensure_future(subject.run(own_test))
        for _ in range(10):
            await asyncio.sleep(0)
        running.cancel()

    asyncio.run(scenario())
    return subject


def test_it_watches_but_not_while_a_test_of_ours_has_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    busy, idle = Source(1_500_000), Source(1_500_000)
    assert watch(idle, monkeypatch, lambda: False).since(0) is not None
    assert watch(busy, monkeypatch, lambda: True).since(0) is None
    assert (busy.reads, idle.reads > 5) == (0, True)


def test_only_sources_of_the_very_moment_are_watched() -> None:
    assert not LineWatch.can_watch(NoSource())
    assert LineWatch.can_watch(InterfaceSource("eth0"))
