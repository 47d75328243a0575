"""The log of a link begun anew, over taps by value."""

import time
from collections.abc import Callable, Iterator

import pytest

from lab.netns.links import link_log
from lab.netns.links.link_log import LinkLog
from lab.netns.links.passages import Sighting
from lab.netns.names import End
from lab.netns.requirements import KernelLinkError
from wire.records import Direction


class FakeTap:
    """``meanwhile`` happens right after a reading."""

    def __init__(self, namespace: str, device: str) -> None:
        self.ring: list[Sighting] = []
        self.overflowed = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def read(self) -> Iterator[Sighting]:
        seen, self.ring = self.ring, []
        yield from seen
        self.meanwhile()

    def close(self) -> None: ...


@pytest.fixture
def taps(monkeypatch: pytest.MonkeyPatch) -> dict[str, FakeTap]:
    made: dict[str, FakeTap] = {}

    def make(namespace: str, device: str) -> FakeTap:
        made[device] = FakeTap(namespace, device)
        return made[device]

    monkeypatch.setattr(link_log, "Tap", make)
    return made


def crosses(taps: dict[str, FakeTap], number: int, entering: End, leaving: End) -> None:
    head = bytes(27) + bytes([number])
    taps[entering].ring.append(Sighting(time.time_ns(), False, 128, head))
    taps[leaving].ring.append(Sighting(time.time_ns(), True, 128, head))


@pytest.mark.parametrize(
    ("direction", "entering", "leaving"),
    [(Direction.UP, End.SITE, End.FAR), (Direction.DOWN, End.FAR, End.SITE)],
)
@pytest.mark.parametrize("read_first", [End.SITE, End.FAR])
def test_what_passes_while_the_log_is_begun_anew_does_not_seem_lost(
    direction: Direction, entering: End, leaving: End, read_first: End, taps: dict[str, FakeTap]
) -> None:
    with LinkLog("router") as log:
        crosses(taps, 1, entering, leaving)
        taps[read_first].meanwhile = lambda: crosses(taps, 2, entering, leaving)
        log.forget()
        taps[read_first].meanwhile = lambda: None
        passed = log.read(direction)
    assert [(one.head[-1], one.left_ns is not None) for one in passed] == [(2, True)]


def test_what_was_lacking_before_is_not_lacking_after(taps: dict[str, FakeTap]) -> None:
    with LinkLog("router") as log:
        taps[End.SITE].overflowed = 7
        with pytest.raises(KernelLinkError, match="lacks 7 packets"):
            log.read(Direction.UP)
        log.forget()
        assert log.read(Direction.UP) == []
        taps[End.SITE].overflowed = 9
        with pytest.raises(KernelLinkError, match="lacks 2 packets"):
            log.read(Direction.UP)
