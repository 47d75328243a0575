"""A link's byte counters in the layout of Linux's /sys/class/net/<interface>/statistics."""

import mmap
from pathlib import Path
from types import TracebackType
from typing import Self

from wire.ip_layer import ETHERNET_HEADER_BYTES

# 16 aligned bytes are written by one store: a reader in another process sees a value whole or not at all.
_FIELD_BYTES = 16


class InterfaceCounters:
    """Counters of the site's side of the line: rx towards the site, tx from it, Ethernet header included.

    The directory's files rx_packets, rx_bytes, tx_packets and tx_bytes hold decimal text; ``close`` leaves
    them in place with their last values. Without a directory nothing is published. Raises OSError when the
    files cannot be written.
    """

    NAMES = ("rx_packets", "rx_bytes", "tx_packets", "tx_bytes")

    def __init__(self, directory: Path | None = None) -> None:
        self.rx_packets = self.rx_bytes = self.tx_packets = self.tx_bytes = 0
        self._published = (0, 0, 0, 0)
        self._maps: list[mmap.mmap] = []
        if directory is not None:
            directory.mkdir(parents=True, exist_ok=True)
            self._maps = [_mapped(directory / name) for name in self.NAMES]

    def towards_site(self, ip_bytes: int) -> None:
        """Count one packet that came out of the line at the site."""
        self.rx_packets += 1
        self.rx_bytes += ip_bytes + ETHERNET_HEADER_BYTES

    def from_site(self, ip_bytes: int) -> None:
        """Count one packet that the site sent into the line, whatever becomes of it."""
        self.tx_packets += 1
        self.tx_bytes += ip_bytes + ETHERNET_HEADER_BYTES

    def publish(self) -> None:
        """Make the files say what was counted so far."""
        values = (self.rx_packets, self.rx_bytes, self.tx_packets, self.tx_bytes)
        if values == self._published:
            return
        for area, value in zip(self._maps, values, strict=False):
            area[:] = b"%15d\n" % value
        self._published = values

    def close(self) -> None:
        """Publish once more and let go of the files."""
        self.publish()
        while self._maps:
            self._maps.pop().close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _mapped(path: Path) -> mmap.mmap:
    # Renamed into place: truncating a file that another link still maps would kill that link.
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(b"%15d\n" % 0)
    with fresh.open("r+b") as file:
        area = mmap.mmap(file.fileno(), _FIELD_BYTES)
    fresh.replace(path)
    return area
