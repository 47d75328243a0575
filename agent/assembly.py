"""Puts probes together from settings, for every command that measures."""

from collections.abc import Callable, Mapping

from agent.line_counters import source_of
from agent.probes import PROBES
from agent.probes.base import Probe, Surroundings, Task
from agent.settings import AgentSettings, peer_key
from wire.records import ClockReading


def surroundings(
    settings: AgentSettings, clock: Callable[[], ClockReading], key: bytes | None = None
) -> Surroundings:
    """What probes are built from. Raises SettingsError if ``key`` is not given and cannot be read."""
    secret = peer_key(settings.peer) if key is None else key
    return Surroundings(settings, secret, source_of(settings.line_counters), clock)


def tasks(
    built_from: Surroundings, registry: Mapping[str, Callable[[Surroundings], Probe]] = PROBES
) -> dict[Task, Probe]:
    """Every task that the settings ask for, with the probe that does it."""
    probes = [factory(built_from) for factory in registry.values()]
    return {task: probe for probe in probes for task in probe.tasks()}
