"""Screen and exit code of ``plancher-agent status``, from a journal and a status file."""

import dataclasses
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from msgspec.structs import replace

from agent.commands import check, status
from agent.configuration import SETTINGS
from agent.probes.floor.rules.sequential_test import CHOSEN
from agent.report import remedies
from agent.service import status_file
from agent.service.status_file import AgentStatus
from agent.settings.sections import AgentSettings, PeerAccessSettings
from agent.settings.sections import JournalSettings as JournalSettings
from agent.settings.sections import LineCountersSettings as Counted
from outbox.journal import heartbeat
from outbox.journal.heartbeat import Heartbeat
from outbox.journal.journal import Journal
from outbox.rows import Counts, Filing
from tests.collector import examples
from tests.outbox.journalled import CLOCK, build, later
from wire.records import (
    Cause,
    Direction,
    Measurement,
    Outcome,
    Standing,
    Verdict,
)

HOUR_US = 3_600_000_000


def settings(tmp_path: Path) -> AgentSettings:
    return SETTINGS(
        site="A",
        peer=PeerAccessSettings(key="k"),
        journal=JournalSettings(path=str(tmp_path / "state" / "journal.db")),
        runtime_directory=str(tmp_path / "run"),
    )


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    with Journal(tmp_path / "state" / "journal.db", 64_000_000, CLOCK) as opened:
        yield opened


@pytest.fixture
def stranger(journal: Journal, tmp_path: Path) -> Iterator[None]:
    """Be a user who may not enter the journal's directory."""
    place = tmp_path / "state"
    if os.geteuid() == 0:
        os.setresuid(65534, 65534, 0)
    else:
        place.chmod(0)
    yield
    if os.getresuid()[2] == 0:
        os.setresuid(0, 0, 0)
    else:
        place.chmod(0o700)


def test_an_agent_without_a_status_file_is_running(tmp_path: Path) -> None:
    with Journal(tmp_path / "state" / "journal.db", 64_000_000, CLOCK):
        silent = status.look(settings(tmp_path), CLOCK).problems()[0]
    assert silent.startswith(
        f"the agent is running, but writes no status file: may its user write {tmp_path}/run"
    )
    ended = status.look(settings(tmp_path), CLOCK).problems()[0]
    assert ended.startswith("the agent is not running: ")
    assert ended.endswith("; see its log for why it ended")


def test_an_agent_that_never_ran_has_no_log_that_could_say_why(tmp_path: Path) -> None:
    [problem] = status.look(settings(tmp_path), CLOCK).problems()
    remedy = "start its service, or `plancher-agent run`"
    assert problem == f"the agent never ran: no journal at {tmp_path}/state/journal.db: {remedy}"


def test_an_agent_whose_journal_is_gone_did_run(tmp_path: Path) -> None:
    place = tmp_path / "state" / "journal.db"
    with Journal(place, 64_000_000, CLOCK):
        pass
    heartbeat.write(heartbeat.path_beside(place), Heartbeat(CLOCK))
    for file in place.parent.glob("journal.db*"):
        if not file.name.endswith("-heartbeat"):
            file.unlink()
    [problem] = status.look(settings(tmp_path), CLOCK).problems()
    assert problem.startswith(f"the agent is not running, and its journal {place} is gone: ")


@pytest.mark.usefixtures("stranger")
def test_a_journal_of_another_user_is_reported(tmp_path: Path) -> None:
    view = status.look(settings(tmp_path), CLOCK)
    assert view.counts is None
    assert view.journal_problem.endswith("(Permission denied): are you the agent's user?")
    assert not check.journal(tmp_path / "state" / "journal.db").ok


def test_check_tells_a_directory_from_a_journal(tmp_path: Path) -> None:
    finding = check.journal(tmp_path)
    assert (finding.ok, finding.text) == (False, f"{tmp_path} is a directory: give journal.path a file in it")
    (tmp_path / "file").touch()
    assert not check.journal(tmp_path / "file" / "journal.db").ok


def test_a_seldom_task_is_shown_beside_an_often_one(tmp_path: Path, journal: Journal) -> None:
    journal.commit(build, CLOCK, Filing(schedule="floor-down"))
    journal.commit(build, CLOCK, Filing(schedule="stamp-dscp-0"))
    assert len(status.look(settings(tmp_path), later(HOUR_US)).results) == 1  # one task in two schedules


def test_a_task_that_the_settings_no_longer_ask_for_is_forgotten(tmp_path: Path, journal: Journal) -> None:
    journal.commit(build, CLOCK, Filing(schedule="stamp-dscp-0"))

    def made(epoch: str, seq: int, *, at: int) -> Measurement:
        return replace(build(epoch, seq), dscp=46, schedule="stamp-dscp-46", start=later(at))

    for at, shown in ((60_000_000, 2), (HOUR_US, 1)):
        journal.commit(partial(made, at=at), later(at), Filing(schedule="stamp-dscp-46"))
        results = status.look(settings(tmp_path), later(at)).results
        assert [one.line.task for one in results] == ["stamp dscp 0", "stamp dscp 46"][-shown:]


def floored(
    epoch: str, seq: int, *, direction: Direction, standing: Standing | None, verdict: Verdict = Verdict.FAIL
) -> Measurement:
    values = replace(examples.floor_values(verdict), standing=standing, evidence=CHOSEN.condemns_at / 2)
    outcome = Outcome.OK if standing else Outcome.FAILED
    made = examples.floor(epoch=epoch, seq=seq, direction=direction, start=CLOCK, outcome=outcome)
    return replace(made, values=values if standing else None, schedule=f"floor-{direction}")


def running(**more: object) -> AgentStatus:
    known = {"written": CLOCK, "started": CLOCK, "process": os.getpid(), "version": "0.1.0", "site": "A"}
    return AgentStatus(**known | {"running": (), "next_starts": {}} | more)


