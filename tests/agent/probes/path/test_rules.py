"""Changes of a path that the detector reports."""

import itertools

import pytest

from agent.probes.path.rules import ChangeDetector

MINUTE_US = 60_000_000


def changes(trains: list[tuple[int | None, float]], every_us: int = MINUTE_US) -> list[tuple[int, str]]:
    """Numbers, from 0, of the trains at which the detector reported a change."""
    detector = ChangeDetector()
    answers = [detector.take(rtt, loss, place * every_us) for place, (rtt, loss) in enumerate(trains)]
    return [(place, words) for place, words in enumerate(answers) if words]


def rtts(*values_ms: float) -> list[tuple[int | None, float]]:
    return [(round(value * 1000), 0.0) for value in values_ms]


STEADY = [20.0] * 6


@pytest.mark.parametrize(("values", "expected"), [
    ([20.0, 21.0, 22.5, 19.0] * 20, []),
    ([*STEADY, 40, 41, 42], [(8, "round-trip time went from 20.0 to 41.0 ms")]),
    ([*[40.0] * 5, 20, 20, 20], [(7, "round-trip time went from 40.0 to 20.0 ms")]),
    ([*STEADY, 40, 40, 20, 40, 40], []),
    ([*STEADY, 24.9, 24.9, 24.9, 24.9], []),
    ([*[100.0] * 6, 119, 119, 119, 119], []),
    ([*STEADY, 40, 1, 40, 1, 40, 1], []),
    ([20.0, 20.0, 40.0, 40.0], []),
    (
        [*STEADY, *[40.0] * 100, *[20.0] * 4],
        [
            (8, "round-trip time went from 20.0 to 40.0 ms"),
            (108, "round-trip time went from 40.0 to 20.0 ms"),
        ],
    ),
], ids=[
    "steady", "three off the level", "a shorter way", "not in a row", "within 5 ms", "within 20 %",
    "to both sides", "no level yet", "the new level holds",
])  # fmt: skip
def test_changes_of_round_trip_time(values: list[float], expected: list[tuple[int, str]]) -> None:
    assert changes(rtts(*values)) == expected


def test_at_most_one_an_hour() -> None:
    flapping = rtts(*STEADY, *([40.0] * 4 + [20.0] * 4) * 16)
    found = [place for place, _ in changes(flapping)]
    assert len(found) == 3
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(found))


def test_a_second_change_within_an_hour_is_reported_at_its_end() -> None:
    """A lasting change is traced later; a line that flaps is traced once an hour."""
    changed = rtts(*STEADY, *[40.0] * 10, *[80.0] * 100)
    assert changes(changed) == [
        (8, "round-trip time went from 20.0 to 40.0 ms"),
        (68, "round-trip time went from 40.0 to 80.0 ms"),
    ]


def losses(*values: float) -> list[tuple[int | None, float]]:
    return [(20_000, value) for value in values]


FIVE = "loss went from below 1% to 5%"


@pytest.mark.parametrize(("trains", "expected"), [
    (losses(0, 0, 0, 0.05, 0.05, 0.1), [(5, "loss went from below 1% to 10%")]),
    (losses(*[0] * 3, *[0.05] * 60, *[0] * 3, *[0.05] * 3), [(5, FIVE), (68, FIVE)]),
    ([*rtts(*STEADY), *[(None, 1.0)] * 3], [(8, "loss went from below 1% to 100%")]),
    (losses(0.05, 0.05, 0.05, 0.05), []),
    (losses(0, 0, 0, 0.05, 0, 0.05, 0.05, 0), []),
    (losses(0, 0, 0, 0.01, 0.01, 0.01), []),
    (losses(0.05, 0.05, 0.05, 0, 0, 0.05, 0.05, 0.05), []),
], ids=[
    "after none", "ended and begun again", "a line gone dead", "from the beginning", "not in a row",
    "1 % itself", "never long enough without",
])  # fmt: skip
def test_changes_of_loss(trains: list[tuple[int | None, float]], expected: list[tuple[int, str]]) -> None:
    assert changes(trains) == expected
