"""What the ledger holds of a site, and of each of its journal epochs: figures that views pass on."""

from collections.abc import Mapping
from dataclasses import dataclass

from msgspec import Struct, structs

MISSING_AFTER_US = 3_600_000_000
"""How long what was measured later must have been in the ledger before something counts as missing: a batch
leaves once a minute and may have to be sent again, and a day's backlog of a fleet drains within the hour."""


class SiteCompleteness(Struct, frozen=True, gc=False):
    """What the ledger holds of one site, in measurements.

    ``missing`` should have come long ago; ``under_way`` is not here either, but may still come. ``declared``
    were lost for good, by reason. ``conflicts`` came again with another content; ``forks`` are journals that
    continue where another one already does, or had come further: an image was restored, or a card cloned.
    """

    site_id: str
    committed: int
    missing: int = 0
    under_way: int = 0
    declared: Mapping[str, int] = {}
    conflicts: int = 0
    forks: int = 0

    @property
    def is_whole(self) -> bool:
        """Whether nothing is known to be wrong."""
        return not (self.missing or self.declared or self.conflicts or self.forks)

    @property
    def wrong(self) -> "SiteCompleteness | None":
        """What is wrong alone, which seldom changes; None where nothing is."""
        return None if self.is_whole else structs.replace(self, committed=0, under_way=0)


@dataclass(frozen=True, slots=True)
class MissingRun:
    """Consecutive sequence numbers that are missing; measured after ``after_us`` and before ``before_us``."""

    first: int
    last: int
    after_us: int | None
    before_us: int | None


@dataclass(frozen=True, slots=True)
class EpochCompleteness:
    """One journal epoch. ``runs`` are some of what is missing or under way; ``more_runs``: there are others.

    ``forks`` is how many other epochs continue the same ``previous`` one; ``is_behind``: it does so from
    before where that had come. Times are Unix microseconds.
    """

    epoch: str
    previous: str | None
    high_water: int
    committed: int
    missing: int
    under_way: int
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
    """One site's epochs, those in which something is wrong first; ``total`` counts also those left out."""

    site_id: str
    epochs: tuple[EpochCompleteness, ...]
    total: int
