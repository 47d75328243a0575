"""Budget for trying keys on packets of unknown sessions.

A STAMP packet names no key: one that belongs to no session costs an HMAC for each key, 5 us. Anybody can send
such packets. Without a bound, 3,000 of them a second keep a reflector of 256 keys busy for four seconds, and
good sites read that as loss.

Three bounds hold together:

| bound | trials |
|---|---|
| all packets | 20,000 a second, a tenth of a processor |
| one address | half of that: the rest is left to the others |
| one flow (address and port) | three packets in a row that fail, then one a second |

Keys of a session and of an address that was verified before are tried without this budget.
"""

from collections import OrderedDict
from typing import TypeVar

Name = TypeVar("Name", str, tuple[str, int])

_S = 1_000_000_000
TRIALS_A_SECOND = 20_000
BURST_TRIALS = 2_048
"""Trials at once: 10 ms of a processor. Threads that send load must not wait for longer."""

FAILURES_A_FLOW = 3
MOST_KNOWN = 4_096


class TokenBucket:
    """Tokens that come back at ``rate`` a second, ``most`` at once."""

    __slots__ = ("_last", "_most", "_rate", "tokens")

    def __init__(self, rate: float, most: float, now: int) -> None:
        self.tokens = most
        self._rate, self._most, self._last = rate, most, now

    def refill(self, now: int) -> float:
        """Tokens at ``now`` (ns)."""
        # The clock of the receive stamps may be set, in either direction.
        elapsed = min(max(now - self._last, 0), _S)
        self._last = now
        self.tokens = min(self.tokens + elapsed * self._rate / _S, self._most)
        return self.tokens


class TrialBudget:
    """Trials left to packets of unknown sessions. Times are the receive stamps of the packets, in ns."""

    def __init__(self, trials_a_second: int = TRIALS_A_SECOND) -> None:
        self._rate = trials_a_second
        self._all: TokenBucket | None = None
        self._hosts: OrderedDict[str, TokenBucket] = OrderedDict()
        self._flows: OrderedDict[tuple[str, int], TokenBucket] = OrderedDict()

    def allows(self, source: tuple[str, int], keys: int, now: int) -> bool:
        """Check if a packet may be tried with so many keys."""
        self._all = self._all or TokenBucket(self._rate, BURST_TRIALS, now)
        flow, host = self._flows.get(source), self._hosts.get(source[0])
        if flow is not None and flow.refill(now) < 1:
            return False
        if host is not None and host.refill(now) < keys:
            return False
        return self._all.refill(now) >= keys

    def spend(self, source: tuple[str, int], trials: int, now: int, *, failed: bool) -> None:
        """Note the trials of a packet that was allowed, and if all of them failed."""
        if self._all is not None:
            self._all.tokens -= trials
        host = _found(self._hosts, source[0], self._rate / 2, BURST_TRIALS / 2, now)
        host.tokens -= trials
        if failed:
            _found(self._flows, source, 1, FAILURES_A_FLOW, now).tokens -= 1
        else:
            self._flows.pop(source, None)


def _found(
    table: OrderedDict[Name, TokenBucket], name: Name, rate: float, most: float, now: int
) -> TokenBucket:
    """Bucket of a name; a full table forgets the one that was used longest ago."""
    bucket = table.setdefault(name, TokenBucket(rate, most, now))
    table.move_to_end(name)
    if len(table) > MOST_KNOWN:
        table.popitem(last=False)
    return bucket
