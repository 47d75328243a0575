"""Loss per direction of a train, from the counter of a stateful reflector (RFC 8762 section 4).

The reflector numbers the packets that it receives. A missing sender number with a missing reflector number
was lost on the return path. A missing sender number without one was lost on the forward path.
"""

from collections.abc import Iterable, Sequence

from msgspec import Struct

# One duplicate of every request: more gaps than that come from a counter that others share.
_MOST_REPLIES_A_REQUEST = 2


class DirectionalLoss(Struct, frozen=True):
    """Packets lost in each direction; every lost packet of the train is in one of the two."""

    sent: int
    forward: int
    returning: int

    @property
    def forward_ratio(self) -> float:
        """Loss ratio of the packets sent to the reflector (RFC 7680 section 4.1)."""
        return self.forward / self.sent if self.sent else 0.0

    @property
    def return_ratio(self) -> float:
        """Loss ratio of the packets that the reflector sent back."""
        reflected = self.sent - self.forward
        return self.returning / reflected if reflected else 0.0


def directional_loss(sent: int, pairs: Sequence[tuple[int, int]]) -> DirectionalLoss | None:
    """Divide the lost packets between the two directions; None where a lost packet has no known direction.

    ``pairs`` are (copied sender number, reflector number) of every reply, duplicates included. The direction
    is unknown in three cases:

    - No reply was received.
    - The last packets are lost: no later number shows if the reflector counted them.
    - The reflector's numbers are no counter of this session.
    """
    if not sent:
        return None
    asked = {request for request, _ in pairs}
    lost = sent - len(asked)
    if not lost:
        return DirectionalLoss(sent, 0, 0)
    # Behind the last reply seen, a lost request and a lost reply look the same.
    if sent - 1 not in asked or not _counts_requests(pairs):
        return None
    # A counter that was running before the train, as after an earlier one from the same port, has an offset.
    first_reply, first_request = min((reply, request) for request, reply in pairs)
    began_before = first_reply > first_request
    # The offset is unknown until the first reply: losses before it cannot be divided.
    if began_before and any(number not in asked for number in range(first_request)):
        return None
    missing = _gaps((reply for _, reply in pairs), first_reply if began_before else 0)
    if missing > _MOST_REPLIES_A_REQUEST * sent:
        return None
    # More gaps than lost packets: duplicates of requests were answered, and those answers were lost.
    returning = min(missing, lost)
    return DirectionalLoss(sent, lost - returning, returning)


def _counts_requests(pairs: Iterable[tuple[int, int]]) -> bool:
    # A restarted counter would use a number for two requests.
    request_of: dict[int, int] = {}
    return all(request_of.setdefault(reply, request) == request for request, reply in pairs)


def _gaps(numbers: Iterable[int], start: int) -> int:
    seen = set(numbers)
    return max(seen) + 1 - start - len(seen)
