"""Poll history of one target: polls without an answer, and answers in a row. Pure.

A single lost packet is no sign of an outage, nor are a few on a full line. A target therefore counts as
silent only after a row of polls without an answer, and as back only after a row of answers. RFC 5880 (BFD)
calls the length of such a row the detection multiplier.

What each event does to the counts (an empty field: nothing):

| event | unanswered polls | answers in a row | known |
|---|---|---|---|
| poll | +1 | 0, if an earlier poll is unanswered | |
| wait (an earlier poll still waits) | +1 | | |
| answer, however late | 0 | +1 | yes |
| refusal (ICMP port unreachable, TCP reset) | | | |
| acceptance (TCP was established, nothing was proved) | | | |
| proof (a session, a receipt, which outlast single answers) | 0 | at least ``ANSWERS`` | yes |
| reset (earlier counts are dropped) | 0 | 0 | |
| replacement (another machine has its place now) | 0 | 0 | no |

Only an answer counts, because it authenticates where the target can. Any box on the way can refuse or accept
in the target's place: the times of both are kept, as hints.

The states follow from the counts:

| state | condition | meaning |
|---|---|---|
| silent | ``POLLS`` unanswered polls, the newest ``answer_wait_us`` old | the program does not answer |
| back | ``ANSWERS`` answers in a row | a former silence is over |

*Known* means that it answered at some time, perhaps to an earlier run of the agent. The silence of a target
that is not known to answer proves nothing. All times are clock readings of one boot.
"""

from msgspec import Struct, field

from wire.records import ClockReading

# Polls without an answer that make a silence: with 10 % loss in all, one false silence in 100,000.
POLLS = 5
# Answers in a row that end a silence: a single one may be the last.
ANSWERS = 3


class PollRow(Struct):
    """Polls in a row that stayed without an answer, and the time of the first."""

    count: int = 0
    first: ClockReading | None = None

    def add(self, now: ClockReading) -> None:
        """Count one more poll."""
        self.count += 1
        self.first = self.first or now

    def clear(self) -> None:
        """Count from 0 again."""
        self.count, self.first = 0, None


class AnswerRow(Struct):
    """Answers in a row, the time of the first, and the newest unanswered poll before the row."""

    count: int = 0
    first: ClockReading | None = None
    last_missed: ClockReading | None = None


class TargetHistory(Struct):
    """Polls and answers of one target; ``answer_wait_us`` is the time an answer may take.

    ``unanswered`` counts polls since the newest answer.
    """

    answer_wait_us: int
    known: bool = False
    last_poll: ClockReading | None = None
    last_answer: ClockReading | None = None
    last_refusal: ClockReading | None = None
    last_acceptance: ClockReading | None = None
    unanswered: PollRow = field(default_factory=PollRow)
    answers: AnswerRow = field(default_factory=AnswerRow)

    def poll(self, now: ClockReading) -> None:
        """Record that the target was polled."""
        if self.unanswered.count and self.last_poll is not None:
            self.answers.count, self.answers.last_missed = 0, self.last_poll
        self.unanswered.add(now)
        self.last_poll = now

    def wait(self, now: ClockReading) -> None:
        """Record that an earlier poll still waits, such as a lookup that the C library repeats.

        It counts as one more poll, but not as a newer one: the change may be older than this moment.
        """
        self.unanswered.add(now)

    def answer(self, now: ClockReading) -> None:
        """Record an answer, to whichever poll."""
        if not self.answers.count:
            self.answers.first = now
        self.answers.count += 1
        self.known, self.last_answer = True, now
        self.unanswered.clear()

    def prove(self, now: ClockReading) -> None:
        """Record evidence that counts as a whole row of answers, such as a session."""
        self.answer(now)
        self.answers.count = max(self.answers.count, ANSWERS)

    def refuse(self, now: ClockReading) -> None:
        """Record a refusal in the target's name: nothing listens there."""
        self.last_refusal = now

    def accept(self, now: ClockReading) -> None:
        """Record that something took a connection to the target."""
        self.last_acceptance = now

    def reset(self) -> None:
        """Count polls and answers from 0 again; what is known of the target stays."""
        self.unanswered.clear()
        self.answers.count = 0

    def replace(self) -> None:
        """Forget the target, because another machine has its place now."""
        self.known = False
        self.last_answer = self.last_refusal = self.last_acceptance = None
        self.reset()

    def is_overdue(self, now: ClockReading) -> bool:
        """True if the newest poll is unanswered after ``answer_wait_us``."""
        last = self.last_poll
        if last is None or not self.unanswered.count:
            return False
        return now.boot_us - last.boot_us >= self.answer_wait_us

    def is_silent(self, now: ClockReading) -> bool:
        """True if a whole row of polls is without an answer."""
        return self.unanswered.count >= POLLS and self.is_overdue(now)

    def is_back(self) -> bool:
        """True if a whole row of polls was answered."""
        return self.answers.count >= ANSWERS

    def was_polled_after(self, then: ClockReading) -> bool:
        """True if a poll later than ``then`` is unanswered."""
        first = self.unanswered.first
        return first is not None and first.boot_us > then.boot_us

    def answered_since(self, then: ClockReading | None) -> bool:
        """True if there was an answer at ``then`` or later; at any time where ``then`` is None."""
        return _is_since(self.last_answer, then)

    def refused_since(self, then: ClockReading | None) -> bool:
        """True if there was a refusal at ``then`` or later; at any time where ``then`` is None."""
        return _is_since(self.last_refusal, then)

    def accepted_since(self, then: ClockReading | None) -> bool:
        """True if a connection was accepted at ``then`` or later; at any time where ``then`` is None."""
        return _is_since(self.last_acceptance, then)

    def was_asked_since(self, then: ClockReading | None) -> bool:
        """True if it was polled, or answered unasked, at ``then`` or later."""
        return _is_since(self.last_poll, then) or self.answered_since(then)


def _is_since(moment: ClockReading | None, then: ClockReading | None) -> bool:
    return moment is not None and (then is None or moment.boot_us >= then.boot_us)


def latest(*moments: ClockReading | None) -> ClockReading | None:
    """Latest of the moments that are not None, if any."""
    return max((one for one in moments if one is not None), key=lambda one: one.boot_us, default=None)


def earliest(*moments: ClockReading | None) -> ClockReading | None:
    """Earliest of the moments that are not None, if any."""
    return min((one for one in moments if one is not None), key=lambda one: one.boot_us, default=None)
