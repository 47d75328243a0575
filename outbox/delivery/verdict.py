"""Table of what happens to the rows of a batch that was rejected whole. No state."""

from collections.abc import Mapping
from enum import Enum

from wire.messages.envelope import Reason, Receipt


class Answer(Enum):
    """Statement of a receipt about the batch as a whole."""

    NAMED = "each record by itself"
    FULL = "nothing could be stored"
    TOO_LARGE = "more than the collector takes at once"
    UNREADABLE = "the payload does not decode"
    REFUSED = "nothing from this sender is accepted"


class RowHandling(Enum):
    """Handling of the rows of a batch that was rejected whole."""

    SEND_AGAIN = "waiting"
    HALVE = "apart, in two halves"
    ALONE = "apart, each row alone"
    REJECT = "rejected"


VERDICTS: Mapping[tuple[Answer, bool], RowHandling] = {
    # (answer, several rows)
    (Answer.FULL, False): RowHandling.SEND_AGAIN,
    (Answer.FULL, True): RowHandling.SEND_AGAIN,
    (Answer.TOO_LARGE, False): RowHandling.REJECT,
    (Answer.TOO_LARGE, True): RowHandling.HALVE,
    (Answer.UNREADABLE, False): RowHandling.REJECT,
    (Answer.UNREADABLE, True): RowHandling.ALONE,
    (Answer.REFUSED, False): RowHandling.REJECT,
    (Answer.REFUSED, True): RowHandling.REJECT,
}
_ANSWERS = {
    Reason.STORAGE: Answer.FULL,
    Reason.TOO_LARGE: Answer.TOO_LARGE,
    Reason.MALFORMED: Answer.UNREADABLE,
    Reason.INVALID: Answer.UNREADABLE,
}


def answer_of(receipt: Receipt) -> Answer:
    """Statement of this receipt about its batch."""
    if receipt.reason is None or receipt.lines:
        return Answer.NAMED
    return _ANSWERS.get(receipt.reason, Answer.REFUSED)
