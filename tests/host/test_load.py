import pytest

from host import load

LINE = b"cpu  100 5 20 800 50 3 2 20 30 7\n"


def test_busy_and_all_time_of_all_cores() -> None:
    assert load.parse(LINE) == (150, 1000)  # steal is busy; guest time is in user time already


@pytest.mark.parametrize("line", [b"", b"cpu0 1 2 3 4 5\n", b"cpu 1 2 3\n", b"cpu 1 2 x 4 5\n", b"intr 1\n"])
def test_lines_without_a_load(line: bytes) -> None:
    assert load.parse(line) is None


@pytest.mark.parametrize(("before", "after", "ratio"), [
    ((100, 1000), (150, 1200), 0.25), ((100, 1000), (100, 1200), 0.0), ((100, 1000), (300, 1200), 1.0),
    ((100, 1000), (100, 1000), None), ((100, 1000), (90, 1200), None), (None, (100, 1000), None),
    ((100, 1000), None, None),
])  # fmt: skip
def test_the_share_between_two_readings(
    before: tuple[int, int] | None, after: tuple[int, int] | None, ratio: float | None
) -> None:
    assert load.between(before, after).busy_ratio == ratio


def test_this_machine_is_busy_during_a_busy_loop() -> None:
    before = load.read()
    while (after := load.read()) is None or after[1] < before[1] + 5:
        sum(range(1000))
    told = load.between(before, after)
    assert told.busy_ratio > 0
    assert told.load_1min is not None
