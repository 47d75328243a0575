"""The log of a link: when each packet entered and left the router, by the kernel's clock."""

import time
from types import TracebackType
from typing import Self

from lab.netns import rules
from lab.netns.links.passages import Passage, Sighting, passages
from lab.netns.links.tap import Tap
from lab.netns.names import End
from lab.netns.places import LEAVES_BY
from lab.netns.requirements import KernelLinkError
from wire.records import Direction


class LinkLog:
    """Taps at the router's two devices, from now on. Raises KernelLinkError when the kernel refuses.

    A packet enters with the kernel's stamp of its reception there, and leaves when the other device sends it,
    behind queue and wire: all that the router does to it is in between.
    """

    def __init__(self, router: str) -> None:
        self._taps: dict[End, Tap] = {}
        self._seen: dict[End, list[Sighting]] = {end: [] for end in LEAVES_BY.values()}
        self._lacking = dict.fromkeys(self._seen, 0)
        try:
            for end in self._seen:
                self._taps[end] = Tap(router, end)
        except OSError as error:
            self.close()
            raise KernelLinkError(f"the link's packets cannot be logged: {error.strerror}") from None

    def read(self, direction: Direction) -> list[Passage]:
        """Every packet since the beginning. Raises KernelLinkError when the log could not keep up."""
        for end, tap in self._taps.items():
            self._seen[end] += tap.read()
            if lost := tap.overflowed - self._lacking[end]:
                raise KernelLinkError(f"the link's log lacks {lost} packets: read it more often")
        entering = (one for one in self._seen[rules.arrives_by(direction)] if not one.outgoing)
        leaving = (one for one in self._seen[LEAVES_BY[direction]] if one.outgoing)
        return passages(sorted((*entering, *leaving), key=lambda one: one.at_ns))

    def forget(self) -> None:
        """Begin anew: what is inside the link now will not be in the log."""
        # By time, not by reading: what passes between the two taps' readings would seem lost.
        begin_ns = time.time_ns()
        for end, tap in self._taps.items():
            self._seen[end] = [seen for seen in tap.read() if seen.at_ns >= begin_ns]
            self._lacking[end] = tap.overflowed

    def close(self) -> None:
        """Give the memory back."""
        for tap in self._taps.values():
            tap.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
