"""Load-rate adjustment algorithms, row by row as traced in the reference program 9.0.0."""

import pytest

from wire.udpstp import pdu
from wire.udpstp.ends.rate_control import (
    AlgorithmB,
    AlgorithmC,
    RateAlgorithm,
    Sign,
    TrialInterval,
    is_search,
    rate_algorithm,
    start_row,
)

GOOD, HOLD, BAD = Sign.GOOD, Sign.HOLD, Sign.BAD
SEARCH = pdu.Activation(command=pdu.DOWNSTREAM, row=pdu.SEARCH_INDEX, test_s=10, auth_time=0, key_id=0)


def rows(machine: RateAlgorithm, *signs: Sign) -> list[int]:
    return [machine.step(sign) for sign in signs]


def activation(**changes: int) -> pdu.Activation:
    return pdu.Activation(
        **{"command": pdu.DOWNSTREAM, "row": pdu.SEARCH_INDEX, "test_s": 10, "auth_time": 0, "key_id": 0}
        | changes  # type: ignore[arg-type]
    )


def test_algorithm_b_as_traced() -> None:
    machine = AlgorithmB(SEARCH, 0, 1000)
    assert rows(machine, GOOD, GOOD, GOOD, GOOD, HOLD) == [10, 20, 30, 40, 40]
    assert rows(machine, BAD, BAD, GOOD) == [39, 38, 48]
    assert rows(machine, BAD, BAD, BAD) == [47, 46, 16]
    assert rows(machine, GOOD, GOOD, BAD, BAD, HOLD, GOOD) == [17, 18, 17, 16, 16, 17]


def test_algorithm_c_as_traced() -> None:
    machine = AlgorithmC(SEARCH, 0, 1152)
    assert rows(machine, *[GOOD] * 15)[:6] == [1, 2, 2, 4, 4, 8]
    assert machine.row == 128
    machine = AlgorithmC(SEARCH, 128, 1152)
    assert rows(machine, BAD, BAD, BAD) == [127, 126, 96]
    climb = rows(machine, *[GOOD] * 11)
    assert climb == [97, 98, 99, 99, 198, 198, 396, 396, 792, 1000, 1001]


def test_algorithm_c_waits_longer_before_each_further_retry() -> None:
    machine = AlgorithmC(SEARCH, 100, 1000)
    rows(machine, BAD, BAD, BAD)
    assert rows(machine, GOOD, GOOD, GOOD, GOOD, GOOD) == [69, 70, 71, 71, 142], "two steps down counted"
    assert rows(machine, BAD, BAD, BAD) == [141, 140, 110]
    assert rows(machine, *[GOOD] * 10) == [*range(111, 119), 118, 236]


@pytest.mark.parametrize("kind", [AlgorithmB, AlgorithmC])
def test_rows_stay_between_the_first_and_the_highest(kind: type[RateAlgorithm]) -> None:
    machine = kind(SEARCH, 0, 25)
    assert rows(machine, BAD, BAD, BAD, BAD) == [0, 0, 0, 0]
    machine = kind(SEARCH, 0, 25)
    assert max(rows(machine, *[GOOD] * 30)) == machine.row == 25


def test_above_one_gigabit_all_steps_are_single_rows() -> None:
    machine = AlgorithmB(SEARCH, 995, 1152)
    assert rows(machine, GOOD, GOOD, BAD, BAD, BAD) == [1000, 1001, 1000, 999, 969]
    machine = AlgorithmB(SEARCH, 1100, 1152)
    assert rows(machine, BAD, BAD, BAD, BAD) == [1099, 1098, 1097, 1096]


@pytest.mark.parametrize(("seen", "sign"), [
    (TrialInterval(lost=10, delay=0), GOOD), (TrialInterval(lost=11, delay=0), BAD),
    (TrialInterval(delay=29), GOOD), (TrialInterval(delay=30), HOLD), (TrialInterval(delay=60), HOLD),
    (TrialInterval(delay=90), HOLD), (TrialInterval(delay=91), BAD),
    (TrialInterval(), HOLD), (TrialInterval(lost=11), BAD),
    (TrialInterval(reordered=20, duplicated=20, delay=0), GOOD),
    (TrialInterval(delay=0, rtt_variation=200), GOOD),
])  # fmt: skip
def test_thresholds_of_the_signs(seen: TrialInterval, sign: Sign) -> None:
    assert seen.sign(SEARCH) is sign


def test_reordering_and_round_trips_count_where_the_activation_says_so() -> None:
    assert (
        TrialInterval(lost=4, reordered=4, duplicated=3, delay=0).sign(activation(ignore_reordering=0)) is BAD
    )
    by_round_trip = activation(one_way_variation=0)
    assert TrialInterval(delay=200, rtt_variation=3).sign(by_round_trip) is GOOD
    assert TrialInterval(delay=0, rtt_variation=91).sign(by_round_trip) is BAD
    assert TrialInterval(delay=0).sign(by_round_trip) is HOLD


def test_trial_interval_of_a_status() -> None:
    status = pdu.Status(sequence=1, lost=2, reordered=3, duplicated=4, delay_sum=149, delay_count=10)
    assert TrialInterval.of(status) == TrialInterval(2, 3, 4, 15, None)
    assert TrialInterval.of(pdu.Status(sequence=1, rtt_variation=7)) == TrialInterval(rtt_variation=7)


@pytest.mark.parametrize(("changes", "searches", "begins"), [
    ({}, True, 0), ({"row": 8}, False, 8), ({"row": 8, "modifiers": 1}, True, 8), ({"modifiers": 1}, True, 0),
])  # fmt: skip
def test_activations_that_ask_for_a_search(changes: dict[str, int], searches: bool, begins: int) -> None:
    asked = activation(**changes)
    assert (is_search(asked), start_row(asked)) == (searches, begins)


def test_the_algorithm_begins_at_its_row_and_not_above_the_highest() -> None:
    machine = rate_algorithm(activation(row=50, modifiers=1, algorithm=1), 40)
    assert (type(machine), machine.row) == (AlgorithmC, 40)
    assert isinstance(rate_algorithm(SEARCH, 40), AlgorithmB)
