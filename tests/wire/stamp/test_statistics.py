import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.records import Spread
from wire.stamp.loss import DirectionalLoss, directional_loss
from wire.stamp.statistics import percentile, spread


@pytest.mark.parametrize(("values", "percent", "expected"), [
    *(([15, 20, 35, 40, 50], percent, rank) for percent, rank in ((30, 20), (40, 20), (50, 35), (100, 50))),
    (range(1, 21), 95, 19), (range(1, 21), 99, 20), ([7], 50, 7),
])  # fmt: skip
def test_nearest_rank(values, percent, expected):
    assert percentile(values, percent) == expected


@given(st.lists(st.integers(-(10**12), 10**12), min_size=1), st.sampled_from([50, 95, 99]))
def test_a_percentile_is_a_value_that_its_share_does_not_exceed(values, percent):
    found = percentile(sorted(values), percent)
    assert found in values
    assert sum(value <= found for value in values) * 100 >= percent * len(values)
    assert sum(value < found for value in values) * 100 < percent * len(values)


def test_a_spread_is_in_rounded_microseconds():
    assert spread([1_499, 1_500, 2_501]) == Spread(min_us=1, p50_us=2, p95_us=3, p99_us=3)
    assert spread([]) is None


# pairs: (sender number, reflector number) of each reply
@pytest.mark.parametrize(("sent", "pairs", "expected"), [
    pytest.param(*case, id=name) for name, case in {
        "none": (4, [(0, 0), (1, 1), (2, 2), (3, 3)], (0, 0)),
        "forward": (4, [(0, 0), (1, 1), (3, 2)], (1, 0)),
        "return": (4, [(0, 0), (1, 1), (3, 3)], (0, 1)),
        "both": (5, [(0, 0), (3, 2), (4, 3)], (1, 1)),
        "first forward": (3, [(1, 0), (2, 1)], (1, 0)),
        "first return": (3, [(1, 1), (2, 2)], (0, 1)),
        "reordered on the way there": (4, [(0, 0), (3, 1), (2, 2)], (1, 0)),
        "doubled on the way there": (3, [(0, 0), (0, 1), (2, 2)], (1, 0)),
        "doubled on the way back": (3, [(0, 0), (0, 0), (2, 2)], (0, 1)),
        "answer to a double lost too": (3, [(0, 0), (2, 3)], (0, 1)),
        "a counter that began elsewhere": (3, [(0, 700), (1, 701), (2, 702)], (0, 0)),
        "a counter that began elsewhere, with loss": (3, [(0, 700), (2, 701)], (1, 0)),
        "silence": (3, [], None),
        "the last lost": (3, [(0, 0), (1, 1)], None),
        "restarted counter": (3, [(0, 5), (2, 5)], None),
        "unknown beginning": (3, [(1, 700), (2, 701)], None),
        "foreign counter": (3, [(0, 0), (2, 1000)], None),
        "nothing": (0, [], None),
    }.items()
])  # fmt: skip
def test_loss_per_direction_where_that_is_known(sent, pairs, expected):
    assert directional_loss(sent, pairs) == (expected and DirectionalLoss(sent, *expected))


def test_ratios_are_of_the_packets_of_each_direction():
    loss = DirectionalLoss(10, 2, 1)
    assert (loss.forward_ratio, loss.return_ratio) == (0.2, 0.125)
    assert DirectionalLoss(2, 2, 0).return_ratio == 0


@given(st.integers(1, 60), st.randoms(use_true_random=False), st.floats(0, 0.6), st.floats(0, 0.6))
def test_random_loss_in_order_is_divided_exactly_or_not_at_all(sent, random, forward, back):
    pairs, lost, counter = [], [0, 0], 0
    for number in range(sent):
        if random.random() < forward:
            lost[0] += 1
            continue
        if random.random() < back:
            lost[1] += 1
        else:
            pairs.append((number, counter))
        counter += 1
    told = directional_loss(sent, pairs)
    assert told in (None, DirectionalLoss(sent, *lost))
    assert (told is None) == (not pairs or pairs[-1][0] != sent - 1)
