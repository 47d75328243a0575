"""Metric families of completeness: missing, declared lost, in conflict; none for a complete site."""

from collections import Counter

from collector.kinds.kind import Samples
from collector.live.site_state import LiveSite
from collector.metrics.families.family import Family
from wire.messages.envelope import GapReason

_REASONS = frozenset(GapReason)
_OTHER = "other"


def _missing(site: LiveSite, _now_us: int) -> Samples:
    if site.defects and site.defects.missing:
        yield "", site.defects.missing


def _declared(site: LiveSite, _now_us: int) -> Samples:
    """A newer agent's reasons are one: their words come from outside, and each would be a series."""
    counted: Counter[str] = Counter()
    for reason, lost in (site.defects.declared if site.defects else {}).items():
        counted[reason if reason in _REASONS else _OTHER] += lost
    for reason, lost in sorted(counted.items()):
        yield f',reason="{reason}"', lost


def _conflicts(site: LiveSite, _now_us: int) -> Samples:
    if site.defects and site.defects.conflicts:
        yield "", site.defects.conflicts


def _forks(site: LiveSite, _now_us: int) -> Samples:
    if site.defects and site.defects.forks:
        yield "", site.defects.forks


FAMILIES: tuple[Family, ...] = (
    Family(
        "qos_ledger_missing_measurements",
        "gauge",
        "Measurements that should have arrived an hour ago or earlier.",
        _missing,
    ),
    Family(
        "qos_ledger_declared_lost_measurements",
        "gauge",
        "Measurements that the site declared lost for good.",
        _declared,
    ),
    Family(
        "qos_ledger_conflicting_measurements",
        "gauge",
        "Measurements that arrived again with different content.",
        _conflicts,
    ),
    Family(
        "qos_ledger_journal_forks",
        "gauge",
        "Journals that continue the same one as another, or from before its end.",
        _forks,
    ),
)
