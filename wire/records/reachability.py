"""Record of the reachability probe: an outage at its beginning, and again at its end."""

from typing import Annotated

from msgspec import Meta

from wire.records.attempt import Measurement, Values
from wire.records.moments import ClockReading
from wire.records.vocabulary import Cause, Micros, Name


class ReachabilityValues(Values, frozen=True, kw_only=True, omit_defaults=True):
    """One outage. Its first record has no ``end``; the one that has it may name a cause that is known better.

    ``outage`` names it in both records. ``begin`` and ``end`` are the first moments at which the change was
    seen, each at most its error after the change itself. An agent that stopped is the exception: it was last
    alive at ``begin``, and stopped at most the error after it.

    ``gateway`` to ``collector`` say who answered when the cause was determined. ``first_hop`` is the router
    beyond the gateway; the collector answers by its receipts. One is absent where it was not asked or its
    answer cannot be known. ``unasked`` names those to which nothing was sent: it proves nothing
    that they did not answer. ``impostor``: something on the way answers in the broker's place.
    """

    outage: Name
    cause: Cause
    begin: ClockReading
    begin_error_us: Micros
    end: ClockReading | None = None
    end_error_us: Micros | None = None
    gateway: bool | None = None
    first_hop: bool | None = None
    peer: bool | None = None
    broker: bool | None = None
    collector: bool | None = None
    unasked: Annotated[tuple[Name, ...], Meta(max_length=8)] = ()
    impostor: bool | None = None


class ReachabilityMeasurement(Measurement, frozen=True, kw_only=True, tag="reachability"):
    """An outage, and where it was."""

    values: ReachabilityValues | None = None
