"""Metrics of the fleet as Prometheus text, rendered per site when it changes; a scrape only collects them.

Every family has the labels ``site_id``, ``category``, ``departement``, ``pop`` and ``supplier``. Attributes
that may change for the same site are labels of ``qos_site_info``. A stale gauge is absent; timestamps stay.
No line has an explicit timestamp: Prometheus fails a scrape with one that is too old.
"""

from collections.abc import Iterable, Iterator

from collector.live.site_state import LiveSite
from collector.metrics.families import FAMILIES
from collector.metrics.families.family import UNKNOWN, escape
from collector.model.inventory import Site

BLOCK_SITES = 256  # sites joined at once: one change costs one block, and a scrape joins 24 for 6,000 sites


def site_labels(site: LiveSite) -> str:
    """Labels of every series of a site, without braces."""
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
    """Render a site's lines: one text for each of ``FAMILIES``, empty if it has no sample."""
    common = site_labels(site)
    # A dict removes samples with the same labels, which an unknown agent may cause: they fail the scrape.
    return [
        "".join(
            # repr is the shortest text that reads back as the same float.
            f"{family.name}{{{common}{more}}} {value!r}\n"
            for more, value in dict(family.samples(site, now_us)).items()
        ).encode()
        for family in FAMILIES
    ]


class Exposition:
    """Rendered lines of all sites by family, joined in blocks of sites.

    Only a block with a changed line is joined again. Most of the 100 MB of 6,000 sites is the same as at the
    scrape before.
    """

    def __init__(self) -> None:
        self._columns: list[list[bytes]] = [[] for _ in FAMILIES]
        self._blocks: list[list[bytes | None]] = [[] for _ in FAMILIES]
        self._index: dict[str, int] = {}

    def update(self, site: LiveSite, now_us: int) -> None:
        """Render one site."""
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
            # None marks a block to be joined at the next scrape.
            self._blocks[family][index // BLOCK_SITES] = None

    def keep_only(self, site_ids: Iterable[str]) -> None:
        """Remove all sites but these."""
        # The places stay: moving all other sites would join every block again.
        for site_id in self._index.keys() - set(site_ids):
            for family in range(len(FAMILIES)):
                self._put(family, self._index[site_id], b"")

    def pieces(self) -> Iterator[bytes]:
        """Page in pieces, family by family; HELP and TYPE come once, before the first sample."""
        for number, family in enumerate(FAMILIES):
            head: bytes | None = (
                f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n".encode()
            )
            for index in range(len(self._blocks[number])):
                block = self._block(number, index)
                if block and head is not None:
                    yield head
                    head = None
                if block:
                    yield block

    def _block(self, family: int, index: int) -> bytes:
        block = self._blocks[family][index]
        if block is None:
            begin = index * BLOCK_SITES
            block = b"".join(self._columns[family][begin : begin + BLOCK_SITES])
            self._blocks[family][index] = block
        return block
