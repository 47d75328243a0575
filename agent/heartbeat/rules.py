"""How the run of the agent before this one ended, as a record. No I/O, no clock."""

from collections.abc import Callable

from msgspec import Struct

from agent.heartbeat.alive_file import Alive
from agent.journal.entries import PreviousEnd
from wire.records import Cause, ClockReading, ReachabilityValues

LATE_US = 45_000_000
"""How old what a power cut leaves of a file may be: Linux writes it back after 30 s, looks for what is to be
written back every 5, and ext4 commits every 5 (vm.dirty_expire_centisecs, vm.dirty_writeback_centisecs)."""


class Ending(Struct, frozen=True):
    """The last sign of life of the run before, and whether it was the last of an orderly end."""

    last: ClockReading
    orderly: bool


def ending(alive: Alive | None, journal: PreviousEnd | None) -> Ending | None:
    """What the sign of life beside the journal and the journal itself know; None if neither knows of a run.

    The journal is right where they differ: it is durable, and a power cut may leave a sign of life of a run
    before the last one.
    """
    known = [] if journal is None else [one for one in (journal.last, journal.closed) if one is not None]
    if alive is not None and (not known or alive.clock.boot_id == known[-1].boot_id):
        known.append(alive.clock)
    if not known:
        return None
    orderly = journal.clean if journal is not None else alive is not None and alive.stopped
    return Ending(max(known, key=lambda one: one.boot_us), orderly)


class Told(Struct, frozen=True):
    """The outage, and what of it the values do not say."""

    values: ReachabilityValues
    detail: str


def tell(ending: Ending, now: ClockReading, every_us: int, new_id: Callable[[], str]) -> Told:
    """The time from the last sign of life to ``now``; there was one every ``every_us``.

    It began at that sign of life or, at most its error, later. Another boot and no orderly end: power cut,
    crash and reset cannot be told apart from here.
    """
    same_boot = ending.last.boot_id == now.boot_id
    if ending.orderly:
        cause, error_us, detail = Cause.AGENT, 0, "the agent was stopped in order"
    elif same_boot:
        cause, error_us, detail = Cause.AGENT, every_us, "the agent's process died"
    else:
        cause, error_us = Cause.UNKNOWN, every_us + LATE_US
        detail = "the machine began anew without an orderly stop: power cut, crash or reset"
    values = ReachabilityValues(
        outage=new_id(),
        cause=cause,
        begin=ending.last,
        begin_error_us=error_us,
        end=now,
        end_error_us=0,
    )
    return Told(values, detail)
