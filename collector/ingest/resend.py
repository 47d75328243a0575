"""Requests to sites to send again, after the ledger was restored from a backup. Pure.

Commands are neither retained nor acknowledged. A site is asked when a batch of it arrives, until its
envelopes name the command in ``obeyed``. An agent that does not know commands never names it, so the pauses
between requests grow.
"""

from msgspec import Struct

from collector.model.message import CommandReport, ResendRequest
from wire.messages.commands import CommandMessage
from wire.messages.envelope import SCHEMA

FIRST_PAUSE_US = 60_000_000
LONGEST_PAUSE_US = 3_600_000_000
ASKED_FOR_US = 8 * 86_400_000_000  # agents keep what has a receipt for 7 days, and may be offline for a while
BOUND = 100_000  # sites: their names come from outside


class _Asked(Struct):
    next_us: int
    pause_us: int


class Resends:
    """Decides for each arriving batch if its site is asked now. Without a request no site is asked."""

    def __init__(self, request: ResendRequest | None) -> None:
        self._request = request
        self._asked: dict[str, _Asked] = {}

    def answer(self, report: CommandReport, now_us: int) -> CommandMessage | None:
        """Command to send to the site of a batch that just arrived, or None."""
        request = self._request
        if request is None or report.obeyed == request.command.id:
            self._asked.pop(report.site, None)
            return None
        if now_us - request.asked_us > ASKED_FOR_US or not self._is_due(report.site, now_us):
            return None
        return CommandMessage(schema=SCHEMA, site=report.site, command=request.command)

    def _is_due(self, site: str, now_us: int) -> bool:
        asked = self._asked.get(site)
        if asked is None:
            if len(self._asked) >= BOUND:
                self._asked.clear()
            self._asked[site] = _Asked(now_us + FIRST_PAUSE_US, FIRST_PAUSE_US)
            return True
        if now_us < asked.next_us:
            return False
        asked.pause_us = min(2 * asked.pause_us, LONGEST_PAUSE_US)
        asked.next_us = now_us + asked.pause_us
        return True
