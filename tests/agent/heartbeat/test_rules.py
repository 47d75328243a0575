"""End of the previous run, by value."""

import pytest

from agent.heartbeat import rules
from agent.heartbeat.rules import PreviousRunEnd
from outbox.journal.heartbeat import Heartbeat
from outbox.rows import PreviousRun
from tests.agent.probes.reachability.world import at
from wire.records import Cause

NOW = at(1000)
JOURNAL_DIED = PreviousRun(last=at(80), closed=None)
JOURNAL_CLOSED = PreviousRun(last=at(80), closed=at(103))


@pytest.mark.parametrize(
    ("beat", "journal", "expected"),
    [
        (None, None, None),
        (Heartbeat(at(90)), None, PreviousRunEnd(at(90), orderly=False)),
        (Heartbeat(at(90), stopped=True), None, PreviousRunEnd(at(90), orderly=True)),
        (None, JOURNAL_DIED, PreviousRunEnd(at(80), orderly=False)),
        (None, PreviousRun(None, None), None),
        (Heartbeat(at(90)), PreviousRun(None, None), PreviousRunEnd(at(90), orderly=False)),
        (Heartbeat(at(90)), JOURNAL_DIED, PreviousRunEnd(at(90), orderly=False)),
        (Heartbeat(at(70)), JOURNAL_DIED, PreviousRunEnd(at(80), orderly=False)),
        (Heartbeat(at(90)), JOURNAL_CLOSED, PreviousRunEnd(at(103), orderly=True)),
        # What a power cut left of a run before the last one: its sign of life never reached the disk.
        (Heartbeat(at(900, "older"), stopped=True), JOURNAL_DIED, PreviousRunEnd(at(80), orderly=False)),
        (Heartbeat(at(75), stopped=True), JOURNAL_DIED, PreviousRunEnd(at(80), orderly=False)),
    ],
)
def test_the_latest_of_what_is_known_counts_and_the_journal_knows_best(
    beat: Heartbeat | None, journal: PreviousRun | None, expected: PreviousRunEnd | None
) -> None:
    assert rules.ending(beat, journal) == expected


@pytest.mark.parametrize(("ending", "cause", "error_us", "words"), [
    (PreviousRunEnd(at(100), orderly=True), Cause.AGENT, 0, "stopped in order"),
    (PreviousRunEnd(at(100, "another"), orderly=True), Cause.AGENT, 0, "stopped in order"),
    (PreviousRunEnd(at(100), orderly=False), Cause.AGENT, 10_000_000, "process died"),
    (PreviousRunEnd(at(100, "another"), orderly=False), Cause.UNKNOWN, 55_000_000,
     "power cut, crash or reset"),
])  # fmt: skip
def test_only_another_boot_without_an_orderly_end_is_unknown(
    ending: PreviousRunEnd, cause: Cause, error_us: int, words: str
) -> None:
    told = rules.outage(ending, NOW, 10_000_000, lambda: "name")
    values = told.values
    assert (values.cause, values.begin, values.end) == (cause, ending.last, NOW)
    assert (values.begin_error_us, values.end_error_us, values.outage) == (error_us, 0, "name")
    assert words in told.detail
