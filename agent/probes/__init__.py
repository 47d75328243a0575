"""Probes: one folder a probe, each one way of measuring.

Lives here: the registry ``PROBES``, and a folder for each probe.
May not live here: code that two probes share: it belongs to ``load``, ``train``, ``line`` or ``task``. No
  probe imports another.
Imported by: ``agent.service``, ``agent.commands``.
"""

from collections.abc import Callable, Mapping
from typing import Any

from agent.clock import figures as clock_figures
from agent.probes import capacity, dns, floor, interface, path, reachability, stamp
from agent.task.declaration import ProbeDeclaration
from wire.records import ClockMeasurement, Measurement

PROBES: Mapping[str, ProbeDeclaration] = {
    probe.name: probe
    for probe in (
        floor.PROBE,
        stamp.PROBE,
        path.PROBE,
        dns.PROBE,
        interface.PROBE,
        capacity.PROBE,
        reachability.PROBE,
    )
}

# Kinds that a watch records and no probe, with their figures for a person.
WITHOUT_PROBE: Mapping[type[Measurement], Callable[[Any], str]] = {ClockMeasurement: clock_figures.figures}
