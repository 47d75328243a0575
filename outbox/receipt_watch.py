"""Watch over receipts: they, and their absence, show whether the collector works. Pure."""

from wire.records import ClockReading


class ReceiptWatch:
    """Moments of receipts and of batches without one.

    ``newest``: the newest receipt. ``unanswered``: when the broker took the first batch after it. ``missed``:
    the newest batch before it that had no receipt, as far as that can be seen: a receipt for the batch just
    sent may have waited for it alone.
    """

    def __init__(self) -> None:
        self.newest: ClockReading | None = None
        self.unanswered: ClockReading | None = None
        self.missed: ClockReading | None = None
        self._last: ClockReading | None = None
        self._before: ClockReading | None = None

    def begin_anew(self) -> None:
        """Another session with the broker, or a line in doubt: what was sent before proves nothing."""
        self.unanswered = self._last = self._before = None

    def taken(self, sent: ClockReading, now: ClockReading) -> None:
        """The broker acknowledged a batch. Its receipt may have come before.

        Only from then on can one be missed: before, the batch may have waited for a line that was down.
        """
        if self.newest is not None and self.newest.boot_us >= sent.boot_us:
            return
        self.unanswered = self.unanswered or now
        self._before, self._last = self._last, now

    def received(self, now: ClockReading) -> None:
        """The collector gave a receipt."""
        self.newest, self.missed, self.unanswered = now, self._before, None
        self._last = self._before = None
