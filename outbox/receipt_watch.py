"""Watch over receipts: their arrival or absence shows whether the collector works. Pure."""

from wire.records import ClockReading


class ReceiptWatch:
    """Moments of receipts and of batches without one.

    ``newest`` is the newest receipt. ``unanswered`` is when the broker took the first batch after it.
    ``missed`` is the newest earlier batch without a receipt. The batch sent last does not count: the receipt
    may be its own.
    """

    def __init__(self) -> None:
        self.newest: ClockReading | None = None
        self.unanswered: ClockReading | None = None
        self.missed: ClockReading | None = None
        self._last: ClockReading | None = None
        self._before: ClockReading | None = None

    def forget_sent(self) -> None:
        """Forget the batches sent so far: in a new session, or over a line in doubt, they prove nothing."""
        self.unanswered = self._last = self._before = None

    def taken(self, sent: ClockReading, now: ClockReading) -> None:
        """Note that the broker acknowledged a batch sent at ``sent``. Its receipt may have come before."""
        # A receipt can be missed only from here on: until now the batch may have waited for a line that was
        # down.
        if self.newest is not None and self.newest.boot_us >= sent.boot_us:
            return
        self.unanswered = self.unanswered or now
        self._before, self._last = self._last, now

    def received(self, now: ClockReading) -> None:
        """Note that a receipt arrived."""
        self.newest, self.missed, self.unanswered = now, self._before, None
        self._last = self._before = None
