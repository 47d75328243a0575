"""Sequential test of one direction: Wald's sequential probability ratio test over its floor verdicts. Pure.

Hypothesis *good*: a test misses the floor with probability ``p0`` at most. Hypothesis *bad*: with ``p1`` at
least. Evidence is the log-likelihood ratio of the two. A fail adds ln(p1/p0) = 1.10, a pass adds
ln((1-p1)/(1-p0)) = -0.69. The two boundaries are ln((1-beta)/alpha) = 13.71 and ln(beta/(1-alpha)) = -2.30.

| standing | event | next standing | evidence |
|---|---|---|---|
| clear | pass | clear | 0 |
| clear | fail | suspect | 1.10 |
| suspect | pass or fail | suspect; clear at -2.30 or less | -0.69 or +1.10 |
| suspect at 13.71 or more | search finds at most 98 % of the floor | condemned | as it is |
| suspect at 13.71 or more | search finds more | clear: what led to it was wrong | 0 |
| condemned | pass | condemned; clear at -2.30 or less | -0.69 |
| condemned | fail | condemned | +1.10, up to 13.71 |
| any | undetermined, invalid or unconfirmed | the same | as it is |
| any | a verdict within ``spacing`` of the last counted one: no new sample | the same | as it is |

Retests follow a verdict while a direction is suspect, and while a condemned one fails below 13.71. The second
rule keeps a line condemned that is bad in the evenings only. Retests end after ``MOST_RETESTS`` verdicts
without a decision, and after more than ``MOST_INDECISIVE`` of them that said nothing.

What must never happen: a condemnation by fails alone, and one by a single bad hour. The parameters come from
``make simulate-floor``; docs/methods.md has its figures, decisions 10 and 17 what they rest on.
"""

import math

from msgspec import Struct
from msgspec.structs import replace

from agent.probes.floor.rules.judged_test import FAIL_SHARE
from wire.records import FloorValues, Standing, Verdict

MOST_RETESTS = 36  # three hours: without a decision by then, only the schedule continues, which bounds bytes
MOST_INDECISIVE = 2  # a line right at the floor would be tested for ever


class SequentialTest(Struct, frozen=True):
    """Parameters of the test. ``alpha`` and ``beta`` are the nominal probabilities of the two errors."""

    p0: float
    p1: float
    alpha: float
    beta: float

    @property
    def of_fail(self) -> float:
        """Evidence that a fail adds."""
        return math.log(self.p1 / self.p0)

    @property
    def of_pass(self) -> float:
        """Evidence that a pass adds, which is negative."""
        return math.log((1 - self.p1) / (1 - self.p0))

    @property
    def condemns_at(self) -> float:
        """Upper boundary: from here up a search decides on a condemnation."""
        return math.log((1 - self.beta) / self.alpha)

    @property
    def clears_at(self) -> float:
        """Lower boundary: from here down a direction is clear."""
        return math.log(self.beta / (1 - self.alpha))


CHOSEN = SequentialTest(p0=0.2, p1=0.6, alpha=1e-6, beta=1e-1)  # decision 10 compares others


class SequentialState(Struct, frozen=True):
    """State of the test of one direction.

    ``counted_us`` is when the last verdict was counted, on CLOCK_BOOTTIME. ``verdicts`` counts verdicts since
    the test began, ``indecisive`` those that said nothing since the last counted one.
    """

    standing: Standing = Standing.CLEAR
    evidence: float = 0.0
    counted_us: int | None = None
    verdicts: int = 0
    indecisive: int = 0

    def after(
        self, verdict: Verdict, now_us: int, spacing_us: int, test: SequentialTest = CHOSEN
    ) -> "SequentialState":
        """State after one more verdict, by the table of this module."""
        if verdict not in (Verdict.PASS, Verdict.FAIL):
            return self if self.standing is Standing.CLEAR else self._after_indecisive()
        if self._is_too_soon(now_us, spacing_us):
            return self
        if self.standing is Standing.CLEAR and verdict is Verdict.PASS:
            return replace(self, counted_us=now_us)
        evidence = self.evidence + (test.of_fail if verdict is Verdict.FAIL else test.of_pass)
        if evidence <= test.clears_at:
            return SequentialState(counted_us=now_us)
        condemned = self.standing is Standing.CONDEMNED
        return SequentialState(
            Standing.CONDEMNED if condemned else Standing.SUSPECT,
            min(evidence, test.condemns_at),
            now_us,
            0 if condemned and evidence >= test.condemns_at else self.verdicts + 1,
        )

    def _after_indecisive(self) -> "SequentialState":
        return replace(self, verdicts=self.verdicts + 1, indecisive=self.indecisive + 1)

    def _is_too_soon(self, now_us: int, spacing_us: int) -> bool:
        # Negative where the boot clock began again: that hinders nothing.
        return self.counted_us is not None and 0 <= now_us - self.counted_us < spacing_us

    def awaits_search(self, test: SequentialTest = CHOSEN) -> bool:
        """True if only the search is missing for a condemnation."""
        return self.standing is Standing.SUSPECT and self.evidence >= test.condemns_at

    def after_search(self, maximum_bps: float, floor_bps: float) -> "SequentialState":
        """State after a search of the capacity: condemned if its maximum fails, too, else clear."""
        if maximum_bps <= FAIL_SHARE * floor_bps:
            return replace(self, standing=Standing.CONDEMNED, verdicts=0)
        return SequentialState(counted_us=self.counted_us)

    def wants_retest(self, verdict: Verdict, test: SequentialTest = CHOSEN) -> bool:
        """True if a retest is to follow ``verdict``, the newest."""
        if self.verdicts > MOST_RETESTS or self.indecisive > MOST_INDECISIVE:
            return False
        if self.standing is Standing.CONDEMNED:
            return verdict is Verdict.FAIL and self.evidence < test.condemns_at
        return self.standing is Standing.SUSPECT


def resumed(values: FloorValues) -> SequentialState:
    """State in a record, for an agent that was restarted."""
    return SequentialState(values.standing or Standing.CLEAR, values.evidence or 0.0)
