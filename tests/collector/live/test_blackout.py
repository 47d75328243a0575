import pytest

from collector.live.blackout import GRACE_US, MAX_SPELLS, Blackouts

MINUTE_US = 60_000_000


def heard(*spells: tuple[int, int | None]) -> Blackouts:
    made = Blackouts()
    for begin, end in spells:
        made.lose(begin * MINUTE_US)
        if end is not None:
            made.regain(end * MINUTE_US)
    return made


GRACE = GRACE_US // MINUTE_US


@pytest.mark.parametrize(
    ("spells", "due", "expected"),
    [
        ([], 10, 10),
        ([(10, 20)], 9, 9),  # missed with ears open
        ([(10, 20)], 10, 10),
        ([(10, 20)], 11, 20 + GRACE),
        ([(10, 20)], 22, 20 + GRACE),  # its backlog may still be on the way
        ([(10, 20)], 40, 40),
        ([(10, None)], 9, 9),
        ([(10, None)], 11, None),
        ([(10, 20), (22, None)], 15, None),
        ([(10, 20), (40, None)], 15, 20 + GRACE),  # it had its time, and was still missing
        ([(10, 20), (22, 30)], 15, 30 + GRACE),
        ([(10, 20), (40, 50)], 45, 50 + GRACE),
    ],
)
def test_until_when_a_site_is_waited_for(
    spells: list[tuple[int, int | None]], due: int, expected: int | None
) -> None:
    until_us = heard(*spells).waited_until(due * MINUTE_US)
    assert until_us == (None if expected is None else expected * MINUTE_US)


def test_a_broker_that_comes_and_goes_without_a_word_makes_one_spell() -> None:
    made = heard((10, 20), (10, 30), (10, None))
    assert (made.deaf, made.waited_until(9 * MINUTE_US)) == (True, 9 * MINUTE_US)
    made.regain(40 * MINUTE_US)
    assert (made.deaf, made.waited_until(11 * MINUTE_US)) == (False, (40 + GRACE) * MINUTE_US)


def test_losing_twice_and_regaining_twice_change_nothing() -> None:
    made = heard((10, None))
    made.lose(15 * MINUTE_US)
    made.regain(20 * MINUTE_US)
    made.regain(30 * MINUTE_US)
    assert made.waited_until(11 * MINUTE_US) == (20 + GRACE) * MINUTE_US


def test_what_is_remembered_is_bounded() -> None:
    made = heard(*((10 * number, 10 * number + 5) for number in range(MAX_SPELLS + 9)))
    assert made.waited_until(1 * MINUTE_US) == 1 * MINUTE_US
    assert made.waited_until(10 * (MAX_SPELLS + 8) * MINUTE_US + 1) is not None
