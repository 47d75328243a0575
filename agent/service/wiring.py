"""Puts probes together from settings, for every command that measures."""

from collections.abc import Callable, Mapping

from agent.line.counters import source_of
from agent.line.passive_proof import LineWatch
from agent.line.readings import LineCounterSource
from agent.names import file as address_file
from agent.probes import PROBES
from agent.settings.sections import AgentSettings, FloorSettings
from agent.task.declaration import DropOrder, ProbeDeclaration
from agent.task.task import Probe, ProbeContext, Task, UnscheduledProbe
from agent.train.peer_last_seen import PeerLastSeen
from wire import ip_layer
from wire.records import ClockReading


def probe_context(
    settings: AgentSettings, clock: Callable[[], ClockReading], key: bytes | None = None
) -> ProbeContext:
    """Context for building probes. Raises SettingsError if ``key`` is not given and cannot be read."""
    if key is None:
        from agent.settings.file import (
            peer_key,  # brings the YAML reader, which the resident agent does without
        )

        key = peer_key(settings.peer)
    counters = source_of(settings.line_counters)
    watch = _watch(settings.floor, counters, clock)
    known = address_file.read(address_file.path_beside(settings.journal.path))
    return ProbeContext(
        settings,
        key,
        counters,
        clock,
        watch,
        peer_last_seen=PeerLastSeen(clock),
        peer_addresses=known.peer.addresses_of(settings.peer.host),
        broker_addresses=known.broker.addresses_of(settings.broker.host),
    )


def _watch(
    floor: FloorSettings, counters: LineCounterSource, clock: Callable[[], ClockReading]
) -> LineWatch | None:
    if not floor.passive or floor.down is None or not LineWatch.can_watch(counters):
        return None
    return LineWatch(counters, ip_layer.ip_rate(float(floor.down), floor.layer), clock)


def tasks(built_from: ProbeContext, registry: Mapping[str, ProbeDeclaration] = PROBES) -> dict[Task, Probe]:
    """Every task that the settings ask for, with the probe that does it."""
    probes = [declared.build(built_from) for declared in registry.values()]
    return {task: probe for probe in probes for task in probe.tasks()}


def drop_order(task: Task) -> DropOrder:
    """Drop order of the records of ``task``; of what a watch records without a probe, that of seldom ones."""
    declared = PROBES.get(task.probe)
    return DropOrder.SELDOM if declared is None else declared.drop_order


def scheduled(tasks: Mapping[Task, Probe]) -> dict[Task, Probe]:
    """Those that a schedule starts in the resident agent."""
    return {task: probe for task, probe in tasks.items() if not isinstance(probe, UnscheduledProbe)}
