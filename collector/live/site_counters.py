"""Counters of one site since the collector's start: measurements, bytes, and peer comparisons. Pure."""

import sys
from collections import Counter
from dataclasses import dataclass, field

from collector.kinds import BY_VALUES
from collector.kinds.views import is_late
from collector.model.observation import Observation
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from wire.records import Direction, Failure, Outcome

COMPARISON_LATE_US = 86_400_000_000  # comparisons of tests older than a day belong to a backlog
# A test of which only the peer has a record names no site.
# One of several claims is too seldom for a series of each site; the peer's counter has it from the start.
RESULTS_OF_A_SITE = (ComparisonResult.AGREE, ComparisonResult.DISAGREE, ComparisonResult.AGENT_ONLY)


@dataclass(slots=True)
class SiteCounters:
    """Counts of measurements that arrived in time; ``late`` counts the others, by probe."""

    measurements: Counter[tuple[str, Outcome, Failure | None]] = field(default_factory=Counter)
    totals: dict[str, Counter[str]] = field(default_factory=dict)  # by metric, then labels
    late: Counter[str] = field(default_factory=Counter)
    bytes_spent: Counter[tuple[str, Direction]] = field(default_factory=Counter)

    def count(self, seen: Observation) -> None:
        """Count an observation: under its outcome, or as late."""
        probe = seen.series.probe
        if is_late(seen):
            self.late[probe] += 1
            return
        self.measurements[(probe, seen.outcome, seen.failure)] += 1
        if seen.bytes_sent or seen.bytes_received:  # reading counters spends no bytes: no series for that
            self.bytes_spent[(probe, Direction.UP)] += seen.bytes_sent
            self.bytes_spent[(probe, Direction.DOWN)] += seen.bytes_received
        if seen.values is not None and (kind := BY_VALUES.get(type(seen.values))) is not None:
            for total in kind.totals:
                counted = self.totals.setdefault(total.name, Counter())
                for labels, addition in total.additions(seen, seen.values):
                    # Thousands of sites share the few texts.
                    counted[sys.intern(labels)] += addition


@dataclass(slots=True)
class SiteComparisons:
    """Peer comparisons of a site: their results, and the newest disagreement or claim of each direction.

    ``ambiguous`` are tests that another site claims, too.
    """

    results: Counter[ComparisonResult] = field(default_factory=Counter)
    disagreements: dict[Direction, ComparedTest] = field(default_factory=dict)
    ambiguous: dict[Direction, ComparedTest] = field(default_factory=dict)

    def learn(self, compared: ComparedTest) -> None:
        """Keep the newest disagreement, and the newest test of several claims, of each direction."""
        disagreed = self.disagreements.get(compared.direction)
        if compared.result is ComparisonResult.DISAGREE:
            _keep_newest(self.disagreements, compared)
        elif compared.result is ComparisonResult.AMBIGUOUS:
            _keep_newest(self.ambiguous, compared)
            # The test may have been compared before the second claim came.
            if disagreed is not None and disagreed.time_us == compared.time_us:
                del self.disagreements[compared.direction]

    def count(self, compared: ComparedTest, now_us: int) -> None:
        """Count a comparison that was just made, unless its test belongs to a backlog."""
        for result in RESULTS_OF_A_SITE:
            self.results.setdefault(result, 0)
        if now_us - compared.time_us < COMPARISON_LATE_US:
            self.results[compared.result] += 1


def _keep_newest(known: dict[Direction, ComparedTest], compared: ComparedTest) -> None:
    if compared.direction not in known or compared.time_us >= known[compared.direction].time_us:
        known[compared.direction] = compared
