"""What a sequence of floor verdicts amounts to: Wald's sequential probability ratio test of one direction.

"The line is good" (a test misses the floor with probability ``p0`` at most) against "the line is bad" (with
``p1`` at least). Each decisive verdict adds its log-likelihood ratio to the evidence: ln(p1/p0) for a fail,
ln((1-p1)/(1-p0)) for a pass; what is undetermined, invalid or unconfirmed adds nothing. The test begins with
the first fail of a clear direction and ends at ln((1-beta)/alpha), where a search of the capacity has to
agree, or at ln(beta/(1-alpha)), clear. A condemned direction stays so until the same evidence has gone all
the way back. The parameters come from ``make simulate-floor``; docs/methods.md has its figures.
"""

import math

from msgspec import Struct
from msgspec.structs import replace

from wire.records import FloorValues, Standing, Verdict

MOST_RETESTS = 36  # without a decision: then only the schedule's tests go on, so that bytes are bounded
MOST_DOUBTFUL = 2
BAD_SHARE = 0.98  # of the floor: up to here a test fails, and a search agrees that it does


class Sequential(Struct, frozen=True):
    """The parameters: see the module. ``alpha`` and ``beta`` are the nominal risks of the two errors."""

    p0: float
    p1: float
    alpha: float
    beta: float

    @property
    def of_fail(self) -> float:
        """What a fail adds."""
        return math.log(self.p1 / self.p0)

    @property
    def of_pass(self) -> float:
        """What a pass adds: less than nothing."""
        return math.log((1 - self.p1) / (1 - self.p0))

    @property
    def condemns_at(self) -> float:
        """Evidence from here up condemns."""
        return math.log((1 - self.beta) / self.alpha)

    @property
    def clears_at(self) -> float:
        """Evidence from here down clears."""
        return math.log(self.beta / (1 - self.alpha))


CHOSEN = Sequential(p0=0.2, p1=0.6, alpha=1e-6, beta=1e-1)


class Course(Struct, frozen=True):
    """Where the test of one direction stands.

    ``counted_us`` is when a verdict was counted last, ``verdicts`` how many came since the test began, and
    ``doubtful`` how many of the last told nothing.
    """

    standing: Standing = Standing.CLEAR
    evidence: float = 0.0
    counted_us: int | None = None
    verdicts: int = 0
    doubtful: int = 0

    def after(self, verdict: Verdict, now_us: int, spacing_us: int, test: Sequential = CHOSEN) -> "Course":
        """The course with one more verdict; one that comes too soon after the last says nothing new."""
        if verdict not in (Verdict.PASS, Verdict.FAIL):
            return self if self.standing is Standing.CLEAR else self._doubting()
        if self._is_too_soon(now_us, spacing_us):
            return self
        if self.standing is Standing.CLEAR and verdict is Verdict.PASS:
            return replace(self, counted_us=now_us)
        evidence = self.evidence + (test.of_fail if verdict is Verdict.FAIL else test.of_pass)
        if evidence <= test.clears_at:
            return Course(counted_us=now_us)
        condemned = self.standing is Standing.CONDEMNED
        return Course(
            Standing.CONDEMNED if condemned else Standing.SUSPECT,
            min(evidence, test.condemns_at),
            now_us,
            0 if condemned and evidence >= test.condemns_at else self.verdicts + 1,
        )

    def _doubting(self) -> "Course":
        return replace(self, verdicts=self.verdicts + 1, doubtful=self.doubtful + 1)

    def _is_too_soon(self, now_us: int, spacing_us: int) -> bool:
        return self.counted_us is not None and 0 <= now_us - self.counted_us < spacing_us

    def awaits_search(self, test: Sequential = CHOSEN) -> bool:
        """Whether all but the search is there for a condemnation."""
        return self.standing is Standing.SUSPECT and self.evidence >= test.condemns_at

    def searched(self, maximum_bps: float, floor_bps: float) -> "Course":
        """The course after a search: condemned if its maximum fails too, else what led to it was wrong."""
        if maximum_bps <= BAD_SHARE * floor_bps:
            return replace(self, standing=Standing.CONDEMNED, verdicts=0)
        return Course(counted_us=self.counted_us)

    def asks_again(self, verdict: Verdict, test: Sequential = CHOSEN) -> bool:
        """Whether a verdict is to be followed by a retest.

        A suspect direction is tested until it is decided. A condemned one that begins to recover and fails
        is tested until the evidence is whole again, so that a line that is bad in the evenings only stays
        condemned. Several verdicts in a row that tell nothing are left to the schedule: a line right at the
        floor would otherwise be tested for ever.
        """
        if self.verdicts > MOST_RETESTS or self.doubtful > MOST_DOUBTFUL:
            return False
        if self.standing is Standing.CONDEMNED:
            return verdict is Verdict.FAIL and self.evidence < test.condemns_at
        return self.standing is Standing.SUSPECT


def recalled(values: FloorValues) -> Course:
    """The course as a record tells it, for an agent that was started anew."""
    return Course(values.standing or Standing.CLEAR, values.evidence or 0.0)