def test_figures_are_aligned(tmp_path: Path, journal: Journal, capsys: pytest.CaptureFixture[str]) -> None:
    for direction, verdict in ((Direction.DOWN, Verdict.PASS), (Direction.UP, Verdict.UNCONFIRMED)):
        commit = partial(floored, direction=direction, standing=Standing.CLEAR, verdict=verdict)
        journal.commit(commit, CLOCK, Filing(schedule=f"floor-{direction}"))
    status.main(settings(tmp_path), json=False)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("floor ")]
    assert [line.split()[2] for line in lines] == ["pass", "unconfirmed"]
    assert len({line.index("Mbit") for line in lines}) == 1, lines


def test_the_standing_of_each_direction_is_shown(
    tmp_path: Path, journal: Journal, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = (
        (Direction.DOWN, Standing.SUSPECT),
        (Direction.DOWN, None),  # a test that failed says nothing of where the direction stands
        (Direction.UP, Standing.CONDEMNED),
    )
    for direction, standing in shown:
        filing = Filing(resume_key=f"floor-{direction}" if standing else None)
        journal.commit(partial(floored, direction=direction, standing=standing), CLOCK, filing)
    chosen = settings(tmp_path)
    view = status.look(chosen, later(60_000_000))
    assert [one.words for one in view.standings] == ["suspect (50% of the evidence)", "condemned"]
    assert [one.age_s for one in view.standings] == [60.0, 60.0]
    condemned = "floor up: condemned: test after test is below the floor, and a search agreed:"
    unseen = "rule out the site's own traffic, which is not counted (line_counters), then tell the supplier"
    assert f"{condemned} {unseen}" in view.problems()
    counted = replace(chosen, line_counters=Counted("inline", "eth0"))
    assert f"{condemned} tell the supplier" in status.look(counted, later(60_000_000)).problems()
    assert not any("floor down: condemned" in problem for problem in view.problems())
    status.main(settings(tmp_path), json=False)
    assert "down suspect (50% of the evidence)" in capsys.readouterr().out
    status.main(settings(tmp_path), json=True)
    assert '"standing":"suspect"' in capsys.readouterr().out


def test_each_problem_has_a_reason_and_is_told_once(tmp_path: Path, journal: Journal) -> None:
    for direction, standing in ((Direction.DOWN, Standing.CONDEMNED), (Direction.UP, Standing.CLEAR)):
        filing = Filing(schedule=f"floor-{direction}", resume_key=f"floor-{direction}")
        journal.commit(partial(floored, direction=direction, standing=standing), CLOCK, filing)
    outage = replace(examples.outage(1, 0).values, begin=CLOCK, cause=Cause.UNKNOWN)

    def recorded(epoch: str, seq: int) -> Measurement:
        return replace(examples.outage(1, 0), epoch=epoch, seq=seq, start=CLOCK, values=outage)

    journal.commit(recorded, CLOCK, Filing())
    status_file.write(tmp_path / "run", running(outages=(outage,)))
    view = status.look(settings(tmp_path), CLOCK)
    up, out, down = view.problems()
    assert up == "floor up: fail: at least 8.00 Mbit/s, floor 8.00 Mbit/s"
    assert out == "outage, cause unknown: see who answers and who does not"
    assert down.startswith("floor down: condemned: ")
    assert ("next", "nothing is scheduled") in status._facts(view)


def test_the_standing_of_a_floor_that_is_no_longer_promised_is_forgotten(
    tmp_path: Path, journal: Journal
) -> None:
    condemned = partial(floored, direction=Direction.UP, standing=Standing.CONDEMNED)
    journal.commit(condemned, CLOCK, Filing(resume_key="floor-up"))
    chosen = settings(tmp_path)
    assert status.look(chosen, CLOCK).standings
    assert not status.look(replace(chosen, floor=replace(chosen.floor, up=None)), CLOCK).standings


@pytest.mark.parametrize(("number", "measurements"), [(1, "1 measurement"), (2, "2 measurements")])
def test_rejected_and_lost_measurements_are_reported(tmp_path: Path, number: int, measurements: str) -> None:
    view = status.look(settings(tmp_path), CLOCK)
    counts = Counts(waiting=0, committed=0, rejected=number, conflict=number, gaps=number, used=0)
    assert dataclasses.replace(view, counts=counts).problems()[1:] == [  # the first: no agent is running
        f"the collector rejected {measurements}: kept, and sent again daily; see its log",
        f"{measurements} in conflict with those of the collector: was a disk cloned?",
        f"{measurements} lost: disk or journal.size full, or a damaged file",
    ]


def test_a_disk_fault_is_reported(tmp_path: Path, journal: Journal) -> None:
    status_file.write(tmp_path / "run", running(journal_problem="/var/journal.db: disk is full"))
    assert (
        "journal: /var/journal.db: disk is full: measurements are kept in memory, eight hours"
        " of them: free the disk or repair it"
    ) in status.look(settings(tmp_path), CLOCK).problems()


def test_an_open_outage_is_shown_with_cause_and_answering_targets(tmp_path: Path, journal: Journal) -> None:
    outage = replace(examples.outage(1, 0).values, begin=CLOCK, peer=False)
    status_file.write(tmp_path / "run", running(written=later(HOUR_US), outages=(outage,)))
    view = status.look(settings(tmp_path), later(HOUR_US))
    shown = "access-line, since 60 min; answering: gateway; silent: first hop, peer"
    assert ("outage", shown) in status._facts(view)
    assert "outage, the access line: tell the supplier" in view.problems()


@pytest.mark.parametrize("cause", Cause)
def test_every_cause_has_its_words(cause: Cause) -> None:
    assert cause in remedies.OUTAGES
