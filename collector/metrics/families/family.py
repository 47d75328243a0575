"""What a metric family is, and what several of them share."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from collector.live.site_state import LiveSite
from collector.model.observation import Observation
from wire.records import Spread

UNKNOWN = "unknown"

Sample = tuple[str, float | int]  # further labels, rendered; value
Samples = Iterator[Sample]


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family and where its samples of a site come from."""

    name: str
    kind: str
    help: str
    samples: Callable[[LiveSite, int], Samples]


def escape(text: str) -> str:
    """A label value as the text format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def stats(labels: str, spread: Spread | None) -> Samples:
    """The four figures of a spread, in seconds."""
    if spread is not None:
        yield f'{labels},stat="min"', spread.min_us / 1e6
        yield f'{labels},stat="p50"', spread.p50_us / 1e6
        yield f'{labels},stat="p95"', spread.p95_us / 1e6
        yield f'{labels},stat="p99"', spread.p99_us / 1e6


def dscp_label(seen: Observation) -> str:
    """The class of a series, empty where it has none."""
    return f',dscp="{"" if seen.series.dscp is None else seen.series.dscp}"'
