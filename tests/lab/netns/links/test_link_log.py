"""Log of a link, with taps replaced by lists."""

import time
from collections.abc import Callable, Iterator

import pytest

from lab.netns.links import link_log
from lab.netns.links.link_log import LinkLog
from lab.netns.links.passages import Sighting
from lab.netns.names import LinkNode
from wire.records import Direction


class FakeTap:
    """Tap of a list of sightings. ``meanwhile`` is called after each reading."""

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


def crosses(taps: dict[str, FakeTap], number: int, entering: LinkNode, leaving: LinkNode) -> None:
    head = bytes(27) + bytes([number])
    taps[entering].ring.append(Sighting(time.time_ns(), False, 128, head))
    taps[leaving].ring.append(Sighting(time.time_ns(), True, 128, head))


@pytest.mark.parametrize(
    ("direction", "entering", "leaving"),
    [(Direction.UP, LinkNode.SITE, LinkNode.FAR), (Direction.DOWN, LinkNode.FAR, LinkNode.SITE)],
)
@pytest.mark.parametrize("read_first", [LinkNode.SITE, LinkNode.FAR])
def test_packets_that_pass_while_the_log_is_cleared_do_not_seem_lost(
    direction: Direction,
    entering: LinkNode,
    leaving: LinkNode,
    read_first: LinkNode,
    taps: dict[str, FakeTap],
) -> None:
    with LinkLog("router") as log:
        crosses(taps, 1, entering, leaving)
        taps[read_first].meanwhile = lambda: crosses(taps, 2, entering, leaving)
        log.forget()
        taps[read_first].meanwhile = lambda: None
        passed = log.read(direction)
    assert [(one.head[-1], one.left_ns is not None) for one in passed] == [(2, True)]
