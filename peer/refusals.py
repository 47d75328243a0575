"""Requests that the peer did not serve: counted by reason, and logged at most once a minute. Pure.

Anybody can send such requests as fast as a line carries them. A log line for each would fill the disk, and
none at all would leave an operator without a trace of a wrong key. The first one after a quiet minute is
logged at once. Those after it are counted, and logged together when the minute is over. No line has an
address.
"""

from collections import Counter

EVERY_NS = 60_000_000_000
MOST_NAMED = 8
_ADVICE = {
    "wrong-key": "compare the secrets of these key ids at both ends",
    "unknown-key-id": "add the key here, or correct peer.key_id of the agent",
    "time": "set the clocks: they differ by more than 5 s",
    "budget": "somebody floods the STAMP port with packets of unknown keys",
    "dropped-by-kernel": "more packets arrive than this machine processes",
}
"""Remedies of reasons that an operator can do something about."""


class Refusals:
    """Counts of requests that were not served, by reason, since the start (``counts``). Times are in ns.

    ``what`` names the requests in the log line.
    """

    def __init__(self, what: str) -> None:
        self.counts: Counter[str] = Counter()
        self._what = what
        self._new: Counter[str] = Counter()
        self._key_ids: dict[str, set[int]] = {}
        self._logged_at: int | None = None

    def note(self, reason: str, key_id: int | None = None, count: int = 1) -> None:
        """Count requests of one reason."""
        self.counts[reason] += count
        self._new[reason] += count
        named = self._key_ids.setdefault(reason, set())
        if key_id is not None and len(named) < MOST_NAMED:
            named.add(key_id)

    def line(self, now: int) -> str | None:
        """Log line that is due now, or None. It covers everything since the line before."""
        if not self._new or (self._logged_at is not None and now - self._logged_at < EVERY_NS):
            return None
        parts = [self._part(reason, count) for reason, count in self._new.most_common()]
        advice = [text for reason, text in _ADVICE.items() if reason in self._new]
        self._logged_at = now
        self._new.clear()
        self._key_ids.clear()
        tail = f": {'; '.join(advice)}" if advice else ""
        return f"{self._what} not served: {', '.join(parts)} ({self.counts.total()} since the start){tail}"

    def _part(self, reason: str, count: int) -> str:
        named = ", ".join(str(one) for one in sorted(self._key_ids.get(reason, ())))
        return f"{count} {reason}" + (f" (key id {named})" if named else "")


class LineLimit:
    """Bound on log lines of one kind: ``most`` of them in ``EVERY_NS``."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._begin: int | None = None
        self._logged = 0

    def allows(self, now: int) -> bool:
        """Check if one more line may be logged, and count it."""
        if self._begin is None or now - self._begin >= EVERY_NS:
            self._begin, self._logged = now, 0
        self._logged += 1
        return self._logged <= self._most
