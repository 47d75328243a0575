"""Outages and events upstream in words: where, how many, from when to when, for how long."""

from collections.abc import Mapping
from datetime import UTC, datetime

from collector.incidents.correlation import Incident, Level
from collector.model.outages import Outage

SECOND = "%Y-%m-%d %H:%M:%S UTC"
MINUTE = "%Y-%m-%d %H:%M UTC"


class IncidentTexts:
    """Tells them in the language whose catalogue ``words`` is. Times are Unix microseconds."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def frame(self, now_us: int) -> dict[str, object]:
        """What templates call, as of ``now_us``."""
        return {
            "minute": lambda time_us: minute(time_us, now_us),
            "second": lambda time_us: moment(time_us, SECOND),
            "lasted": self.lasted,
            "where": self.where,
            "extent": lambda event: self.extent(event, now_us),
            "outage_told": lambda outage: self.outage(outage, now_us),
        }

    def where(self, event: Incident) -> str:
        """What the sites of an event share."""
        return self._words[f"level.{event.level}"].format(event.place)

    def extent(self, event: Incident, now_us: int) -> str:
        """How many sites, and from when to when."""
        kind = "over"
        if event.end_us is None:
            away = event.away
            kind = "away" if len(away) == len(event.sites) else "some-back"
            if event.level is Level.PEER and all(each.unanswered for each in event.absences):
                kind = "unanswered"
        return self._words[f"event.{kind}"].format(
            sites=len(event.sites),
            away=len(event.away),
            begin=minute(event.begin_us, now_us),
            end=minute(event.end_us or now_us, now_us),
        )

    def outage(self, outage: Outage, now_us: int) -> str:
        """From when to when, and whose it was."""
        end_us = outage.end_us
        kind = "open" if end_us is None else "over" if outage.dated else "undated"
        return self._words[f"outage.{kind}"].format(
            begin=minute(outage.begin_us, now_us),
            end=minute(end_us or now_us, now_us),
            cause=self._words[f"cause.{outage.cause}"],
        )

    def lasted(self, lasted_us: int) -> str:
        """In its greatest unit, and what is left in the next."""
        seconds = lasted_us // 1_000_000
        units = ((self._words["unit.day"], 86_400), ("h", 3_600), ("min", 60), ("s", 1))
        first = next((place for place, (_, size) in enumerate(units) if seconds >= size), len(units) - 1)
        parts = []
        for unit, size in units[first : first + 2]:
            parts.append((seconds // size, unit))
            seconds %= size
        return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def moment(time_us: int, form: str) -> str:
    """A time in UTC; one that no calendar holds (a clock may claim any) as its number."""
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(time_us)


def minute(time_us: int, now_us: int) -> str:
    """A time to the minute; within today without the day."""
    same_day = moment(time_us, "%Y-%m-%d") == moment(now_us, "%Y-%m-%d")
    return moment(time_us, "%H:%M UTC" if same_day else MINUTE)
