import io
import logging

import pytest

from host import log
from host.log import MINUTE_S, SAME_LINES_A_MINUTE, SameLines


@pytest.fixture
def now() -> list[float]:
    return [0.0]


@pytest.fixture
def logged(now: list[float]) -> tuple[logging.Logger, io.StringIO]:
    stream, logger = io.StringIO(), logging.Logger("tested")
    handler = logging.StreamHandler(stream)
    handler.addFilter(SameLines(lambda: now[0]))
    logger.addHandler(handler)
    return logger, stream


def flood(logger: logging.Logger, lines: int) -> None:
    for number in range(lines):
        logger.error("socket.accept() out of system resource\nsocket %d", number)


def test_a_flood_of_one_line_is_cut_and_counted(
    logged: tuple[logging.Logger, io.StringIO], now: list[float]
) -> None:
    logger, stream = logged
    flood(logger, 10_000)
    logger.error("another line")
    assert stream.getvalue().count("accept") == SAME_LINES_A_MINUTE
    assert stream.getvalue().endswith("another line\n")
    now[0] += MINUTE_S
    flood(logger, 1)
    assert stream.getvalue().endswith(f"({10_000 - SAME_LINES_A_MINUTE} lines like this one were left out)\n")


def test_places_that_are_counted_are_bounded(
    logged: tuple[logging.Logger, io.StringIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "PLACES", 3)
    logger, stream = logged
    for number in range(100):
        logger.error(f"text {number}")
    assert stream.getvalue().count("text") == 100
    filters = [one for handler in logger.handlers for one in handler.filters]
    assert [len(vars(one)["_places"]) for one in filters] == [3]
