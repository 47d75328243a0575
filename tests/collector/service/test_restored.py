"""Restore of a ledger: the collector asks its agents to send again what they still have."""

from pathlib import Path

from collector.__main__ import command
from host.exits import Exit
from tests.collector.agents import Agent
from tests.collector.examples import EPOCH, SITE, payload, stamp
from tests.collector.service.running import Collector, batch, now_clock
from tests.processes import wait_until
from wire.messages.envelope import EpochMark, EpochRange, Gap, GapReason


def ledger(collector: Collector, *arguments: str | Path) -> int:
    return command(["ledger", *map(str, arguments)])


def seqs(collector: Collector) -> list[int]:
    return sorted(seq for _, seq in collector.committed())


def test_measurements_lost_with_the_ledger_are_sent_again(collector: Collector) -> None:
    path, backup = collector.directory / "ledger.db", collector.directory / "backup.db"
    sent = {seq: batch(seq) for seq in range(1, 9)}
    with Agent(collector.broker, SITE) as agent:
        with collector.run():
            for seq in (1, 2, 3, 4):
                agent.publish(sent[seq])
            wait_until(lambda: len(agent.held()) == 4, "four in the ledger")
            assert ledger(collector, "backup", path, backup) == Exit.OK  # while it runs
            for seq in (5, 6, 7):
                agent.publish(sent[seq])
            wait_until(lambda: len(agent.held()) == 7, "seven in the ledger")
            assert ledger(collector, "restore", path, backup) == Exit.CANNOT_CREATE
        assert ledger(collector, "restore", path, backup) == Exit.OK
        assert seqs(collector) == [1, 2, 3, 4]
        # A new ledger asks a site for what it lacks, and lacks nothing of this one.
        assert not agent.commands
        with collector.run():
            agent.publish(sent[8])
            wait_until(lambda: len(agent.commands) == 1, "a site that sends is asked")
            asked = agent.commands[0].command
            assert [(one.first, one.last) for one in asked.ranges] == [(5, 7)]
            for seq in range(1, 8):
                agent.publish(sent[seq])
            agent.publish(payload(stamp(9), sent=now_clock(), obeyed=asked.id))
            wait_until(lambda: len(agent.held()) == 9, "all of it is there again")
            wait_until(
                lambda: collector.metric('qos_collector_commands_total{result="published"}') == 1,
                "one command",
            )
    assert seqs(collector) == list(range(1, 10))
    assert ledger(collector, "verify", path) == Exit.OK
    assert len(agent.commands) == 1


def test_gaps_have_receipts_and_are_on_the_page(collector: Collector) -> None:
    gap = Gap(epoch=EPOCH, first=2, last=5, reason=GapReason.DROPPED, at_us=now_clock().wall_us)
    mark = EpochMark(epoch=EPOCH, high_water=6)
    with Agent(collector.broker, SITE) as agent, collector.run():
        agent.publish(payload(stamp(1), stamp(6), marks=(mark,), gaps=(gap,), sent=now_clock()))
        wait_until(lambda: bool(agent.receipts), "a receipt")
        assert agent.receipts[0].declared == (EpochRange(epoch=EPOCH, first=2, last=5),)
        status, page = collector.get(f"/completeness?site={SITE}&lang=en")
        assert status == 200
        assert EPOCH in page
    with collector.run():  # what was declared is known again after a restart
        lost = f'qos_ledger_declared_lost_measurements{{site_id="{SITE}"'
        assert collector.metric(lost) == 4
        assert "the journal was full" in collector.get("/completeness?lang=en")[1]
        assert "completeness?lang=en" in collector.get("/?lang=en")[1]
