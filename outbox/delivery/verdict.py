"""What becomes of a batch by what its receipt says of it as a whole. One table, no state."""

from collections.abc import Mapping
from enum import Enum

from wire.messages.envelope import Reason, Receipt


class Answer(Enum):
    """What a receipt says of the batch as a whole."""

    NAMED = "each record by itself"
    FULL = "nothing could be stored"
    TOO_LARGE = "more than the collector takes at once"
    UNREADABLE = "the payload does not decode"
    REFUSED = "nothing from this sender is accepted"


class Fate(Enum):
    """What becomes of the rows of a batch that was rejected whole."""

    SEND_AGAIN = "waiting"
    HALVE = "apart, in two halves"
    ALONE = "apart, each row alone"
    REJECT = "rejected"


VERDICTS: Mapping[tuple[Answer, bool], Fate] = {
    # (answer, several rows)
    (Answer.FULL, False): Fate.SEND_AGAIN,
    (Answer.FULL, True): Fate.SEND_AGAIN,
    (Answer.TOO_LARGE, False): Fate.REJECT,
    (Answer.TOO_LARGE, True): Fate.HALVE,
    (Answer.UNREADABLE, False): Fate.REJECT,
    (Answer.UNREADABLE, True): Fate.ALONE,
    (Answer.REFUSED, False): Fate.REJECT,
    (Answer.REFUSED, True): Fate.REJECT,
}
_ANSWERS = {
    Reason.STORAGE: Answer.FULL,
    Reason.TOO_LARGE: Answer.TOO_LARGE,
    Reason.MALFORMED: Answer.UNREADABLE,
    Reason.INVALID: Answer.UNREADABLE,
}


def answer_of(receipt: Receipt) -> Answer:
    """How a receipt speaks of its batch."""
    if receipt.reason is None or receipt.lines:
        return Answer.NAMED
    return _ANSWERS.get(receipt.reason, Answer.REFUSED)
