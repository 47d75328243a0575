"""The fleet as Prometheus text: each site's lines rendered when it changes, a scrape only collects them.

Every family carries the labels ``site_id``, ``category``, ``departement``, ``pop`` and ``supplier``; what may
change without being another site sits on ``qos_site_info``. A gauge that no longer speaks for the present is
absent, never repeated; timestamps stay. No line carries an explicit timestamp: one too old fails the scrape.
"""

from collections.abc import Iterable, Iterator

from collector.live.site_state import LiveSite
from collector.metrics.families import FAMILIES
from collector.metrics.families.family import UNKNOWN, escape
from collector.model.inventory import Site

BLOCK_SITES = 256


def site_labels(site: LiveSite) -> str:
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


def render(site: LiveSite, now_us: int) -> list[bytes]:
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
    """The rendered lines of all sites, by family, ready to be sent.

    They are kept joined in blocks of sites; only a block of which a line has changed is joined again. Of the
    100 MB of 6,000 sites most is as it was at the scrape before.
    """

    def __init__(self) -> None:
        self._columns: list[list[bytes]] = [[] for _ in FAMILIES]
        self._blocks: list[list[bytes | None]] = [[] for _ in FAMILIES]
        self._index: dict[str, int] = {}

    def update(self, site: LiveSite, now_us: int) -> None:
        """Render one site anew."""
        index = self._index.get(site.site_id)
        if index is None:
            index = self._add(site.site_id)
        for family, lines in enumerate(render(site, now_us)):
            self._put(family, index, lines)

    def _add(self, site_id: str) -> int:
        index = self._index[site_id] = len(self._index)
        for column, blocks in zip(self._columns, self._blocks, strict=True):
            column.append(b"")
            if index % BLOCK_SITES == 0:
                blocks.append(b"")
        return index

    def _put(self, family: int, index: int, lines: bytes) -> None:
        column = self._columns[family]
        if column[index] != lines:
            column[index] = lines
            self._blocks[family][index // BLOCK_SITES] = None

    def keep_only(self, site_ids: Iterable[str]) -> None:
        """Expose no site but these."""
        for site_id in self._index.keys() - set(site_ids):
            for family in range(len(FAMILIES)):
                self._put(family, self._index[site_id], b"")

    def pieces(self) -> Iterator[bytes]:
        """The page in pieces, family by family; HELP and TYPE stand once, before the first sample."""
        for number, family in enumerate(FAMILIES):
            head: bytes | None = (
                f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode()
            )
            for place in range(len(self._blocks[number])):
                block = self._block(number, place)
                if block and head is not None:
                    yield head
                    head = None
                if block:
                    yield block

    def _block(self, family: int, place: int) -> bytes:
        block = self._blocks[family][place]
        if block is None:
            begin = place * BLOCK_SITES
            block = b"".join(self._columns[family][begin : begin + BLOCK_SITES])
            self._blocks[family][place] = block
        return block
