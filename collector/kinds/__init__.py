"""Kinds: one declaration of each kind of measurement, from which the rest of the collector is derived.

A kind's module names its record and values, its metrics, and its texts in both languages. It also says how
long values speak for the present, and whether they prove that the line is up. Tables are made from the
values' struct.
To add a kind: its module here, and one line in ``KINDS``.

Lives here: the declarations, and an observation made from a record.
May not live here: I/O, SQL, state.
Imported by: ``ledger``, ``live``, ``incidents``, ``metrics``, ``pages``, ``service``.
"""

from collections.abc import Mapping
from typing import Any

from collector.kinds.capacity import CAPACITY
from collector.kinds.clock import CLOCK
from collector.kinds.dns import DNS
from collector.kinds.floor import FLOOR
from collector.kinds.interface import INTERFACE
from collector.kinds.kind import MeasurementKind
from collector.kinds.path import PATH
from collector.kinds.reachability import REACHABILITY
from collector.kinds.stamp import STAMP
from wire.records import Values

KINDS: tuple[MeasurementKind[Any], ...] = (
    FLOOR,
    STAMP,
    CAPACITY,
    INTERFACE,
    PATH,
    DNS,
    REACHABILITY,
    CLOCK,
)

BY_PROBE: Mapping[str, MeasurementKind[Any]] = {kind.name: kind for kind in KINDS}
BY_VALUES: Mapping[type[Values], MeasurementKind[Any]] = {kind.values: kind for kind in KINDS}

EVENTS = frozenset(kind.name for kind in KINDS if kind.is_event)
PROVES_LINE = frozenset(kind.name for kind in KINDS if kind.proves_line)
