"""Completeness of the ledger: figures of each site and of each of its journal epochs. Pure.

Every measurement has an identity, its journal epoch and sequence number. Numbers are consecutive, so the
ledger knows what it lacks. Each number up to the highest one known is in exactly one of four states:

| state     | the ledger                                             | later                              |
|-----------|--------------------------------------------------------|------------------------------------|
| committed | has the measurement                                    | stays                              |
| declared  | has the agent's word that it was lost, and the reason  | stays, or committed if it arrives  |
| pending   | has neither, nor for an hour anything measured later   | becomes one of the other three     |
| missing   | has neither, and for an hour something measured later  | committed or declared if it arrives|

Two more counts are not states of a number, but doubts about who counts:

* A *conflict* is a number that arrived twice with different content. Both contents are kept.
* A *fork* is a journal that continues another one although a second journal does, or from before its end.
  Its cause is a restored image or a cloned card.

A site is complete if nothing is missing, declared lost, in conflict or forked. Pending is no defect. No state
here may depend on a clock of the site. Sequence numbers decide "measured later"; the collector's own clock
decides "for an hour".
"""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct, structs

# A batch leaves once a minute and may have to be sent again; a fleet's backlog of a day drains within the
# hour.
# Time that a later measurement must have been in the ledger before an absent one counts as missing.
MISSING_AFTER_US = 3_600_000_000


class SiteCompleteness(Struct, frozen=True, gc=False):
    """Completeness of one site, in measurements; ``declared`` is by reason, ``forks`` counts journals."""

    site_id: str
    committed: int
    missing: int = 0
    pending: int = 0
    declared: Mapping[str, int] = {}
    conflicts: int = 0
    forks: int = 0

    @property
    def is_complete(self) -> bool:
        """True if the site has no defect."""
        return not (self.missing or self.declared or self.conflicts or self.forks)

    @property
    def defects(self) -> "SiteCompleteness | None":
        """Defects alone, without the counts that change with every commit; None for a complete site."""
        return None if self.is_complete else structs.replace(self, committed=0, pending=0)


@dataclass(frozen=True, slots=True)
class MissingRun:
    """Consecutive sequence numbers that are absent, measured between ``after_us`` and ``before_us``."""

    first: int
    last: int
    after_us: int | None
    before_us: int | None


@dataclass(frozen=True, slots=True)
class EpochCompleteness:
    """Completeness of one journal epoch. Times are Unix microseconds.

    ``runs`` lists some of the numbers that are missing or pending; ``more_runs`` is true if there are others.
    ``forks`` counts the other epochs that continue the same ``previous`` one. ``is_behind`` is true if this
    epoch continues from before the end of ``previous``.
    """

    epoch: str
    previous: str | None
    high_water: int
    committed: int
    missing: int
    pending: int
    declared: int
    conflicts: int
    forks: int
    is_behind: bool
    begin_us: int | None
    end_us: int | None
    runs: tuple[MissingRun, ...] = ()
    more_runs: bool = False


@dataclass(frozen=True, slots=True)
class SiteEpochs:
    """Journal epochs of one site, those with defects first; ``total`` includes the ones left out."""

    site_id: str
    epochs: tuple[EpochCompleteness, ...]
    total: int
