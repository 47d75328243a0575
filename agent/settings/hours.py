"""Hours of the week, local time: ``01:00-05:00``, ``Mon-Fri 07:00-19:00``, several separated by ``;``. Pure.

A moment is a second of the local week, with Monday 00:00 as 0: no clock or time zone is needed here. Hours
over midnight (``Fri 22:00-06:00``) belong to the day on which they begin. ``always`` and ``never`` are hours,
too.
"""

from msgspec import Struct

DAY_S = 86_400
WEEK_S = 7 * DAY_S
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_HELP = "write 07:00-19:00 or Mon-Fri 07:00-19:00, several separated by ;"


class HoursError(ValueError):
    """Error for hours that cannot be read; the message is for the person who wrote them."""


class Hours(Struct, frozen=True):
    """Hours of each week, as sorted spans of seconds of the week that do not touch."""

    spans: tuple[tuple[int, int], ...]

    def contains(self, second: int) -> bool:
        """True if ``second`` of the local week is within these hours."""
        return any(begin <= second < end for begin, end in self.spans)

    def until_begin_s(self, second: int) -> int | None:
        """Seconds from ``second`` until these hours begin: 0 within them, None if they never begin."""
        if self.contains(second):
            return 0
        return min(((begin - second) % WEEK_S for begin, _ in self.spans), default=None)

    def left_s(self, second: int) -> int:
        """Seconds from ``second`` until these hours end, a week if they never end; 0 outside them."""
        end = next((end for begin, end in self.spans if begin <= second < end), second)
        if end == WEEK_S and self.spans[0][0] == 0:  # they continue on Monday
            return min(WEEK_S, end - second + self.spans[0][1])
        return end - second

    def without(self, others: "Hours") -> "Hours":
        """These hours minus ``others``."""
        spans = self.spans
        for begin, end in others.spans:
            cut = [((first, min(last, begin)), (max(first, end), last)) for first, last in spans]
            spans = tuple(part for parts in cut for part in parts if part[0] < part[1])
        return Hours(spans)


ALWAYS = Hours(((0, WEEK_S),))
NEVER = Hours(())


def parse(text: str) -> Hours:
    """Hours as a person writes them. Raises HoursError, saying what is wrong and what to write."""
    words = {"always": ALWAYS, "never": NEVER}
    if text.strip().lower() in words:
        return words[text.strip().lower()]
    spans: list[tuple[int, int]] = []
    for part in text.split(";"):
        spans += _spans(part.strip())
    return Hours(_merged(spans))


def problem(text: str) -> str | None:
    """Fault of hours as a person wrote them, None if they can be read."""
    try:
        parse(text)
    except HoursError as error:
        return str(error)
    return None


def _spans(text: str) -> list[tuple[int, int]]:
    # Spaces around the hyphen are allowed, but the last space separates the days from the times.
    days, _, times = " ".join(text.split()).replace(" -", "-").replace("- ", "-").rpartition(" ")
    first, _, last = times.partition("-")
    if not first or not last:
        raise HoursError(f"{text!r}: not hours: {_HELP}")
    begin, end = _second(first, DAY_S - 1), _second(last, DAY_S)
    if begin == end:
        raise HoursError(f"{text!r}: the begin is the end: for the whole day write 00:00-24:00")
    # Hours over midnight have their end before their begin; 00:00-24:00 is a whole day.
    length = (end - begin) % DAY_S or DAY_S
    week: list[tuple[int, int]] = []
    for day in _days(days):
        at = day * DAY_S + begin
        week.append((at, min(at + length, WEEK_S)))
        if at + length > WEEK_S:  # Sunday night ends on Monday
            week.append((0, at + length - WEEK_S))
    return week


def _second(text: str, latest: int) -> int:
    hour, _, minute = text.partition(":")
    if hour.isdecimal() and minute.isdecimal() and len(hour) <= 2 and len(minute) == 2 and int(minute) < 60:
        second = (int(hour) * 60 + int(minute)) * 60
        if second <= latest:
            return second
    raise HoursError(f"{text!r}: not a time of day: {_HELP}")


def _days(text: str) -> set[int]:
    if not text:
        return set(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.partition("-")
        begin = _day(first)
        end = _day(last) if last else begin
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return found


def _day(text: str) -> int:
    name = text.strip().lower()
    if name not in _DAYS:
        raise HoursError(f"{text.strip()!r}: not a day: write Mon, Tue, Wed, Thu, Fri, Sat or Sun")
    return _DAYS.index(name)


def _merged(spans: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return tuple(merged)
