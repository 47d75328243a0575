"""What receipts, and their absence, tell of the collector. No I/O, no clock."""

from wire.records import ClockReading


class ReceiptWatch:
    """``unanswered``: when the broker took the first batch after the newest receipt.

    ``heard``: the newest receipt. ``missed``: the newest batch before it that brought none, as far as that
    can be told: a receipt for the batch just sent may have waited for it alone.
    """

    def __init__(self) -> None:
        self.unanswered: ClockReading | None = None
        self.heard: ClockReading | None = None
        self.missed: ClockReading | None = None
        self._newest: ClockReading | None = None
        self._before: ClockReading | None = None

    def begin_anew(self) -> None:
        """Another session with the broker, or a line in doubt: what was sent before proves nothing."""
        self.unanswered = self._newest = self._before = None

    def taken(self, sent: ClockReading, now: ClockReading) -> None:
        """The broker says that it took a batch. Its receipt may have come before.

        Only from then on can one be missed: before, the batch may have waited for a line that was out.
        """
        if self.heard is not None and self.heard.boot_us >= sent.boot_us:
            return
        self.unanswered = self.unanswered or now
        self._before, self._newest = self._newest, now

    def received(self, now: ClockReading) -> None:
        """The collector gave a receipt."""
        self.heard, self.missed, self.unanswered = now, self._before, None
        self._newest = self._before = None
