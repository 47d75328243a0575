"""Poll histories of the addresses of one host: which of them works, and which does not. Pure.

| address | polled |
|---|---|
| never polled | at once |
| one to four polls unanswered | each 0.2 interval |
| answers, or is silent | each ``rarely_us`` |

An address is *dead* when it is silent, and another address of the same host has answered since. Then neither
the host nor the line is the reason, but the way to this address or its family.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.probes.reachability.rules.target_history import POLLS, TargetHistory
from wire.records import ClockReading


class DeadAddress(Struct, frozen=True):
    """Address that does not answer, and one of the same host that does."""

    address: str
    works: str


class AddressHistories:
    """Histories by address; ``rarely_us`` is the time between two polls of one whose state is known."""

    def __init__(self, answer_wait_us: int, rarely_us: int) -> None:
        self._answer_wait_us = answer_wait_us
        self._rarely_us = rarely_us
        self._by_address: dict[str, TargetHistory] = {}

    def of(self, address: str) -> TargetHistory:
        """History of one address."""
        return self._by_address.setdefault(address, TargetHistory(self._answer_wait_us))

    def keep(self, addresses: Sequence[str]) -> None:
        """Forget all other addresses."""
        self._by_address = {one: self.of(one) for one in addresses}

    def due(self, addresses: Sequence[str], now: ClockReading) -> list[str]:
        """Those of ``addresses`` to be polled now."""
        return [one for one in addresses if self._is_due(self.of(one), now)]

    def dead(self, addresses: Sequence[str], now: ClockReading) -> list[DeadAddress]:
        """Dead addresses of a host."""
        return [
            DeadAddress(one, works)
            for one in addresses
            if self.of(one).is_silent(now) and (works := self._working(addresses, one)) is not None
        ]

    def are_silent(self, addresses: Sequence[str], now: ClockReading) -> bool:
        """True if every one of ``addresses`` is silent."""
        return all(self.of(one).is_silent(now) for one in addresses)

    def _working(self, addresses: Sequence[str], silent: str) -> str | None:
        first = self.of(silent).unanswered.first
        others = (one for one in addresses if one != silent)
        return next((one for one in others if first and self.of(one).answered_since(first)), None)

    def _is_due(self, history: TargetHistory, now: ClockReading) -> bool:
        last = history.last_poll
        if last is None:
            return True
        in_doubt = 0 < history.unanswered.count < POLLS
        pause_us = self._answer_wait_us if in_doubt else self._rarely_us
        # A tenth of a look early rather than a whole one late.
        return now.boot_us - last.boot_us >= pause_us - self._answer_wait_us // 10
