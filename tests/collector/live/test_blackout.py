import pytest

from collector.live.blackout import GRACE_US, MAX_BLACKOUTS, Blackouts

MINUTE_US = 60_000_000


def blackouts(*periods: tuple[int, int | None]) -> Blackouts:
    made = Blackouts()
    for begin, end in periods:
        made.begin(begin * MINUTE_US)
        if end is not None:
            made.end(end * MINUTE_US)
    return made


GRACE = GRACE_US // MINUTE_US


@pytest.mark.parametrize(
    ("periods", "due", "expected"),
    [
        ([], 10, 10),
        ([(10, 20)], 9, 9),  # due before the blackout
        ([(10, 20)], 10, 10),
        ([(10, 20)], 11, 20 + GRACE),
        ([(10, 20)], 22, 20 + GRACE),  # due in the grace period
        ([(10, 20)], 40, 40),
        ([(10, None)], 9, 9),
        ([(10, None)], 11, None),
        ([(10, 20), (22, None)], 15, None),
        ([(10, 20), (40, None)], 15, 20 + GRACE),  # its grace period ended before the next blackout
        ([(10, 20), (22, 30)], 15, 30 + GRACE),
        ([(10, 20), (40, 50)], 45, 50 + GRACE),
    ],
)
def test_deadline_of_a_measurement(
    periods: list[tuple[int, int | None]], due: int, expected: int | None
) -> None:
    deadline_us = blackouts(*periods).deadline_us(due * MINUTE_US)
    assert deadline_us == (None if expected is None else expected * MINUTE_US)


def test_a_broker_that_flaps_without_a_message_makes_one_blackout() -> None:
    made = blackouts((10, 20), (10, 30), (10, None))
    assert (made.is_open, made.deadline_us(9 * MINUTE_US)) == (True, 9 * MINUTE_US)
    made.end(40 * MINUTE_US)
    assert (made.is_open, made.deadline_us(11 * MINUTE_US)) == (False, (40 + GRACE) * MINUTE_US)


def test_a_second_begin_or_end_changes_nothing() -> None:
    made = blackouts((10, None))
    made.begin(15 * MINUTE_US)
    made.end(20 * MINUTE_US)
    made.end(30 * MINUTE_US)
    assert made.deadline_us(11 * MINUTE_US) == (20 + GRACE) * MINUTE_US


def test_the_number_of_blackouts_is_bounded() -> None:
    made = blackouts(*((10 * number, 10 * number + 5) for number in range(MAX_BLACKOUTS + 9)))
    assert made.deadline_us(1 * MINUTE_US) == 1 * MINUTE_US
    assert made.deadline_us(10 * (MAX_BLACKOUTS + 8) * MINUTE_US + 1) is not None
