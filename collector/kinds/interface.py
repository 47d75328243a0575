"""Traffic that the site sent and received, and packets that its interface refused."""

from collections.abc import Callable, Iterator

from collector.kinds.kind import Gauge, MeasurementKind, Samples, Total
from collector.model.observation import Observation
from wire.records import Direction, InterfaceFlow, InterfaceMeasurement, InterfaceValues, Outcome


def _flows(found: InterfaceValues) -> tuple[tuple[Direction, InterfaceFlow], ...]:
    return (Direction.DOWN, found.down), (Direction.UP, found.up)


def _traffic(_seen: Observation, values: InterfaceValues) -> Samples:
    for direction, flow in _flows(values):
        yield f',direction="{direction}",stat="mean"', flow.mean_bps
        yield f',direction="{direction}",stat="peak"', flow.peak_bps


def _carrier(_seen: Observation, values: InterfaceValues) -> Samples:
    if values.carrier is not None:
        yield "", int(values.carrier)


def _speed(_seen: Observation, values: InterfaceValues) -> Samples:
    if values.speed_bps is not None:
        yield "", values.speed_bps


def _refused(
    count: Callable[[InterfaceFlow], int | None],
) -> Callable[[Observation, InterfaceValues], Iterator[tuple[str, int]]]:
    """Additions of one counter of the interface, by direction."""

    def additions(seen: Observation, values: InterfaceValues) -> Iterator[tuple[str, int]]:
        for direction, flow in _flows(values):
            # Each record has the count of its own minute. An interface that does not count adds nothing.
            if seen.outcome is Outcome.OK and (counted := count(flow)) is not None:
                yield f',direction="{direction}"', counted

    return additions


def _carrier_losses(seen: Observation, values: InterfaceValues) -> Iterator[tuple[str, int]]:
    if seen.outcome is Outcome.OK and values.carrier_losses is not None:
        yield "", values.carrier_losses


INTERFACE = MeasurementKind(
    record=InterfaceMeasurement,
    values=InterfaceValues,
    attempt=("last reading of the interface:", "dernier relevé de l'interface :"),
    gauges=(
        Gauge(
            "qos_interface_bits_per_second",
            "The site's own traffic in the last record of its interface, IP layer.",
            _traffic,
        ),
        Gauge("qos_interface_carrier", "Whether the link of the interface is up.", _carrier),
        Gauge("qos_interface_speed_bits_per_second", "What the link negotiated.", _speed),
    ),
    totals=(
        Total(
            "qos_interface_errors_total",
            "Errors that the interface counted.",
            _refused(lambda flow: flow.errors),
        ),
        Total(
            "qos_interface_drops_total",
            "Packets that the interface dropped.",
            _refused(lambda flow: flow.drops),
        ),
        Total("qos_interface_carrier_losses_total", "How often the carrier was lost.", _carrier_losses),
    ),
)
