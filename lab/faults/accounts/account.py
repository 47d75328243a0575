"""The account of a run: what was journalled, what the ledger holds of it, what was declared lost.

Pure: sets in, an account out. A measurement's content counts by its digest, so that a content which stands
under somebody else's identity, or was altered on the way, is found.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SHOWN = 5

Key = tuple[str, str]  # site and epoch


class RecordIdentity(NamedTuple):
    """Identity of a measurement, the same everywhere."""

    site: str
    epoch: str
    seq: int


class Content(NamedTuple):
    """A measurement's identity and the digest of its JSON."""

    identity: RecordIdentity
    digest: bytes


class DeclaredGap(NamedTuple):
    """The sequence numbers ``first`` to ``last`` of one epoch, declared lost for good."""

    site: str
    epoch: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Noted:
    """Notes of sites, apart from their journals: ``tried`` before, ``committed`` after a commit returned.

    ``let_go`` are those that a journal may forget.
    """

    tried: frozenset[Content] = frozenset()
    committed: frozenset[Content] = frozenset()
    let_go: frozenset[RecordIdentity] = frozenset()

    def __or__(self, other: "Noted") -> "Noted":
        return Noted(self.tried | other.tried, self.committed | other.committed, self.let_go | other.let_go)

    def without(self, is_excused: Callable[[RecordIdentity], bool]) -> "Noted":
        """Without those that may be lost; what is left of them is none that nobody made."""
        kept = frozenset(content for content in self.committed if not is_excused(content.identity))
        return Noted(self.tried, kept, self.let_go)

    def still_kept(self) -> "Noted":
        """Without what may have been forgotten: what a journal itself must still have."""
        kept = frozenset(content for content in self.committed if content.identity not in self.let_go)
        return Noted(self.tried, kept)


@dataclass(frozen=True, slots=True)
class Held:
    """Content of a ledger.

    ``serials`` are unique texts that measurements carry, ``conflicts`` second contents. ``marks`` is the high
    water of each (site, epoch), ``counts`` the ledger's own count of it: committed and declared lost.
    ``forks`` are epochs that more than one epoch follows: a journal that was restored or cloned.
    """

    contents: Counter[Content] = field(default_factory=Counter)
    serials: Mapping[RecordIdentity, str] = field(default_factory=dict)
    conflicts: frozenset[Content] = frozenset()
    gaps: tuple[DeclaredGap, ...] = ()
    marks: Mapping[Key, int] = field(default_factory=dict)
    counts: Mapping[Key, tuple[int, int]] = field(default_factory=dict)
    forks: frozenset[Key] = frozenset()


@dataclass(frozen=True, slots=True)
class Account:
    """Account of a run; it closes if everything journalled is held or declared, and nothing else is.

    ``shown`` are those of ``lost`` that the ledger itself shows as missing. ``premature`` are measurements
    that a journal has as committed and the ledger does not hold. ``beyond`` were committed without a note:
    the kill came between the two. ``missing`` is how many the ledger shows as missing, and ``miscounted`` are
    the epochs of which it counts what it does not hold.
    """

    journalled: int
    held: int
    declared: int
    beyond: int
    conflicts: int
    lost: tuple[RecordIdentity, ...]
    shown: tuple[RecordIdentity, ...]
    duplicated: tuple[RecordIdentity, ...]
    altered: tuple[RecordIdentity, ...]
    invented: tuple[RecordIdentity, ...]
    premature: tuple[RecordIdentity, ...]
    missing: int = 0
    miscounted: tuple[Key, ...] = ()

    @property
    def closes(self) -> bool:
        """True if nothing was lost and nothing invented, and the ledger itself says so."""
        wrong = (self.lost, self.duplicated, self.altered, self.invented, self.premature, self.miscounted)
        return not (any(wrong) or self.conflicts or self.missing)

    def lines(self) -> list[str]:
        """The account for a person."""
        found = [
            f"journalled            {self.journalled:>8,}",
            f"of these in the ledger{self.held:>8,}",
            f"declared gaps         {self.declared:>8,}",
            f"conflicts kept        {self.conflicts:>8,}",
            f"missing, says ledger  {self.missing:>8,}",
            f"epochs miscounted     {len(self.miscounted):>8,}",
        ]
        for name, identities in (
            ("LOST", self.lost),
            ("DUPLICATED", self.duplicated),
            ("ALTERED", self.altered),
            ("INVENTED", self.invented),
            ("COMMITTED, NOT HELD", self.premature),
        ):
            label = name if identities else name.lower()
            found.append(f"{label:<22}{len(identities):>8,}{_some(identities)}")
        if self.beyond:
            found.append(f"(and {self.beyond:,} held that a kill kept from being noted)")
        return [*found, f"the account {'closes' if self.closes else 'DOES NOT CLOSE'}"]


