"""Texts of outages and incidents: place, number of sites, begin, end and duration."""

from collections.abc import Mapping
from datetime import UTC, datetime

from collector.incidents.correlation import Incident, Level
from collector.model.outages import Outage

# ISO 8601 dates read the same in both languages.
SECOND = "%Y-%m-%d %H:%M:%S UTC"
MINUTE = "%Y-%m-%d %H:%M UTC"


class IncidentTexts:
    """Texts in the language of the catalogue ``words``. Times are Unix microseconds."""

    def __init__(self, words: Mapping[str, str]) -> None:
        self._words = words

    def frame(self, now_us: int) -> dict[str, object]:
        """Functions that templates call, as of ``now_us``."""
        return {
            "minute": lambda time_us: minute(time_us, now_us),
            "second": lambda time_us: moment(time_us, SECOND),
            "lasted": self.lasted,
            "where": self.where,
            "extent": lambda incident: self.extent(incident, now_us),
            "outage_text": lambda outage: self.outage(outage, now_us),
        }

    def where(self, incident: Incident) -> str:
        """Place that the sites of an incident share."""
        return self._words[f"level.{incident.level}"].format(incident.place)

    def extent(self, incident: Incident, now_us: int) -> str:
        """Number of sites, and the time from begin to end."""
        kind = "over"
        if incident.end_us is None:
            kind = "all-open" if len(incident.open_sites) == len(incident.sites) else "some-open"
            if incident.level is Level.PEER and all(each.unanswered for each in incident.outages):
                kind = "unanswered"
        return self._words[f"incident.{kind}"].format(
            sites=len(incident.sites),
            still=len(incident.open_sites),
            begin=minute(incident.begin_us, now_us),
            end=minute(incident.end_us or now_us, now_us),
        )

    def outage(self, outage: Outage, now_us: int) -> str:
        """Begin, end and cause of an outage."""
        end_us = outage.end_us
        kind = "open" if end_us is None else "over" if outage.dated else "undated"
        return self._words[f"outage.{kind}"].format(
            begin=minute(outage.begin_us, now_us),
            end=minute(end_us or now_us, now_us),
            cause=self._words[f"cause.{outage.cause}"],
        )

    def lasted(self, lasted_us: int) -> str:
        """Duration in its largest unit, and the rest in the next smaller one."""
        seconds = lasted_us // 1_000_000
        # Only the unit of a day differs between the languages.
        units = ((self._words["unit.day"], 86_400), ("h", 3_600), ("min", 60), ("s", 1))
        first = next((place for place, (_, size) in enumerate(units) if seconds >= size), len(units) - 1)
        parts = []
        for unit, size in units[first : first + 2]:
            parts.append((seconds // size, unit))
            seconds %= size
        return " ".join(f"{count} {unit}" for count, unit in parts if count) or "0 s"


def moment(time_us: int, form: str) -> str:
    """Time in UTC. A time beyond every calendar, as a wrong clock may claim, stays a number."""
    try:
        return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime(form)
    except (ValueError, OverflowError, OSError):
        return str(time_us)


def minute(time_us: int, now_us: int) -> str:
    """Time to the minute; a time of today has no date."""
    same_day = moment(time_us, "%Y-%m-%d") == moment(now_us, "%Y-%m-%d")
    return moment(time_us, "%H:%M UTC" if same_day else MINUTE)
