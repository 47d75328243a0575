"""Reputation of those who set tests up: who proved to hear the peer, and who let set-ups pass. Pure.

A holder is a key and an address. Neither alone would do: many sites may share one, and whoever has a key can
write any address. What tells them apart is that an address has proved to hear the peer (``ends.hearing``). A
*miss* is a set-up that its client did not follow up until that proof.

Trust of a holder, from the lowest:

| trust | proved within a day | misses in a row | its key | waits |
|---|---|---|---|---|
| MISSING | no | two and more | | 2 s, doubled by each further miss, 64 s at most |
| DOUBTFUL | yes | two and more | | no |
| DOUBTFUL | no | none, or one | four misses within a minute | no |
| UNKNOWN | no | none, or one | fewer | no |
| PROVEN | yes | none, or one | | no |

Misses of a proved address give it no wait: another holder of its key may have written it. Nothing here grows
with the number of forged addresses, since every table is bounded.
"""

import ipaddress
from collections import OrderedDict, deque
from enum import IntEnum
from typing import NamedTuple

_S = 1_000_000_000
FIRST_WAIT_NS, LONGEST_WAIT_NS = 2 * _S, 64 * _S
FORGOTTEN_NS = 600 * _S
"""Time after its last miss at which a holder begins anew."""

DOUBT_MISSES, DOUBT_NS = 4, 60 * _S
PROOF_LASTS_NS = 86_400 * _S
MOST_MISSING, MOST_PROVEN = 4096, 8192
_IPV6_SITE_BITS = 64


class Trust(IntEnum):
    """Trust of a holder; see the table above."""

    MISSING = 0
    DOUBTFUL = 1
    UNKNOWN = 2
    PROVEN = 3


class Holder(NamedTuple):
    """Key id, and the address of one site."""

    key_id: int
    address: str

    @classmethod
    def of(cls, key_id: int, address: str) -> "Holder":
        """Holder at a socket's address; an IPv6 site has all addresses of its /64."""
        host = ipaddress.ip_address(address.partition("%")[0])
        if host.version == 6:
            host = ipaddress.ip_network((host, _IPV6_SITE_BITS), strict=False).network_address
        return cls(key_id, str(host))


class Reputation:
    """Misses and proofs of holders, and the trust that follows. Times are monotonic ns."""

    def __init__(self) -> None:
        self._misses: OrderedDict[Holder, tuple[int, int]] = OrderedDict()  # number, time of the last one
        self._proofs: OrderedDict[Holder, int] = OrderedDict()
        self._of_key: dict[int, deque[int]] = {}

    def trust(self, holder: Holder, now: int) -> Trust:
        """Present trust of a holder."""
        is_missing = self._count(holder, now) > 1
        if self._is_proven(holder, now):
            return Trust.DOUBTFUL if is_missing else Trust.PROVEN
        if is_missing:
            return Trust.MISSING
        recent = self._of_key.get(holder.key_id)
        doubted = recent is not None and len(recent) == DOUBT_MISSES and now - recent[0] < DOUBT_NS
        return Trust.DOUBTFUL if doubted else Trust.UNKNOWN

    def waits_until(self, holder: Holder, now: int) -> int:
        """Time before which a holder is not admitted; 0 for none."""
        count = self._count(holder, now)
        if count < 2 or self._is_proven(holder, now):
            return 0
        doublings = min(count - 2, LONGEST_WAIT_NS.bit_length())
        return self._misses[holder][1] + min(FIRST_WAIT_NS << doublings, LONGEST_WAIT_NS)

    def _is_proven(self, holder: Holder, now: int) -> bool:
        proof = self._proofs.get(holder)
        return proof is not None and now - proof < PROOF_LASTS_NS

    def _count(self, holder: Holder, now: int) -> int:
        count, last = self._misses.get(holder, (0, now))
        return count if now - last < FORGOTTEN_NS else 0

    def missed(self, holder: Holder, now: int) -> None:
        """Note a set-up that its client did not follow up."""
        self._misses[holder] = self._count(holder, now) + 1, now
        self._misses.move_to_end(holder)
        if len(self._misses) > MOST_MISSING:
            self._misses.popitem(last=False)
        self._of_key.setdefault(holder.key_id, deque(maxlen=DOUBT_MISSES)).append(now)

    def proved(self, holder: Holder, now: int) -> None:
        """Note a client that has proved that it hears."""
        self._misses.pop(holder, None)
        self._proofs[holder] = now
        self._proofs.move_to_end(holder)
        if len(self._proofs) > MOST_PROVEN:
            self._proofs.popitem(last=False)
