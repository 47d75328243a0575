"""What the ledger lacks of a site, or holds in doubt; of a site that is whole nothing is told."""

from collector.families.family import Family, Samples
from collector.live import SiteState


def _missing(site: SiteState, _now_us: int) -> Samples:
    if site.lacks and site.lacks.missing:
        yield "", site.lacks.missing


def _declared(site: SiteState, _now_us: int) -> Samples:
    if site.lacks:
        yield from ((f',reason="{reason}"', lost) for reason, lost in sorted(site.lacks.declared.items()))


def _conflicts(site: SiteState, _now_us: int) -> Samples:
    if site.lacks and site.lacks.conflicts:
        yield "", site.lacks.conflicts


def _forks(site: SiteState, _now_us: int) -> Samples:
    if site.lacks and site.lacks.forks:
        yield "", site.lacks.forks


FAMILIES: tuple[Family, ...] = (
    Family(
        "qos_ledger_missing_measurements",
        "gauge",
        "Measurements that should have come long ago.",
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
        "Measurements that came again with another content.",
        _conflicts,
    ),
    Family(
        "qos_ledger_journal_forks",
        "gauge",
        "Journals that continue where another one already does, or had come further.",
        _forks,
    ),
)
