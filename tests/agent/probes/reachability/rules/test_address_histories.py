"""Addresses of one host: which are polled when, and which of them are dead."""

from agent.probes.reachability.rules.address_histories import AddressHistories, DeadAddress
from agent.probes.reachability.rules.target_history import POLLS
from tests.agent.probes.reachability.world import at

SIX, FOUR = "2001:db8::1", "192.0.2.1"
BOTH = (SIX, FOUR)


def histories() -> AddressHistories:
    return AddressHistories(2_000_000, 300_000_000)


def test_an_address_is_polled_until_its_state_is_known_and_rarely_then() -> None:
    known = histories()
    assert known.due(BOTH, at(0)) == [SIX, FOUR]
    for place in range(POLLS):
        known.of(SIX).poll(at(2 * place))
    known.of(FOUR).poll(at(0))
    known.of(FOUR).answer(at(0.1))
    assert known.due(BOTH, at(200)) == []
    assert known.due(BOTH, at(300)) == [FOUR]
    assert known.due(BOTH, at(308)) == [SIX, FOUR]


def test_a_doubtful_address_is_polled_again_soon() -> None:
    known = histories()
    known.of(SIX).poll(at(0))
    assert known.due([SIX], at(1)) == []
    assert known.due([SIX], at(2)) == [SIX]


def test_an_address_is_dead_only_while_another_one_answers() -> None:
    known = histories()
    known.of(FOUR).answer(at(0))
    for place in range(POLLS):
        known.of(SIX).poll(at(10 + 2 * place))
    assert known.dead(BOTH, at(30)) == []
    assert known.are_silent([SIX], at(30))
    known.of(FOUR).answer(at(31))
    assert known.dead(BOTH, at(31)) == [DeadAddress(SIX, FOUR)]
    known.of(SIX).answer(at(32))
    assert known.dead(BOTH, at(32)) == []


def test_addresses_that_are_gone_are_forgotten() -> None:
    known = histories()
    known.of(SIX).answer(at(0))
    known.keep([FOUR])
    known.keep(BOTH)
    assert known.of(SIX).last_answer is None
