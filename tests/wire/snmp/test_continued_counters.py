import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.wire.snmp.test_interface_mib import STATE
from wire.snmp.continued_counters import ContinuedCounters
from wire.snmp.interface_mib import CounterBits, InterfaceState

NARROW = replace(STATE, bits=CounterBits(32, 32))


def counting(octets: int, packets: int, bits: CounterBits = NARROW.bits) -> InterfaceState:
    return replace(
        NARROW, bits=bits, received_octets=octets % 2**bits.octets, received_packets=packets % 2**bits.packets
    )


@given(
    start=st.integers(0, 2**32 - 1), steps=st.lists(st.integers(0, 100_000_000), max_size=20),
    bits=st.sampled_from([CounterBits(32, 32), CounterBits(64, 32), CounterBits(64, 64)]),
)  # fmt: skip
def test_counters_go_on_where_they_wrap(start: int, steps: list[int], bits: CounterBits) -> None:
    counters, octets, packets = ContinuedCounters(), 2**64 - start, 2**64 - start // 1000
    first = last = counters.take(counting(octets, packets, bits), 0.0)
    for number, step in enumerate(steps, 1):
        octets, packets = octets + step, packets + step // 1000
        last = counters.take(counting(octets, packets, bits), 10.0 * number)
    assert counters.resets == 0
    assert last.received_octets - first.received_octets == sum(steps)
    assert last.received_packets - first.received_packets == sum(step // 1000 for step in steps)


@pytest.mark.parametrize(
    ("bits", "elapsed_s", "resets"),
    [(CounterBits(32, 32), 170.0, 1), (CounterBits(32, 32), 160.0, 0), (CounterBits(64, 32), 3600.0, 0)],
)
def test_32_bits_that_may_have_wrapped_unseen_are_a_reset(
    bits: CounterBits, elapsed_s: float, resets: int
) -> None:
    counters = ContinuedCounters()  # at 100 Mbit/s half of the octets take 172 s, and a cache up to 5 s
    counters.take(counting(0, 0, bits), 0.0)
    counters.take(counting(1_000_000, 1000, bits), elapsed_s)
    assert counters.resets == resets


def test_a_step_back_of_an_agent_with_several_caches_is_no_reset() -> None:
    counters = ContinuedCounters()
    told = [
        counters.take(counting(octets, octets // 1000), now).received_octets
        for now, octets in enumerate((5_000_000, 4_900_000, 5_100_000, 5_050_000, 5_200_000))
    ]
    assert told == [5_000_000, 5_000_000, 5_100_000, 5_100_000, 5_200_000]
    assert counters.resets == 0


def test_counters_that_begin_anew_are_a_reset() -> None:
    counters = ContinuedCounters()
    counters.take(counting(10**9, 10**6), 0.0)
    counters.take(counting(1000, 2), 1.0)
    assert counters.resets == 1
    counters.take(replace(counting(2000, 4), uptime_ticks=1), 2.0)
    assert counters.resets == 2
