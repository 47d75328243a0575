"""Which rejected measurements are tried again, and in what portions, until the one at fault stands alone.

A batch that is refused whole says nothing of its measurements. They go into quarantine and are tried from
there, newest first, one portion at a time: what is taken has left it, what is refused is halved, until one is
refused alone. Behind that portions grow again from one, for bad ones are often neighbours. A collector that
refuses whatever it is sent shows by that, and is waited for. No I/O, no clock; positions are the journal's,
moments are seconds.
"""

from collections.abc import Sequence

from msgspec import Struct

from agent.journal.entries import BEYOND_ALL

DAY_S = 86_400.0
LONE_REFUSALS = 3
"""In a row, and nothing taken between them: it is the collector, and not those three."""
REFUSALS_A_DAY = 100
PATIENT_REFUSALS, MOST_PATIENCE = 3, 16.0
"""After so many in a row each takes twice as long as the one before, up to so many times the usual."""
NAMED = 64


class Span(Struct, frozen=True):
    """The positions between ``after`` and ``before``, neither included."""

    after: int
    before: int


class Trial:
    """``now`` is the start: all that is in quarantine is tried then, and once a day.

    Not for ever: a release of the collector that rejects in error is mended without touching the sites.
    ``begin``: the position to begin at, before what is newer; 0 begins with the newest. Drawn anew at each
    start, it lets an agent that is often restarted come past many that are bad.
    """

    def __init__(self, now: float, begin: int = 0) -> None:
        self.next_day = now + DAY_S
        self._left = REFUSALS_A_DAY
        self._open = Span(0, begin + 1) if begin else None
        self._next: Span | None = Span(begin, BEYOND_ALL)
        self._suspects = 0  # of the next in turn; one of them at least is at fault
        self._next_suspects = 0
        self._step = BEYOND_ALL
        self._alone = 0
        self._fruitless = 0
        self._trying: tuple[int, ...] = ()
        self._waits = False
        self._named: list[int] = []

    def look(self, now: float) -> None:
        """A new day: everything once more, after what was not reached on the day before."""
        if now >= self.next_day:
            self.next_day = now + DAY_S
            self._left, self._alone, self._fruitless = REFUSALS_A_DAY, 0, 0
            self.again()

    def again(self) -> None:
        """All of the quarantine is tried once more: what was fetched of it may not have been all."""
        self._next, self._next_suspects = Span(0, BEYOND_ALL), 0

    @property
    def ready(self) -> bool:
        """Whether a portion may be sent now, as far as nothing is known of there being none."""
        waits = self._open is not None or self._next is not None
        return waits and not self._waits and self._left > 0 and self._alone < LONE_REFUSALS

    @property
    def patience(self) -> float:
        """How many times the usual pause the next portion is to wait."""
        return float(min(2.0 ** max(0, self._fruitless - PATIENT_REFUSALS), MOST_PATIENCE))

    def portion(self, most: int) -> tuple[Span, int]:
        """Where to look, and how many to take of the newest there. Only while ``ready``."""
        if self._open is None:
            self._open, self._suspects = self._next or Span(0, 0), self._next_suspects
            self._next, self._next_suspects = None, 0
            self._step = BEYOND_ALL
        return self._open, min(most, self._step, max(1, self._suspects // 2) if self._suspects else most)

    def chosen(self, positions: Sequence[int]) -> None:
        """These are about to be sent, newest first; if there are none, this is over."""
        self._trying, self._waits = tuple(positions), bool(positions)
        if not positions:
            self._open, self._suspects = None, 0

    def tries(self, positions: Sequence[int]) -> bool:
        """Whether just these are the portion whose fate comes next, be it lost."""
        return bool(positions) and self._trying == tuple(positions)

    def taken(self, *, any_accepted: bool) -> None:
        """The collector said of each of them what it is: they have had their turn."""
        self._suspects = max(0, self._suspects - len(self._trying))
        self._step = min(2 * self._step, BEYOND_ALL)
        self._go_below(self._trying[-1])
        if any_accepted:
            self.accepted()
        else:
            self._count()

    def refused(self) -> bool:
        """They were refused as a whole; returns whether it was a single one, to be named."""
        positions, self._trying, self._waits = self._trying, (), False
        self._count()
        if len(positions) > 1:
            self._suspects = len(positions)
            return False
        self._suspects, self._step = 0, 1
        self._go_below(positions[-1])
        return self.refused_alone(positions[-1])

    def lost(self) -> None:
        """Nothing was said of them: they are tried again, unless a receipt comes late."""
        self._waits = False

    def denied(self) -> None:
        """Refused for what none of them can help."""
        self._trying, self._waits = (), False
        self._alone = LONE_REFUSALS

    def refused_alone(self, position: int) -> bool:
        """A single one was refused; returns whether it is at fault, and to be named: once."""
        hopeless = self._alone >= LONE_REFUSALS
        self._alone += 1
        if hopeless:
            self._widen(Span(position - 1, position + 1), 0)
            return False
        if position in self._named:
            return False
        self._named = [*self._named, position][-NAMED:]
        return True

    def suspect(self, positions: Sequence[int]) -> None:
        """These, newest first, have just been refused as a whole."""
        self._widen(Span(positions[-1] - 1, positions[0] + 1), len(positions))

    def accepted(self) -> None:
        """The collector took something: it does not refuse everything."""
        self._alone = self._fruitless = 0

    def _widen(self, span: Span, suspects: int) -> None:
        known = self._next
        self._next_suspects = suspects if known is None else 0
        self._next = (
            span if known is None else Span(min(known.after, span.after), max(known.before, span.before))
        )

    def _go_below(self, position: int) -> None:
        self._trying, self._waits = (), False
        if self._open is not None:
            self._open = Span(self._open.after, position)

    def _count(self) -> None:
        self._left -= 1
        self._fruitless += 1
