"""Measurements of an agent with the default cadence, minute by minute. Pure: templates and a minute in.

The figures are those of the simulated fleet (``lab.simulate.fleet``), which are of the usual size; floor
results that are no pass carry their raw series.
"""

from collections.abc import Callable, Iterator
from random import Random

import msgspec

from lab.simulate.fleet import SimulatedAgent
from wire.messages import envelope as messages
from wire.messages.envelope import SCHEMA, Envelope
from wire.records import (
    ClockReading,
    FloorMeasurement,
    InterfaceMeasurement,
    Measurement,
    PathMeasurement,
    StampMeasurement,
)

MINUTE_US = 60_000_000
FLOOR_MINUTES = {11: "floor-down", 41: "floor-up"}
PATH_MINUTE = 200  # of the day
TEMPLATES = 2_000

Build = Callable[[str, int], Measurement]


class Cadence:
    """Draws what one minute's schedules give."""

    def __init__(self, site: str, seed: int) -> None:
        self._random = Random(seed)
        self._kinds: dict[type, list[Measurement]] = {}
        for record in _templates(site):
            self._kinds.setdefault(type(record), []).append(record)

    def minute(self, number: int, start: ClockReading) -> Iterator[Build]:
        """Build the measurements of the ``number``-th minute, each still without its identity."""
        yield self._build(StampMeasurement, "stamp-dscp-0", number, start)
        yield self._build(InterfaceMeasurement, "interface", number, start)
        if schedule := FLOOR_MINUTES.get(number % 60):
            yield self._build(FloorMeasurement, schedule, number, start)
        if number % 1440 == PATH_MINUTE:
            yield self._build(PathMeasurement, "path-dscp-0", number, start)

    def _build(self, kind: type, schedule: str, number: int, start: ClockReading) -> Build:
        template = self._random.choice(self._kinds[kind])

        def build(epoch: str, seq: int) -> Measurement:
            return msgspec.structs.replace(
                template,
                epoch=epoch,
                seq=seq,
                start=start,
                slot_us=start.wall_us // MINUTE_US * MINUTE_US,
                schedule=schedule,
                session=None,
                detail=f"{schedule} {number}",
            )

        return build


def _templates(site: str) -> Iterator[Measurement]:
    fleet = SimulatedAgent(site, 1_000_000_000_000)
    decoder = msgspec.json.Decoder(Envelope)
    for _ in range(0, TEMPLATES, 500):
        envelope = decoder.decode(fleet.envelope(500))
        assert envelope.schema == SCHEMA  # noqa: S101 -- the fleet speaks this version
        for raw in envelope.records:
            record = messages.decode_measurement(raw)
            if isinstance(record, Measurement):
                yield record
