"""The fleet as Prometheus text: each site's lines rendered when it changes, a scrape only joins them.

Every family carries the labels ``site_id``, ``category``, ``departement``, ``pop`` and ``supplier``; what may
change without being another site sits on ``qos_site_info``. A gauge that no longer speaks for the present is
absent, never repeated; timestamps stay. No line carries an explicit timestamp: one too old fails the scrape.
"""

from collections.abc import Iterable, Iterator

from collector.families import FAMILIES
from collector.families.family import UNKNOWN, escape
from collector.inventory import Site
from collector.live import SiteState


def site_labels(site: SiteState) -> str:
    """The labels on every series of a site, without braces."""
    found = site.inventory or Site(site.site_id, UNKNOWN)
    labels = {
        "site_id": site.site_id,
        "category": found.category or UNKNOWN,
        "departement": found.departement or UNKNOWN,
        "pop": found.pop or UNKNOWN,
        "supplier": found.supplier or UNKNOWN,
    }
    return ",".join(f'{name}="{escape(value)}"' for name, value in labels.items())


def render(site: SiteState, now_us: int) -> list[bytes]:
    """The site's lines, one text for each of ``FAMILIES`` (empty where it has no sample).

    Labels that come twice, of series that only a strange agent has, stand once: twice, they fail the scrape.
    """
    common = site_labels(site)
    return [
        "".join(
            f"{family.name}{{{common}{more}}} {value!r}\n"
            for more, value in dict(family.samples(site, now_us)).items()
        ).encode()
        for family in FAMILIES
    ]


class Exposition:
    """The rendered lines of all sites, by family, ready to be joined."""

    def __init__(self) -> None:
        self._columns: list[list[bytes]] = [[] for _ in FAMILIES]
        self._index: dict[str, int] = {}

    def update(self, site: SiteState, now_us: int) -> None:
        """Render one site anew."""
        index = self._index.get(site.site_id)
        if index is None:
            index = self._index[site.site_id] = len(self._index)
            for column in self._columns:
                column.append(b"")
        for column, lines in zip(self._columns, render(site, now_us), strict=True):
            column[index] = lines

    def keep_only(self, site_ids: Iterable[str]) -> None:
        """Expose no site but these."""
        for site_id in self._index.keys() - set(site_ids):
            for column in self._columns:
                column[self._index[site_id]] = b""

    def families(self) -> Iterator[bytes]:
        """The page, family by family; HELP and TYPE stand once, before the first sample."""
        for family, column in zip(FAMILIES, self._columns, strict=True):
            if any(column):
                head = f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n"
                yield b"".join((head.encode(), *column))
