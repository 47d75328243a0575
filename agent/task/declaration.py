"""Declaration of a probe: everything that the agent knows of it beyond the probe itself."""

from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any

from msgspec import Struct

from agent.settings.sections import AgentSettings
from agent.task.context import ProbeContext
from agent.task.task import Probe
from host.units import Seconds, parse
from wire.records import Failure, Measurement, name_of


class Interval(Struct, frozen=True):
    """Range of a probe's ``schedule`` setting, as a person writes it, and its default."""

    default: str
    least: str
    most: str
    or_never: bool = True

    @property
    def value(self) -> Seconds:
        """The default."""
        return parse(Seconds, self.default)

    def problem(self, name: str, every_s: float | None) -> str | None:
        """The broken rule in words, or None."""
        if every_s is None or parse(Seconds, self.least) <= every_s <= parse(Seconds, self.most):
            return None
        never = ", or null for never" if self.or_never else ""
        return f"schedule.{name}: out of range: {self.least} to {self.most}{never}"


class DropOrder(IntEnum):
    """Order in which a full journal drops records that the collector has not got."""

    EVERY_MINUTE = 0
    SELDOM = 1
    VERDICT = 2


class ProbeDeclaration(Struct, frozen=True):
    """One probe, under the name of its record.

    ``section`` is the type of its own section of ``agent.yaml``; sections that several rooms read are in
    :mod:`agent.settings`. ``problem`` gives the first rule between settings that is broken, in words.
    ``figures`` tells values to a person. ``remedies`` are whose fault a failure of this probe is, where that
    differs from ``agent.report.remedies``. ``drop_order`` is that of its records in a full journal.
    ``by_name_only``: ``measure`` leaves it out unless it is named.
    """

    record: type[Measurement]
    build: Callable[[ProbeContext], Probe]
    figures: Callable[[Any], str]
    interval: Interval
    drop_order: DropOrder
    section: type[Struct] | None = None
    problem: Callable[[AgentSettings], str | None] = lambda _: None
    remedies: Mapping[Failure, str] = {}
    by_name_only: bool = False

    @property
    def name(self) -> str:
        """Name in schedules, records and on the command line."""
        return name_of(self.record)
