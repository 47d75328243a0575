"""Whether somebody who is asked now and then still answers: asks and answers in, silence out.

One lost packet is no silence, nor are several on a line that is full: only a row of asks without any answer
is. A late answer is one, too. Moments are clock readings of one boot; no clock is read here.
"""

from msgspec import Struct

from wire.records import ClockReading

ASKS = 5
"""In a row without an answer. On a line that loses a tenth of everything that is one silence in 100,000."""
ANSWERS = 3
"""In a row before somebody who was silent counts as back: one answer may be the last one, too."""


class Silence(Struct):
    """What is known of one who is asked.

    ``known``: it has answered at some time, perhaps to an earlier run of the agent. ``answered``: the newest
    answer. ``refused``: its machine said last that nothing listens there. ``since``: the first ask after the
    newest answer, ``mute_since`` after that or a refusal. ``back``: the first answer of the present row of
    answers. ``unheard``: the newest ask that stayed without an answer before that row.
    """

    wait_us: int
    known: bool = False
    answered: ClockReading | None = None
    refused: ClockReading | None = None
    since: ClockReading | None = None
    last: ClockReading | None = None
    asks: int = 0
    mute_since: ClockReading | None = None
    mute_asks: int = 0
    answers: int = 0
    back: ClockReading | None = None
    unheard: ClockReading | None = None

    def ask(self, now: ClockReading) -> None:
        """It was asked."""
        if self.asks and self.last is not None:
            self.answers, self.unheard = 0, self.last
        self.since, self.mute_since = self.since or now, self.mute_since or now
        self.last = now
        self.asks += 1
        self.mute_asks += 1

    def answer(self, now: ClockReading) -> None:
        """It answered, whatever it was asked when."""
        if not self.answers:
            self.back = now
        self.known, self.answered = True, now
        self.since, self.asks = self.mute_since, self.mute_asks = None, 0
        self.answers += 1

    def prove(self, now: ClockReading) -> None:
        """It did what nobody does who is about to fall silent again."""
        self.answer(now)
        self.answers = max(self.answers, ANSWERS)

    def refuse(self, now: ClockReading) -> None:
        """Its machine answered that nothing listens there: the way there is open."""
        self.refused = now
        self.mute_since, self.mute_asks = None, 0

    def begin_anew(self) -> None:
        """Whatever it was not heard to say until now is not held against it."""
        self.since, self.asks = self.mute_since, self.mute_asks = None, 0
        self.answers = 0

    def forget(self) -> None:
        """It is somebody else from now on."""
        self.known, self.answered, self.refused = False, None, None
        self.begin_anew()

    def waits(self, now: ClockReading) -> bool:
        """Whether an ask should have been answered by now, and was not."""
        return self.asks > 0 and self.last is not None and now.boot_us - self.last.boot_us >= self.wait_us

    def is_silent(self, now: ClockReading) -> bool:
        """Whether it was asked often enough in vain, the last time long enough ago."""
        return self.asks >= ASKS and self.waits(now)

    def is_mute(self, now: ClockReading) -> bool:
        """As ``is_silent``, and its machine did not refuse either: perhaps there is no way there."""
        return self.mute_asks >= ASKS and self.waits(now)

    def is_back(self) -> bool:
        """Whether it answered often enough in a row."""
        return self.answers >= ANSWERS

    def is_asked_since(self, then: ClockReading) -> bool:
        """Whether an ask later than ``then`` waits for its answer."""
        return self.since is not None and self.since.boot_us > then.boot_us

    def answers_since(self, then: ClockReading | None) -> bool:
        """Whether there was an answer at ``then`` or later; at any time where that is None."""
        return self.answered is not None and (then is None or self.answered.boot_us >= then.boot_us)

    def refuses_since(self, then: ClockReading | None) -> bool:
        """As ``answers_since``, of the answer that nothing listens there."""
        return self.refused is not None and (then is None or self.refused.boot_us >= then.boot_us)

    def heard(self) -> ClockReading | None:
        """The newest moment at which the way there was open."""
        return latest(self.answered, self.refused)


def latest(*moments: ClockReading | None) -> ClockReading | None:
    """The latest of those that are there."""
    return max((one for one in moments if one is not None), key=lambda one: one.boot_us, default=None)
