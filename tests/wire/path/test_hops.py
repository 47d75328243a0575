"""The trace of hops over simulated paths."""

import pytest

from tests.wire.path.simulated import Path, Router
from wire.path.hops import AT_ONCE, Trace
from wire.path.probing import AnswerKind, ProbeAnswer
from wire.path.verdict import DscpChange, dscp_change
from wire.records import Hop


def trace(path: Path, farthest: int = 30, packets: int = 3) -> Trace:
    made = Trace(farthest, packets)
    path.run(made.batches())
    return made


def test_every_hop_up_to_the_peer_is_named_and_no_ttl_beyond_it_probed_again() -> None:
    path = Path([Router(), Router(), Router()])
    found = trace(path)
    hops = [hop.record() for hop in found.hops]
    assert found.reached
    assert [hop.address for hop in hops] == ["192.0.2.1", "192.0.2.2", "192.0.2.3", "198.51.100.9"]
    assert [(hop.ttl, hop.sent, hop.answered) for hop in hops] == [(ttl, 3, 3) for ttl in range(1, 5)]
    assert [hop.rtt_us for hop in hops] == [1000, 2000, 3000, 4000]
    assert [hop.dscp for hop in hops] == [46, 46, 46, None]
    assert len(path.sent) == AT_ONCE + 4 + 4


def test_a_path_longer_than_one_batch_is_followed() -> None:
    found = trace(Path([Router()] * 11))
    assert [hop.ttl for hop in found.hops] == list(range(1, 13))
    assert found.reached


def test_a_silent_router_is_an_absent_address_and_no_failure() -> None:
    found = trace(Path([Router(), Router(silent=True), Router()]))
    assert found.reached
    assert found.hops[1].record() == Hop(ttl=2, sent=3, answered=0)


def test_a_lost_packet_costs_one_answer() -> None:
    found = trace(Path([Router(), Router()], lost={0}))
    assert [hop.record().answered for hop in found.hops] == [2, 3, 3]


def test_a_silent_peer_is_not_reached() -> None:
    found = trace(Path([Router(), Router()], peer_answers=False), farthest=10, packets=1)
    assert not found.reached
    assert len(found.hops) == 10


def test_an_unreachable_message_ends_the_path() -> None:
    path = Path([Router(), Router(turns_back=True), Router()])
    found = trace(path)
    assert not found.reached
    assert [hop.record().address for hop in found.hops] == ["192.0.2.1", "192.0.2.2", "192.0.2.2"]
    assert len(path.sent) == AT_ONCE + 2 * 3


def test_one_unreachable_message_does_not_hide_the_peer() -> None:
    made = Trace(4, 2)
    batches = made.batches()
    asked = next(batches)
    kinds = (AnswerKind.EXPIRED, AnswerKind.UNREACHABLE, AnswerKind.REPLY)
    assert len(asked) == 4
    assert [probe.ttl for probe in batches.send([*map(ProbeAnswer, kinds, "abp"), None])] == [1, 2, 3]
    assert made.reached
    assert len(made.hops) == 3


def test_two_routers_at_one_ttl_are_both_named() -> None:
    made = Trace(1, 2)
    batches = made.batches()
    next(batches)
    batches.send([ProbeAnswer(AnswerKind.EXPIRED, "192.0.2.1", 2000)])
    with pytest.raises(StopIteration):
        batches.send([ProbeAnswer(AnswerKind.EXPIRED, "192.0.2.7", 1600)])
    hop = made.hops[0].record()
    assert (hop.address, hop.also, hop.rtt_us) == ("192.0.2.1", ("192.0.2.7",), 2)


def test_a_trace_stopped_early_keeps_its_results() -> None:
    made = Trace(30, 3)
    batches = made.batches()
    next(batches)
    batches.send([ProbeAnswer(AnswerKind.EXPIRED, "192.0.2.1"), *[None] * (AT_ONCE - 1)])
    assert made.hops[0].record().address == "192.0.2.1"
    assert not made.reached


@pytest.mark.parametrize(("dscps", "found"), [
    ((46, 46, 46), None), ((46, 46, 0, 0), DscpChange(2, 3, 0)), ((46, None, 10, 0), DscpChange(1, 3, 10)),
    ((0, 46), DscpChange(0, 1, 0)), ((None, None), None),
])  # fmt: skip
def test_first_change_of_the_dscp(dscps: tuple[int | None, ...], found: DscpChange | None) -> None:
    quoted = [Hop(ttl=ttl, sent=1, answered=1, dscp=dscp) for ttl, dscp in enumerate(dscps, start=1)]
    assert dscp_change(quoted, 46) == found


def test_a_router_that_sets_the_dscp_is_named() -> None:
    found = trace(Path([Router(), Router(sets_dscp=0), Router()]))
    assert dscp_change([hop.record() for hop in found.hops], 46) == DscpChange(2, 3, 0)
