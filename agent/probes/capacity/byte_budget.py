"""Byte budget of the searches for the capacity: bytes a day and a month, of both directions together.

Days and months are UTC. The spent bytes are in a small file, written atomically and durably: neither a
restart nor a power cut gives them back. While the file cannot be written they are kept in memory. A search is
booked at its worst case before it begins, and corrected after it: one that was cut off stays booked.

A wall clock that is not synchronised may be far in the past. It does not renew the budget; only a later day
does.
"""

import logging
import time
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from host import atomic_write
from wire.records import ClockReading

log = logging.getLogger(__name__)

Day = Annotated[str, Meta(pattern=r"\A[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])\Z")]
Count = Annotated[int, Meta(ge=0, le=2**53)]


class BudgetSpent(Struct, frozen=True, forbid_unknown_fields=True):
    """Content of the file: the day (2026-11-23), and the bytes spent in it and in its month."""

    day: Day
    day_bytes: Count
    month_bytes: Count

    @property
    def month(self) -> str:
        """Year and month of the day."""
        return self.day[:7]


class BudgetLeft(Struct, frozen=True):
    """Bytes that may still be spent, and a sentence about the budget with the time of its renewal."""

    byte_count: int
    words: str


class ByteBudget:
    """Budget in the file ``path``; limits are bytes."""

    def __init__(self, path: Path, day_limit: int, month_limit: int) -> None:
        self._path = path
        self._day_limit, self._month_limit = day_limit, month_limit
        self._kept: BudgetSpent | None = None
        self._written = True

    @property
    def is_recorded(self) -> bool:
        """False while the spent bytes are in memory alone, because the file cannot be written."""
        return self._written

    def left(self, now: ClockReading) -> BudgetLeft:
        """Bytes that may be spent now. Never raises."""
        spent = self._spent(now)
        day_left = self._day_limit - spent.day_bytes
        month_left = self._month_limit - spent.month_bytes
        of_month = month_left <= day_left
        renews = _next_month(spent.day) if of_month else _next_day(spent.day)
        words = (
            f"byte budget: {_gigabytes(spent.day_bytes, self._day_limit)} GB spent today, "
            f"{_gigabytes(spent.month_bytes, self._month_limit)} GB this month; renews {renews} UTC"
        )
        return BudgetLeft(max(min(day_left, month_left), 0), words)

    def book(self, byte_count: int, now: ClockReading) -> None:
        """Add bytes to the spent ones; a negative number corrects a booking. Never raises."""
        spent = self._spent(now)
        self._keep(
            BudgetSpent(
                spent.day, max(spent.day_bytes + byte_count, 0), max(spent.month_bytes + byte_count, 0)
            )
        )

    def _spent(self, now: ClockReading) -> BudgetSpent:
        stored, today = self._read(), _day(now.wall_us)
        # A clock at 1970 must not renew a budget; one that is set right later does.
        if stored is None or stored.day == today or (stored.day > today and not now.synchronised):
            return stored or BudgetSpent(today, 0, 0)
        month_bytes = stored.month_bytes if stored.month == today[:7] else 0
        return BudgetSpent(today, 0, month_bytes)

    def _read(self) -> BudgetSpent | None:
        if not self._written:  # the file has less than was spent
            return self._kept
        try:
            return msgspec.json.decode(self._path.read_bytes(), type=BudgetSpent)
        except FileNotFoundError:
            return self._kept
        except OSError as error:
            log.warning("cannot read %s (%s): byte budget kept in memory", self._path, error.strerror)
        except (msgspec.DecodeError, UnicodeDecodeError):
            log.warning("%s is damaged: the spent bytes are not known, byte budget begins at 0", self._path)
        return self._kept

    def _keep(self, spent: BudgetSpent) -> None:
        self._kept, self._written = spent, False
        try:
            atomic_write.replace(self._path, msgspec.json.encode(spent), durably=True)
            self._written = True
        except OSError as error:
            log.warning("cannot write %s (%s): byte budget kept in memory", self._path, error.strerror)


def _gigabytes(spent: int, limit: int) -> str:
    return f"{spent / 1e9:.2f} of {limit / 1e9:.2f}"


def _day(wall_us: int) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(wall_us // 1_000_000))


def _next_day(day: str) -> str:
    from calendar import monthrange  # seldom needed: kept out of the agent's memory

    year, month, number = (int(part) for part in day.split("-"))
    return f"{day[:8]}{number + 1:02}" if number < monthrange(year, month)[1] else _next_month(day)


def _next_month(day: str) -> str:
    year, month = int(day[:4]), int(day[5:7])
    return f"{year + month // 12:04}-{month % 12 + 1:02}-01"
