"""Which boots are worth another look: those beside which the journal has come to hold something new.

Of a boot that no clock and no sending told of, only its neighbours in the journal can tell. Whoever has
looked at one says what the answer rests on; it is due again when that changes, and no sooner.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterator
from typing import NamedTuple, TypeVar

Boot = tuple[int, int]  # the keys of site and boot id

Found = TypeVar("Found")
Place = TypeVar("Place", bound=Hashable)

BOUND = 50_000
"""Boots, and places that they rest on: the names of both come from outside. At the most 30 MB."""

OF_BOOT = BOUND // 10
"""Places that one boot rests on. What changes in its others is news once all was forgotten: rather that than
one boot that has all forgotten, and is found and looked at again, for ever."""

NO_SEQ = -1  # below every sequence number
EVERY_SEQ = 2**63 - 1


class Stretch(NamedTuple):
    """A part of one epoch, both ends included, in which a measurement with a time would be a neighbour."""

    epoch_key: int
    first: int
    last: int


class End(NamedTuple):
    """Where the chain of epochs was found to end: nothing was known to follow, or to go before."""

    epoch_key: int
    later: bool


class Spans:
    """Of several epochs the least and the greatest sequence number in question."""

    def __init__(self) -> None:
        self._bounds: dict[int, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        return ((epoch_key, *bounds) for epoch_key, bounds in self._bounds.items())

    def add(self, epoch_key: int, seq: int) -> None:
        """Make room for one more."""
        first, last = self._bounds.get(epoch_key, (seq, seq))
        self._bounds[epoch_key] = (min(first, seq), max(last, seq))


class Lookout:
    """Remembers between transactions; after a failed one call :meth:`forget`, and every boot is new again."""

    def __init__(self) -> None:
        self.generation = 0  # how often everything was forgotten
        self._called = 0
        self._rested_on = 0  # places, of each boot anew
        self._due: dict[int, dict[int, None]] = {}  # boots by site, the site whose turn it is first
        self._waiting: dict[Boot, tuple[Stretch | End, ...]] = {}
        self._stretches: dict[int, dict[Boot, tuple[Stretch, ...]]] = defaultdict(dict)  # by epoch
        self._ends: dict[End, dict[Boot, None]] = defaultdict(dict)

    def forget(self) -> None:
        """Remember nothing."""
        self.generation, self._called, self._rested_on = self.generation + 1, 0, 0
        for known in (self._due, self._waiting, self._stretches, self._ends):
            known.clear()

    def call(self, boot: Boot) -> None:
        """A boot is due: new, or with more measurements than before."""
        self._remove(boot)
        self._make_room(1)
        of_site = self._due.setdefault(boot[0], {})
        self._called += boot[1] not in of_site
        of_site[boot[1]] = None

    def take(self) -> Boot | None:
        """The next boot that is due, each site in turn."""
        for site_key, boots in self._due.items():
            boot_key = next(iter(boots))
            self._called -= 1
            del boots[boot_key], self._due[site_key]
            if boots:
                self._due[site_key] = boots  # behind all others
            return site_key, boot_key
        return None

    def wait(self, boot: Boot, rests_on: tuple[Stretch | End, ...]) -> None:
        """A boot has been looked at; what was found of it holds until something changes in these places."""
        rests_on = rests_on[:OF_BOOT]
        self._remove(boot)
        self._make_room(1 + len(rests_on))
        self._waiting[boot] = rests_on
        self._rested_on += len(rests_on)
        for place in rests_on:
            if isinstance(place, End):
                self._ends[place][boot] = None
            else:
                watched = self._stretches[place.epoch_key]
                watched[boot] = (*watched.get(boot, ()), place)

    def watches(self, epoch_key: int) -> bool:
        """Whether any boot rests on this epoch; hardly any epoch has one."""
        return epoch_key in self._stretches

    def dated(self, spans: Spans, of: Boot | None = None) -> None:
        """Within these bounds measurements got a time, all of boot ``of`` where that is given."""
        for epoch_key, first, last in spans:
            concerned = [
                boot
                for boot, stretches in self._stretches.get(epoch_key, {}).items()
                if boot != of and any(first <= each.last and each.first <= last for each in stretches)
            ]
            for boot in concerned:
                self.call(boot)

    def chained(self, epoch_key: int, previous_key: int) -> None:
        """An epoch is said to continue another one."""
        if not self._ends:
            return
        for end in (End(epoch_key, later=False), End(previous_key, later=True)):
            for boot in list(self._ends.get(end, ())):
                self.call(boot)

    def _make_room(self, wanted: int) -> None:
        if self._called + len(self._waiting) + self._rested_on + wanted > BOUND:
            self.forget()

    def _remove(self, boot: Boot) -> None:
        rested_on = self._waiting.pop(boot, ())
        self._rested_on -= len(rested_on)
        for place in rested_on:
            if isinstance(place, End):
                _discard(self._ends, place, boot)
            else:
                _discard(self._stretches, place.epoch_key, boot)


def _discard(by_place: dict[Place, dict[Boot, Found]], place: Place, boot: Boot) -> None:
    boots = by_place.get(place, {})
    boots.pop(boot, None)
    if not boots:
        by_place.pop(place, None)
