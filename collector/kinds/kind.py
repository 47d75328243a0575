"""Declaration of a kind of measurement, and the labels and samples that several kinds share."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from collector.model.notice import Notice
from collector.model.observation import Observation
from wire.records import CapacityValues, FloorValues, LatencyUnderLoad, Measurement, Spread, Values, name_of

Kept = TypeVar("Kept", bound=Values)
Read_contra = TypeVar("Read_contra", bound=Values, contravariant=True)

# One text in English and in French.
Both = tuple[str, str]

Sample = tuple[str, float | int]  # further labels, rendered; value
Samples = Iterable[Sample]

STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class Gauge(Generic[Read_contra]):
    """A metric of the newest values of each series, absent once they are stale."""

    name: str
    help: str
    samples: Callable[[Observation, Read_contra], Samples]


@dataclass(frozen=True, slots=True)
class AttemptGauge:
    """A metric of the newest attempt of each series, whatever its outcome, absent once it is stale."""

    name: str
    help: str
    samples: Callable[[Observation], Samples]


@dataclass(frozen=True, slots=True)
class Total(Generic[Read_contra]):
    """A counter: each measurement that came in time adds to it. ``unit`` additions are one of the metric."""

    name: str
    help: str
    additions: Callable[[Observation, Read_contra], Iterable[tuple[str, int]]]
    unit: int = 1


class Condition(NamedTuple):
    """A field of the values that has one of these words or, where none is named, any value."""

    field: str
    words: tuple[str, ...] = ()


def nothing_to_say(*_: Any) -> Iterable[Notice]:
    """No notice: the default of a kind."""
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasurementKind(Generic[Kept]):
    """One kind of measurement.

    ``attempt`` stands on the page before the failure of a newest attempt. ``is_event``: it is recorded when
    something changed, on no schedule. ``proves_line``: a success shows that the site's line was up.

    Values speak for the present for ``stale_intervals`` of their schedule. ``shown_when_stale``: the page
    shows the last ones however old they are. ``landmarks``: conditions, any of which must hold; for each
    tuple the newest measurement is kept in live state, too.

    ``notices`` are about the newest values of each series. ``attempt_notices`` are about its newest attempt,
    whatever its outcome. ``sentences`` are their texts.

    ``left_out`` are parts that only the ledger keeps. ``thinned`` takes out what else no view reads.
    """

    record: type[Measurement]
    values: type[Kept]
    attempt: Both
    is_event: bool = False
    proves_line: bool = False
    stale_intervals: int = STALE_INTERVALS
    shown_when_stale: bool = False
    landmarks: tuple[tuple[Condition, ...], ...] = ()
    left_out: tuple[str, ...] = ()
    thinned: Callable[[Kept], Kept] | None = None
    gauges: tuple[Gauge[Kept] | AttemptGauge, ...] = ()
    totals: tuple[Total[Kept], ...] = ()
    notices: Callable[[Observation, Kept], Iterable[Notice]] = nothing_to_say
    attempt_notices: Callable[[Observation], Iterable[Notice]] = nothing_to_say
    sentences: Mapping[str, Both] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of its probe on the wire."""
        return name_of(self.record)


def direction_of(seen: Observation) -> str:
    """Label of a series' direction, empty where it has none."""
    return f',direction="{seen.series.direction or ""}"'


def dscp_label(seen: Observation) -> str:
    """Label of a series' class, empty where it has none."""
    return f',dscp="{"" if seen.series.dscp is None else seen.series.dscp}"'


def stats(labels: str, spread: Spread | None) -> Samples:
    """Four figures of a spread, in seconds."""
    if spread is not None:
        yield f'{labels},stat="min"', spread.min_us / 1e6
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6
        yield f'{labels},stat="p99"', spread.p99_us / 1e6


def _middle_and_high(labels: str, spread: Spread | None) -> Samples:
    """Median and 95th percentile of a spread, in seconds."""
    # In a train as short as a load test, the 99th percentile is the one worst packet.
    if spread is not None:
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6


def _loss(labels: str, ratio: float | None) -> Samples:
    if ratio is not None:
        yield labels, ratio


Loading = FloorValues | CapacityValues


def _of_load(
    samples: Callable[[str, LatencyUnderLoad], Samples],
) -> Callable[[Observation, Loading], Samples]:
    def of(seen: Observation, values: Loading) -> Samples:
        if values.under_load is None:
            return ()
        return samples(f'{direction_of(seen)},load="{seen.series.probe}"', values.under_load)

    return of


# Latency during a load test, of every kind that loads the line.
UNDER_LOAD: tuple[Gauge[Loading], ...] = (
    Gauge(
        "qos_rtt_under_load_seconds",
        "Round-trip time while a load test ran.",
        _of_load(lambda labels, found: _middle_and_high(labels, found.loaded)),
    ),
    Gauge(
        "qos_rtt_before_load_seconds",
        "Round-trip time just before it, idle.",
        _of_load(lambda labels, found: _middle_and_high(labels, found.idle)),
    ),
    Gauge(
        "qos_loss_under_load_ratio",
        "Loss of the train under load, both ways.",
        _of_load(lambda labels, found: _loss(labels, found.loss_ratio)),
    ),
)
