"""The whole of ``agent.yaml``: common sections, and what each probe declares.

``SETTINGS`` is the type of everything in the file, ``SCHEDULE`` that of its section ``schedule``.
"""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, defstruct, field

from agent.probes import PROBES
from agent.settings import rules
from agent.settings.sections import AgentSettings, ScheduleSettings
from agent.task.declaration import Interval, ProbeDeclaration
from host.units import Seconds


def composed(probes: Mapping[str, ProbeDeclaration]) -> type[AgentSettings]:
    """Type of all settings of an agent that has these probes."""
    intervals = [_interval(name, probe.interval) for name, probe in probes.items()]
    schedule = defstruct("ProbeSchedule", intervals, bases=(ScheduleSettings,), frozen=True)
    own = {name: probe.section for name, probe in probes.items() if probe.section is not None}
    sections: dict[str, type[Struct]] = {"schedule": schedule, **own}
    fields = [(name, kind, field(default_factory=kind)) for name, kind in sections.items()]
    return defstruct("ProbeSettings", fields, bases=(AgentSettings,), frozen=True)  # type: ignore[return-value]


def _interval(name: str, interval: Interval) -> tuple[str, object, Seconds]:
    return name, Seconds | None if interval.or_never else Seconds, interval.value


SETTINGS = composed(PROBES)
SCHEDULE: type[ScheduleSettings] = SETTINGS.__annotations__["schedule"]


def load(path: Path) -> AgentSettings:
    """Read and check an agent's settings file. Raises SettingsError, one line for a person."""
    from host import settings  # brings the YAML reader, which the resident agent does without

    loaded = settings.load(path, SETTINGS)
    if problem := first_problem(loaded):
        raise settings.SettingsError(f"{path}: {problem}")
    return loaded


def first_problem(chosen: AgentSettings) -> str | None:
    """The first rule between settings that is broken, in words, or None. Never repeats a secret."""
    if problem := rules.first_problem(chosen):
        return problem
    for name, probe in PROBES.items():
        problem = probe.interval.problem(name, chosen.every_s(name)) or probe.problem(chosen)
        if problem:
            return problem
    return None
