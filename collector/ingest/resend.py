"""Requests to sites to send again what a restored ledger lacks. Pure; ``now_us`` is a monotonic clock.

Commands are neither retained nor acknowledged. When a batch of a site arrives, the collector looks up what
the ledger lacks of that site. It asks for that by epoch and sequence numbers. No time decides: the clocks of
agents and collector may be wrong.

| the site                              | the next look                                          |
|---------------------------------------|--------------------------------------------------------|
| was asked                             | a minute later, and then after longer and longer pauses|
| lacks nothing, or what it cannot send | in an hour: the mark of an epoch may name another one  |

A site is asked with the same command until its envelopes name it in ``obeyed``. What it lacks within the
ranges of an obeyed command is on its way, or is lost there; it is not asked for again.
"""

from collections.abc import Callable, Sequence

from msgspec import Struct
from msgspec.structs import replace

from collector.model.message import CommandReport, ResendRequest
from wire.messages.commands import CommandMessage, Resend
from wire.messages.envelope import SCHEMA, EpochRange

FIRST_PAUSE_US = 60_000_000
LONGEST_PAUSE_US = 3_600_000_000
BOUND = 100_000  # sites: their names come from outside
MOST_OBEYED = 2000  # ranges remembered of one site


class _Asked(Struct):
    next_us: int
    pause_us: int
    command: Resend | None = None
    obeyed: tuple[EpochRange, ...] = ()


class Resends:
    """Decides when to look what a site lacks, and what to ask it for; without a request, never."""

    def __init__(self, request: ResendRequest | None, new_id: Callable[[], str]) -> None:
        self._request = request
        self._new_id = new_id
        self._asked: dict[str, _Asked] = {}

    def is_due(self, report: CommandReport, now_us: int) -> bool:
        """Take note of a site's batch; returns true if it is time to look what the site lacks."""
        if self._request is None:
            return False
        asked = self._asked.get(report.site)
        if asked is None:
            if len(self._asked) >= BOUND:
                self._asked.clear()
            self._asked[report.site] = _Asked(now_us + FIRST_PAUSE_US, FIRST_PAUSE_US)
            return True
        if asked.command is not None and report.obeyed == asked.command.id:
            asked.obeyed = (*asked.obeyed, *asked.command.ranges)[-MOST_OBEYED:]
            asked.command, asked.pause_us = None, FIRST_PAUSE_US
            asked.next_us = min(asked.next_us, now_us + FIRST_PAUSE_US)
        if now_us < asked.next_us:
            return False
        asked.pause_us = min(2 * asked.pause_us, LONGEST_PAUSE_US)
        asked.next_us = now_us + asked.pause_us
        return True

    def command(self, site: str, lacking: Sequence[EpochRange], now_us: int) -> CommandMessage | None:
        """Command to a site of which the ledger lacks these numbers, or None if it is not asked now."""
        asked = self._asked.get(site)
        if self._request is None or asked is None:
            return None
        wanted = tuple(one for one in lacking if not _is_within(one, asked.obeyed))
        if not wanted:
            asked.command, asked.next_us = None, now_us + LONGEST_PAUSE_US
            return None
        if asked.command is None:
            asked.command = replace(self._request.command, id=self._new_id(), ranges=wanted)
        return CommandMessage(schema=SCHEMA, site=site, command=asked.command)


def _is_within(one: EpochRange, ranges: Sequence[EpochRange]) -> bool:
    return any(
        one.epoch == other.epoch and other.first <= one.first and one.last <= other.last for other in ranges
    )
