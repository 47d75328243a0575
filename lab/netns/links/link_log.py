"""Log of a link: each packet's times of entry and exit at the router, by the kernel's clock."""

import time
from types import TracebackType
from typing import Self

from lab.netns import rules
from lab.netns.links.passages import Passage, Sighting, passages
from lab.netns.links.tap import Tap
from lab.netns.names import LinkNode
from lab.netns.places import LEAVES_BY
from lab.netns.requirements import KernelLinkError
from wire.records import Direction


class LinkLog:
    """Taps at the router's two devices. Raises KernelLinkError when the kernel refuses.

    Entry is the kernel's stamp of the reception at one device. Exit is the stamp of the transmission at the
    other device, behind queue and wire.
    """

    def __init__(self, router: str) -> None:
        self._taps: dict[LinkNode, Tap] = {}
        self._seen: dict[LinkNode, list[Sighting]] = {end: [] for end in LEAVES_BY.values()}
        self._lacking = dict.fromkeys(self._seen, 0)
        try:
            for end in self._seen:
                self._taps[end] = Tap(router, end)
        except OSError as error:
            self.close()
            raise KernelLinkError(f"cannot log the link's packets: {error.strerror}") from None

    def read(self, direction: Direction) -> list[Passage]:
        """Return all packets since the beginning. Raises KernelLinkError when a tap has lost packets."""
        for end, tap in self._taps.items():
            self._seen[end] += tap.read()
            if lost := tap.overflowed - self._lacking[end]:
                raise KernelLinkError(f"the link's log has lost {lost} packets: read it more often")
        entering = (one for one in self._seen[rules.arrives_by(direction)] if not one.outgoing)
        leaving = (one for one in self._seen[LEAVES_BY[direction]] if one.outgoing)
        return passages(sorted((*entering, *leaving), key=lambda one: one.at_ns))

    def forget(self) -> None:
        """Clear the log. Packets that are inside the link now will not be in it."""
        # Cleared by time: a packet that passes between the readings of the two taps would otherwise seem
        # lost.
        begin_ns = time.time_ns()
        for end, tap in self._taps.items():
            self._seen[end] = [seen for seen in tap.read() if seen.at_ns >= begin_ns]
            self._lacking[end] = tap.overflowed

    def close(self) -> None:
        """Free the memory."""
        for tap in self._taps.values():
            tap.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
