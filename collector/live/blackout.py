"""When the collector itself was deaf: while it is, and until what waited has come, silence means nothing.

Pure: beginnings and ends in, Unix microseconds, and from them until when a site has to be waited for.
"""

GRACE_US = 300_000_000  # an agent notices within 90 s, comes back within 60, and sends within another 60
MAX_SPELLS = 64


class Blackouts:
    """The spells in which nothing that sites sent reached the ledger: no broker, no ledger, not running."""

    def __init__(self) -> None:
        self._spells: list[tuple[int, int | None]] = []

    @property
    def deaf(self) -> bool:
        """Whether such a spell lasts."""
        return bool(self._spells) and self._spells[-1][1] is None

    def lose(self, since_us: int) -> None:
        """Nothing has been heard for certain since ``since_us``. One that lasts already began earlier."""
        if self.deaf:
            return
        while self._spells and self._spells[-1][0] >= since_us:
            self._spells.pop()  # what was heard within its grace does not make two spells of one
        self._spells.append((since_us, None))
        del self._spells[:-MAX_SPELLS]

    def regain(self, now_us: int) -> None:
        """From now on, what sites send comes through again."""
        if self.deaf:
            begin_us, _ = self._spells[-1]
            self._spells[-1] = (begin_us, max(begin_us, now_us))

    def waited_until(self, due_us: int) -> int | None:
        """Until when to wait for what was due at ``due_us``, or None where that is not known yet.

        What was due before a spell began was missed with ears open. What was due in it, or before its backlog
        can have come, is given the time that this takes.
        """
        for begin_us, end_us in self._spells:
            if due_us <= begin_us:
                break
            if end_us is None:
                return None
            due_us = max(due_us, end_us + GRACE_US)
        return due_us
