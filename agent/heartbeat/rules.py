"""End of the previous run of the agent, as a record. Pure."""

from collections.abc import Callable

from msgspec import Struct

from outbox.journal.heartbeat import WRITE_BACK_US, Heartbeat
from outbox.rows import PreviousRun
from wire.records import Cause, ClockReading, ReachabilityValues


class PreviousRunEnd(Struct, frozen=True):
    """The last sign of life of the previous run, and whether it was the last of an orderly end."""

    last: ClockReading
    orderly: bool


def ending(beat: Heartbeat | None, journal: PreviousRun | None) -> PreviousRunEnd | None:
    """Combine the knowledge of heartbeat and journal; None if neither knows of a run.

    The journal is right where they differ: it is durable, and a power cut may leave the heartbeat of a run
    before the last one.
    """
    known = [] if journal is None else [one for one in (journal.last, journal.closed) if one is not None]
    # After a power cut the heartbeat on the disk may be of a boot before the journal's last one.
    if beat is not None and (not known or beat.clock.boot_id == known[-1].boot_id):
        known.append(beat.clock)
    if not known:
        return None
    orderly = journal.clean if journal is not None else beat is not None and beat.stopped
    # By CLOCK_BOOTTIME: all are of one boot, in which the wall clock may have been set.
    return PreviousRunEnd(max(known, key=lambda one: one.boot_us), orderly)


class RunOutage(Struct, frozen=True):
    """The outage between two runs, and what its values do not say."""

    values: ReachabilityValues
    detail: str


def outage(ending: PreviousRunEnd, now: ClockReading, every_us: int, new_id: Callable[[], str]) -> RunOutage:
    """The time from the last sign of life to ``now``; there was one every ``every_us``.

    It began at that sign of life or, at most its error, later. Another boot and no orderly end: power cut,
    a crash and a reset look the same from here.
    """
    same_boot = ending.last.boot_id == now.boot_id
    if ending.orderly:
        cause, error_us, detail = Cause.AGENT, 0, "the agent was stopped in order"
    elif same_boot:
        cause, error_us, detail = Cause.AGENT, every_us, "the agent's process died"
    else:
        # The heartbeat was in the page cache only; a power cut takes what was not written back.
        cause, error_us = Cause.UNKNOWN, every_us + WRITE_BACK_US
        detail = "the machine restarted without an orderly stop: power cut, crash or reset"
    values = ReachabilityValues(
        outage=new_id(), cause=cause, begin=ending.last, begin_error_us=error_us, end=now, end_error_us=0
    )
    return RunOutage(values, detail)
