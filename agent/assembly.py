"""Puts probes together from settings, for every command that measures."""

from collections.abc import Callable, Mapping

from agent.line.counters import LineCounterSource, source_of
from agent.line.watch import LineWatch
from agent.outages.hearing import Hearing
from agent.probes import PROBES
from agent.probes.base import Probe, Surroundings, Task, Watched
from agent.settings import AgentSettings, Floor, peer_key
from wire import ip_layer
from wire.records import ClockReading


def surroundings(
    settings: AgentSettings, clock: Callable[[], ClockReading], key: bytes | None = None
) -> Surroundings:
    """What probes are built from. Raises SettingsError if ``key`` is not given and cannot be read."""
    secret = peer_key(settings.peer) if key is None else key
    counters = source_of(settings.line_counters)
    watch = _watch(settings.floor, counters, clock)
    return Surroundings(settings, secret, counters, clock, watch, hearing=Hearing(clock))


def _watch(floor: Floor, counters: LineCounterSource, clock: Callable[[], ClockReading]) -> LineWatch | None:
    if not floor.passive or floor.down is None or not LineWatch.can_watch(counters):
        return None
    return LineWatch(counters, ip_layer.ip_rate(float(floor.down), floor.layer), clock)


def tasks(
    built_from: Surroundings, registry: Mapping[str, Callable[[Surroundings], Probe]] = PROBES
) -> dict[Task, Probe]:
    """Every task that the settings ask for, with the probe that does it."""
    probes = [factory(built_from) for factory in registry.values()]
    return {task: probe for probe in probes for task in probe.tasks()}


def scheduled(tasks: Mapping[Task, Probe]) -> dict[Task, Probe]:
    """Those that a schedule starts in the resident agent."""
    return {task: probe for task, probe in tasks.items() if not isinstance(probe, Watched)}
