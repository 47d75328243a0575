"""Preference between the addresses of one host. Pure.

The order in which addresses are tried; within a line the earlier order stays:

| place | addresses | reason |
|---|---|---|
| 1 | proved, and in the newest answer of the resolver | they work, and are meant |
| 2 | proved, and not in the newest answer | they work; the answer may be a lie, or a part of a pool |
| 3 | answered, not tried yet; families take turns, IPv6 first (RFC 8305 section 4) | |
| 4 | failed since their last proof, the oldest failure first | each is tried again in turn |

What must never happen: an answer of a resolver displaces an address that works.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from itertools import chain, zip_longest

# More addresses than a dual-stack pool behind one name has. What a resolver adds to them is not kept.
MOST_ADDRESSES = 8


class AddressPreference:
    """Addresses of one host: ``answered`` by a resolver, ``proved`` by what authenticates."""

    def __init__(self, answered: Sequence[str] = (), proved: Sequence[str] = ()) -> None:
        self.answered = tuple(answered)[:MOST_ADDRESSES]
        self.proved = tuple(proved)[:MOST_ADDRESSES]
        self._failed: tuple[str, ...] = ()

    def candidates(self) -> tuple[str, ...]:
        """Addresses in the order in which they are to be tried."""
        working = [one for one in self.proved if one not in self._failed]
        meant = [one for one in working if one in self.answered]
        others = [one for one in working if one not in self.answered]
        untried = [one for one in self.answered if one not in self.proved and one not in self._failed]
        return (*meant, *others, *_interleaved(untried), *self._failed)[:MOST_ADDRESSES]

    def take_answer(self, addresses: Iterable[str]) -> None:
        """Replace the resolver's answer."""
        self.answered = tuple(dict.fromkeys(addresses))[:MOST_ADDRESSES]
        self._failed = tuple(one for one in self._failed if one in self.answered or one in self.proved)

    def prove(self, address: str) -> None:
        """Record that ``address`` works. The preferred one stays preferred: both may work."""
        self._failed = _without(self._failed, address)
        if address not in self.proved:
            self.proved = (*self.proved[: MOST_ADDRESSES - 1], address)

    def fail(self, address: str) -> None:
        """Record that ``address`` does not work at present: it comes last, also when it works again."""
        if address in self.proved:
            self.proved = (*_without(self.proved, address), address)
        if address in self.proved or address in self.answered:
            self._failed = (*_without(self._failed, address), address)


def family_name(address: str) -> str:
    """``IPv6`` or ``IPv4``."""
    return "IPv6" if ":" in address else "IPv4"


def is_address(text: str) -> bool:
    """True for an IPv4 or IPv6 address, also one with a zone."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _interleaved(addresses: Sequence[str]) -> list[str]:
    six = [one for one in addresses if ":" in one]
    four = [one for one in addresses if ":" not in one]
    return [one for one in chain.from_iterable(zip_longest(six, four)) if one is not None]


def _without(addresses: tuple[str, ...], address: str) -> tuple[str, ...]:
    return tuple(one for one in addresses if one != address)
