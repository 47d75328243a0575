import math
import random

import pytest

from agent.probes.floor.rules.sequential_test import CHOSEN, SequentialTest
from lab.simulate import condemnation, error_models
from lab.simulate.error_models import BAD_LINES, DAY_S, DISTURBED_MEDIAN_S, HOUR_S, MINUTE_S, FailurePeriod
from wire.records import Standing

WEAK = SequentialTest(0.2, 0.6, 0.02, 0.1)


def test_the_exact_probability_agrees_with_the_simulation() -> None:
    """Compare them for a weak test: it condemns a good line often enough to be counted."""
    exact = error_models.false_fail_effect(0.3, WEAK)
    chance, lines = random.Random(1), 4000
    seen = [
        error_models.follow(lambda _: 0.3, chance, begin=0.0, end=30 * DAY_S, test=WEAK, until_clear=True)
        for _ in range(lines)
    ]
    found = sum(bool(one.condemned) for one in seen) / lines
    assert exact.condemned > 0.005
    assert found == pytest.approx(exact.condemned, abs=4 * math.sqrt(exact.condemned / lines))
    retests = sum(one.retests for one in seen) / lines
    assert retests == pytest.approx(exact.retests, rel=0.1)


def test_the_chosen_parameters_meet_the_decision() -> None:
    result = error_models.fleet_forecast(CHOSEN, 400)
    assert result.alone + result.together.condemned + result.together.margin < 0.1
    always = error_models.bad_line_effect(BAD_LINES[0], CHOSEN, 40)
    assert always.share == 1.0
    assert always.median_s < 75 * MINUTE_S


def test_hasty_parameters_condemn_good_lines() -> None:
    hasty = error_models.fleet_forecast(SequentialTest(0.05, 0.8, 1e-4, 1e-1), 100)
    assert hasty.together.condemned - hasty.together.margin > 1


def test_a_line_that_is_bad_in_the_evenings_stays_condemned_and_a_repaired_one_is_cleared() -> None:
    evenings = error_models.bad_line_effect(BAD_LINES[1], CHOSEN, 20)
    assert (evenings.share, evenings.condemnations) == (1.0, 1.0)
    times = error_models.repair_times(CHOSEN, 20)
    assert len(times) >= 10
    assert all(12 * HOUR_S < time < 2 * DAY_S for time in times)


def test_disturbances_are_drawn_from_those_that_last_long_enough() -> None:
    chance = random.Random(2)
    drawn = [error_models.drawn_length(chance, 1.0, 2 * DISTURBED_MEDIAN_S) for _ in range(2000)]
    assert all(length >= 2 * DISTURBED_MEDIAN_S * 0.999 for length, _ in drawn)
    every = [error_models.drawn_length(chance, 1.0, 0.0) for _ in range(4000)]
    assert {share for _, share in every} == {1.0}
    assert sum(length < DISTURBED_MEDIAN_S for length, _ in every) / 4000 == pytest.approx(0.5, abs=0.04)
    longer = sum(length >= 2 * DISTURBED_MEDIAN_S for length, _ in every) / 4000
    assert longer == pytest.approx(drawn[0][1], abs=0.03)


def test_tests_fall_into_a_period_in_proportion_to_its_length() -> None:
    chance = random.Random(3)
    half = list(error_models.first_fails(FailurePeriod(0.0, HOUR_S / 2, 1.0), 4000, chance))
    assert len(half) / 4000 == pytest.approx(0.5, abs=0.04)
    assert all(0 <= at < HOUR_S / 2 for at in half)
    assert len(list(error_models.first_fails(FailurePeriod(0.0, 2 * HOUR_S, 1.0), 100, chance))) == 100


def test_two_hours_of_disturbance_condemn_and_one_hour_does_not() -> None:
    assert error_models.condemned_share(60, CHOSEN, 300) == 0.0
    assert error_models.condemned_share(120, CHOSEN, 300) > 0.5


def test_disturbances_left_out_of_the_sample_condemn_nobody() -> None:
    for test, fails in ((CHOSEN, 13), (SequentialTest(0.05, 0.8, 1e-4, 1e-1), 4)):
        longest_s = 0.92 * error_models.RETEST_S * (fails - 1)
        assert error_models.condemned_share(longest_s / MINUTE_S, test, 2000) == 0.0
        assert error_models.condemned_share(longest_s / MINUTE_S + 15, test, 2000) > 0.0


def test_a_longer_tail_of_disturbances_condemns_good_lines() -> None:
    """Check that the result depends on the assumed lengths."""
    wider = error_models.disturbance_effect(CHOSEN, 300, spread=error_models.WIDER)
    assert wider.condemned - wider.margin > 1


def test_a_good_line_followed_for_a_month_is_never_condemned() -> None:
    seen = error_models.follow(
        lambda _: error_models.FALSE_FAIL, random.Random(4), begin=0.0, end=30 * DAY_S, test=CHOSEN
    )
    assert (seen.condemned, seen.standing) == ([], Standing.CLEAR)
    assert seen.retests > 0


def test_the_program_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert condemnation.main(["--sampled", "20", "--lines", "4"]) == 0
    output = capsys.readouterr().out
    for words in ("seed 946", "chosen", "Good lines", "Bad lines", "condemned series", "A repaired line"):
        assert words in output
