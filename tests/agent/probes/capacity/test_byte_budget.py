"""The byte budget: what is left, when it renews, and what survives."""

import logging
from pathlib import Path

import pytest

from agent.probes.capacity.byte_budget import ByteBudget
from wire.records import ClockReading

# 2026-11-23 12:00:00 UTC
NOON_S = 1_795_435_200
DAY_S = 86_400


def at(days: float = 0, *, synchronised: bool = True) -> ClockReading:
    wall_us = round((NOON_S + days * DAY_S) * 1e6)
    return ClockReading(wall_us=wall_us, boot_us=1, boot_id="b", synchronised=synchronised)


def budget(folder: Path, day: int = 1000, month: int = 2500) -> ByteBudget:
    return ByteBudget(folder / "there" / "budget.json", day, month)


def test_a_day_and_a_month_limit_what_is_left(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    assert mine.left(at()).byte_count == 1000
    mine.book(400, at())
    assert mine.left(at()).byte_count == 600
    mine.book(700, at())
    assert mine.left(at()).byte_count == 0
    assert mine.left(at(1)).byte_count == 1000
    mine.book(1000, at(1))
    assert mine.left(at(2)).byte_count == 2500 - 2100
    assert mine.left(at(10)).byte_count == 1000


def test_what_was_booked_too_much_is_taken_back(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    mine.book(900, at())
    mine.book(-800, at())
    assert mine.left(at()).byte_count == 900
    mine.book(-5000, at())
    assert mine.left(at()).byte_count == 1000


def test_it_survives_a_restart_and_is_shared(tmp_path: Path) -> None:
    first, second = budget(tmp_path), budget(tmp_path)
    first.book(300, at())
    second.book(300, at())
    assert budget(tmp_path).left(at()).byte_count == first.left(at()).byte_count == 400
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["budget.json"]


@pytest.mark.parametrize("content", [
    b"", b"{", b"\xff\xfe", b'{"day": "tomorrow", "day_bytes": 1, "month_bytes": 1}',
    b'{"day": "2026-11-23", "day_bytes": -1, "month_bytes": 1}', b'{"day": "2026-13-01"}', b"[]",
])  # fmt: skip
def test_a_damaged_file_is_reported_and_starts_at_0(
    content: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "there" / "budget.json"
    path.parent.mkdir()
    path.write_bytes(content)
    mine = budget(tmp_path)
    with caplog.at_level(logging.WARNING):
        assert mine.left(at()).byte_count == 1000
    assert "is damaged" in caplog.text
    mine.book(10, at())
    assert budget(tmp_path).left(at()).byte_count == 990


def test_without_a_place_to_write_it_is_kept_in_memory_and_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "there").write_text("a file where a directory should be")
    mine = budget(tmp_path)
    with caplog.at_level(logging.WARNING):
        mine.book(900, at())
        assert mine.left(at()).byte_count == 100
    assert "cannot write" in caplog.text


def test_a_file_that_cannot_be_written_gives_no_bytes_back(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    mine.book(100, at())
    in_the_way = tmp_path / "there" / "budget.json.new"
    in_the_way.mkdir()
    mine.book(700, at())
    assert mine.left(at()).byte_count == 200
    in_the_way.rmdir()
    mine.book(50, at())
    assert mine.left(at()).byte_count == budget(tmp_path).left(at()).byte_count == 150


def test_an_unsynchronised_clock_that_goes_back_renews_no_budget(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    mine.book(1000, at())
    assert mine.left(at(-20_000, synchronised=False)).byte_count == 0
    mine.book(-100, at(-20_000, synchronised=False))
    assert mine.left(at()).byte_count == 100


def test_a_day_in_the_future_ends_when_the_clock_is_synchronised(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    mine.book(1000, at(3650, synchronised=False))
    assert mine.left(at()).byte_count == 1000


@pytest.mark.parametrize(("days", "spent", "renews"), [
    (0, (1000,), "2026-11-24"), (7, (1000,), "2026-12-01"), (38, (1000,), "2027-01-01"),
    (97, (1000,), "2027-03-01"),
])  # fmt: skip
def test_the_words_say_what_was_spent_and_when_it_renews(
    days: float, spent: tuple[int, ...], renews: str, tmp_path: Path
) -> None:
    mine = budget(tmp_path, 2_000_000_000, 5_000_000_000)
    for _ in spent:
        mine.book(1_500_000_000, at(days))
    assert mine.left(at(days)).words == (
        f"byte budget: 1.50 of 2.00 GB spent today, 1.50 of 5.00 GB this month; renews {renews} UTC"
    )


def test_a_spent_month_renews_with_the_next(tmp_path: Path) -> None:
    mine = budget(tmp_path)
    for day in (-2, -1, 0):
        mine.book(1000, at(day))
    assert mine.left(at()).byte_count == 0
    assert mine.left(at()).words.endswith("renews 2026-12-01 UTC")


def test_a_day_and_a_month_spent_together_renew_with_the_month(tmp_path: Path) -> None:
    mine = budget(tmp_path, 1000, 1000)
    mine.book(1000, at())
    assert mine.left(at()).words.endswith("renews 2026-12-01 UTC")
