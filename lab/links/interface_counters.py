"""Byte counters of a link, in the layout of Linux's /sys/class/net/<interface>/statistics."""

import mmap
from pathlib import Path
from types import TracebackType
from typing import Self

from wire.ip_layer import ETHERNET_HEADER_BYTES

# 16 aligned bytes are written by one store: a reader in another process never sees a half-written value.
_FIELD_BYTES = 16


class InterfaceCounters:
    """Counters of the site's side of the line: rx towards the site, tx from it, Ethernet header included.

    The files rx_packets, rx_bytes, tx_packets and tx_bytes of the directory have decimal text. ``close``
    leaves them with their last values. Without a directory nothing is written. Raises OSError when the files
    cannot be written.
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
        """Count one packet that left the line at the site."""
        self.rx_packets += 1
        self.rx_bytes += ip_bytes + ETHERNET_HEADER_BYTES

    def from_site(self, ip_bytes: int) -> None:
        """Count one packet that the site sent into the line, also if it is then lost."""
        self.tx_packets += 1
        self.tx_bytes += ip_bytes + ETHERNET_HEADER_BYTES

    def publish(self) -> None:
        """Write the counters to the files."""
        values = (self.rx_packets, self.rx_bytes, self.tx_packets, self.tx_bytes)
        if values == self._published:
            return
        for area, value in zip(self._maps, values, strict=False):
            area[:] = b"%15d\n" % value
        self._published = values

    def close(self) -> None:
        """Write the counters a last time and close the files."""
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
    # Renamed into place: a link that still maps the old file would be killed (SIGBUS) if it were truncated.
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(b"%15d\n" % 0)
    with fresh.open("r+b") as file:
        area = mmap.mmap(file.fileno(), _FIELD_BYTES)
    fresh.replace(path)
    return area
