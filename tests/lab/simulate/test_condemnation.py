import math
import random

import pytest

from agent.probes.floor.rules.sequential_test import CHOSEN, SequentialTest
from lab.simulate import condemnation, error_models
from lab.simulate.error_models import BAD_LINES, DAY_S, HOUR_S, MINUTE_S

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


def test_a_line_that_is_bad_in_the_evenings_stays_condemned_and_a_repaired_one_is_cleared() -> None:
    evenings = error_models.bad_line_effect(BAD_LINES[1], CHOSEN, 20)
    assert (evenings.share, evenings.condemnations) == (1.0, 1.0)
    times = error_models.repair_times(CHOSEN, 20)
    assert len(times) >= 10
    assert all(12 * HOUR_S < time < 2 * DAY_S for time in times)


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


def test_the_program_prints_its_tables(capsys: pytest.CaptureFixture[str]) -> None:
    assert condemnation.main(["--sampled", "20", "--lines", "4"]) == 0
    output = capsys.readouterr().out
    for words in ("seed 946", "chosen", "Good lines", "Bad lines", "condemned series", "A repaired line"):
        assert words in output
