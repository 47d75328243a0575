"""Rows that travel apart from their neighbours, because a batch with all of them was rejected whole."""

import random
from collections.abc import Iterable, Sequence
from enum import Enum

from outbox.rows import Row

DAY_S = 86_400.0
ALONE_A_DAY = 100
# Rejected alone with nothing accepted in between: the collector rejects everything.
REJECTED_IN_A_ROW = 3
MOST_PARTS = 1000

# Rows that may share a batch, without their records.
Part = tuple[Row, ...]


class Alone(Enum):
    """State of sending rows alone.

    state      event                              next state
    ---------  ---------------------------------  ----------
    OPEN       three rejected alone in a row      REJECTED
    OPEN       the hundredth row of the day sent  USED_UP
    REJECTED   any record accepted, or a new day  OPEN
    USED_UP    a new day                          OPEN
    """

    OPEN = "open"
    REJECTED = "the collector rejects everything"
    USED_UP = "the day's share is used up"


class Apart:
    """Parts that wait for their turn. ``next_day``: when rejected rows are released."""

    def __init__(self, now: float) -> None:
        self.next_day = now
        self._parts: list[Part] = []
        self._left = ALONE_A_DAY
        self._in_a_row = 0

    @property
    def alone(self) -> Alone:
        """State of sending rows alone, now."""
        if self._in_a_row >= REJECTED_IN_A_ROW:
            return Alone.REJECTED
        return Alone.OPEN if self._left > 0 else Alone.USED_UP

    @property
    def positions(self) -> frozenset[int]:
        """The rows that travel apart."""
        return frozenset(row.position for part in self._parts for row in part)

    @property
    def has_next(self) -> bool:
        """True if a part may be sent now."""
        return bool(self._sendable())

    def begin_day(self, now: float) -> bool:
        """True if a new day begins now; rows may be sent alone again."""
        if now < self.next_day:
            return False
        self.next_day = now + DAY_S
        self._left, self._in_a_row = ALONE_A_DAY, 0
        return True

    def halve(self, rows: Sequence[Row]) -> None:
        """Send these in two halves."""
        middle = len(rows) // 2
        self.done(row.position for row in rows)
        self._parts += [tuple(rows[:middle]), tuple(rows[middle:])]

    def separate(self, rows: Sequence[Row]) -> bool:
        """Send each of these alone; False where that is not possible now."""
        self.done(row.position for row in rows)
        if self.alone is not Alone.OPEN or len(self._parts) + len(rows) > MOST_PARTS:
            return False
        self._parts += [(row,) for row in rows]
        return True

    def next_part(self, chance: random.Random) -> Part:
        """The part to send now. Drawn, so that many bad rows cannot keep the same good ones waiting.

        Only while there is one (``has_next``).
        """
        return chance.choice(self._sendable())

    def sent(self, rows: Sequence[Row]) -> None:
        """This part is about to be sent."""
        self._left -= len(rows) == 1

    def done(self, positions: Iterable[int]) -> None:
        """A receipt spoke of these, or the journal no longer has them."""
        over = set(positions)
        left = (tuple(row for row in part if row.position not in over) for part in self._parts)
        self._parts = [part for part in left if part]

    def accepted(self) -> None:
        """The collector accepted a record: it does not reject everything."""
        self._in_a_row = 0

    def rejected_alone(self) -> None:
        """A row was rejected though nothing else was in its batch."""
        self._in_a_row += 1

    def give_up(self) -> list[Row]:
        """The rows that are not sent alone before the next day; they are no longer apart."""
        if self.alone is Alone.OPEN:
            return []
        over = [part[0] for part in self._parts if len(part) == 1]
        self.done(row.position for row in over)
        return over

    def forget(self) -> None:
        """Nothing is apart."""
        self._parts.clear()

    def _sendable(self) -> list[Part]:
        return [part for part in self._parts if len(part) > 1 or self.alone is Alone.OPEN]
