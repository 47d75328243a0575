"""Steps of the collector's own wall clock, and the offset that arrivals are dated by. Pure.

The time of an arrival is CLOCK_BOOTTIME plus an *offset*, UTC less CLOCK_BOOTTIME. The wall clock gives the
offset, but the wall clock may be set wrong and right again. CLOCK_BOOTTIME never steps. An *era* is all the
time of one boot in which the wall clock had one offset, in one piece or in several.

| event of a look                             | the era that the wall clock is in               |
|---------------------------------------------|-------------------------------------------------|
| offset as at the last look, or slewed       | the same; it follows the offset                 |
| offset of another known era, within 2 s     | that era goes on                                |
| any other offset                            | a new era begins                                |

One era of a boot *dates* all arrivals. It is the first one, until another one outweighs it:

| the dating era            | the wall clock's era      | the wall clock's era dates from then on          |
|---------------------------|---------------------------|--------------------------------------------------|
| was never synchronised    | was once synchronised     | at once                                          |
| was once synchronised     | was never synchronised    | never                                            |
| both were, or neither was |                           | when it lasted longer, or for a day              |

So a clock that is wrong for a while in mid-run dates nothing. A clock that was wrong at the first look dates
what comes until the right one outweighs it. The ledger then dates those arrivals again.

What must never happen:

- a step changes the time of an arrival before its era outweighs the dating one;
- two eras of one boot date arrivals in the ledger, apart from those whose re-dating is under way.
"""

from msgspec import Struct
from msgspec.structs import replace

from wire.records import ClockReading

# Daemons slew by 8 % at most, 80 ms from look to look; a leap second is followed, too.
STEP_US = 2_000_000
"""Least change of the offset between two looks that is a step."""

DRIFT = 10_000  # one part in this: how far an offset may have moved while the wall clock was elsewhere
CONVINCING_US = 86_400_000_000
"""Time after which an era outweighs another one of the same synchronisation, however long that one lasted."""

MAX_ERAS = 16  # a clock that steps every second must fill neither memory nor ledger


class Era(Struct, frozen=True):
    """Era of the wall clock. ``left_us`` is CLOCK_BOOTTIME when the wall clock last had its offset."""

    offset_us: int
    lasted_us: int
    left_us: int
    synchronised: bool


class ArrivalClock(Struct, frozen=True):
    """Eras of one boot of the collector's machine; ``present`` and ``dating`` are places in ``eras``."""

    boot_id: str
    eras: tuple[Era, ...]
    present: int
    dating: int

    @property
    def offset_us(self) -> int:
        """UTC less CLOCK_BOOTTIME, as arrivals are dated by."""
        return self.eras[self.dating].offset_us

    @property
    def off_us(self) -> int:
        """Wall clock less the time that arrivals are dated by; 0 unless the clock has stepped."""
        return self.eras[self.present].offset_us - self.offset_us


def begin(reading: ClockReading, known: ArrivalClock | None = None) -> ArrivalClock:
    """Clock at the first look of a process; ``known`` is what the ledger has of the last one."""
    if known is None or known.boot_id != reading.boot_id:
        return ArrivalClock(reading.boot_id, (_era(reading),), 0, 0)
    return _outweighed(_moved(known, reading, 0))


def look(clock: ArrivalClock, reading: ClockReading) -> ArrivalClock:
    """Clock after a further look at wall clock and CLOCK_BOOTTIME in the same boot."""
    era = clock.eras[clock.present]
    return _outweighed(_moved(clock, reading, max(0, reading.boot_us - era.left_us)))


def _moved(clock: ArrivalClock, reading: ClockReading, since_us: int) -> ArrivalClock:
    """Clock with its present era prolonged by ``since_us``, or in another era."""
    known = clock.eras[clock.present]
    if abs(_offset_us(reading) - known.offset_us) < STEP_US:
        return _with(clock, clock.present, _prolonged(known, reading, since_us))
    for place, era in enumerate(clock.eras):
        if place != clock.present and _is_of(era, reading):
            return _with(clock, place, _prolonged(era, reading, 0))
    return _with_another(clock, reading)


def _with(clock: ArrivalClock, place: int, era: Era) -> ArrivalClock:
    eras = (*clock.eras[:place], era, *clock.eras[place + 1 :])
    return replace(clock, eras=eras, present=place)


def _with_another(clock: ArrivalClock, reading: ClockReading) -> ArrivalClock:
    """Clock in a new era; of too many eras the shortest one is forgotten, never the dating one."""
    eras, dating = list(clock.eras), clock.dating
    if len(eras) >= MAX_ERAS:
        least = min(
            (place for place in range(len(eras)) if place != dating),
            key=lambda place: (eras[place].synchronised, eras[place].lasted_us),
        )
        del eras[least]
        dating -= least < dating
    return ArrivalClock(clock.boot_id, (*eras, _era(reading)), len(eras), dating)


def _outweighed(clock: ArrivalClock) -> ArrivalClock:
    """Clock with the present era as the dating one, if it outweighs that."""
    new, known = clock.eras[clock.present], clock.eras[clock.dating]
    if new.synchronised == known.synchronised:
        outweighs = new.lasted_us > min(known.lasted_us, CONVINCING_US)
    else:
        outweighs = new.synchronised
    return replace(clock, dating=clock.present) if outweighs else clock


def _is_of(era: Era, reading: ClockReading) -> bool:
    away_us = max(0, reading.boot_us - era.left_us)
    return abs(_offset_us(reading) - era.offset_us) < STEP_US + away_us // DRIFT


def _prolonged(era: Era, reading: ClockReading, since_us: int) -> Era:
    synchronised = era.synchronised or reading.synchronised
    return Era(_offset_us(reading), era.lasted_us + since_us, reading.boot_us, synchronised)


def _era(reading: ClockReading) -> Era:
    return Era(_offset_us(reading), 0, reading.boot_us, reading.synchronised)


def _offset_us(reading: ClockReading) -> int:
    return reading.wall_us - reading.boot_us