def settle(noted: Noted, held: Held, said: Iterable[RecordIdentity] = ()) -> Account:
    """Compare a ledger with the notes of all sites, and with what their journals ``said`` is committed."""
    there = frozenset(held.contents) | held.conflicts
    tried = {content.identity for content in noted.tried}
    declared = _Declared(held.gaps)
    away = sorted(noted.committed - there)
    lost = [content.identity for content in away if content.identity not in declared]
    shown = [at for at in lost if at.seq <= held.marks.get((at.site, at.epoch), 0)]
    identities = {content.identity for content in there}
    counted = _counted(held, declared)
    return Account(
        journalled=len(noted.committed),
        held=len(noted.committed & there),
        declared=len(away) - len(lost),
        beyond=len(there & noted.tried - noted.committed),
        conflicts=len(held.conflicts),
        lost=tuple(lost),
        shown=tuple(shown),
        duplicated=_duplicated(held),
        altered=_sorted(at.identity for at in there - noted.tried if at.identity in tried),
        invented=_sorted(at for at in identities if at not in tried),
        premature=_sorted(at for at in set(said) if at not in identities),
        missing=sum(held.marks[key] - sum(counts) for key, counts in counted.items()),
        miscounted=tuple(sorted(key for key, counts in held.counts.items() if counts != counted[key])),
    )


def _counted(held: Held, declared: "_Declared") -> dict[Key, tuple[int, int]]:
    """Recount what is committed of each epoch, and what is declared and did not come."""
    seqs: dict[Key, set[int]] = {key: set() for key in held.marks}
    for content in held.contents:
        site, epoch, seq = content.identity
        seqs.setdefault((site, epoch), set()).add(seq)
    return {
        key: (len(seqs[key]), sum(seq not in seqs[key] for seq in declared.seqs(key))) for key in held.marks
    }


class _Declared:
    """Declared gaps, asked for single identities."""

    def __init__(self, gaps: Iterable[DeclaredGap]) -> None:
        self._ranges: dict[Key, list[tuple[int, int]]] = {}
        for gap in gaps:
            self._ranges.setdefault((gap.site, gap.epoch), []).append((gap.first, gap.last))

    def seqs(self, key: Key) -> set[int]:
        """All that is declared of one epoch."""
        return {seq for first, last in self._ranges.get(key, ()) for seq in range(first, last + 1)}

    def __contains__(self, at: RecordIdentity) -> bool:
        return any(first <= at.seq <= last for first, last in self._ranges.get((at.site, at.epoch), ()))


def _duplicated(held: Held) -> tuple[RecordIdentity, ...]:
    """Identities held twice, and all but the first of those that say the same serial."""
    twice = [content.identity for content, count in held.contents.items() if count > 1]
    seen: set[tuple[str, str]] = set()
    for identity, serial in sorted(held.serials.items()):
        if (identity.site, serial) in seen:
            twice.append(identity)
        seen.add((identity.site, serial))
    return _sorted(twice)


def _sorted(identities: Iterable[RecordIdentity]) -> tuple[RecordIdentity, ...]:
    return tuple(sorted(set(identities)))


def _some(identities: tuple[RecordIdentity, ...]) -> str:
    named = ", ".join(f"{at.site}/{at.epoch}/{at.seq}" for at in identities[:SHOWN])
    return f"  {named}{' ...' if len(identities) > SHOWN else ''}" if named else ""
