"""Ledger that is deleted, moved or replaced while its collector runs."""

import shutil
from pathlib import Path

from tests.collector.agents import Agent
from tests.collector.examples import SITE
from tests.collector.service.running import Collector, batch
from tests.processes import wait_until


def working(collector: Collector) -> bool:
    return collector.metric("qos_collector_ledger_working") == 1


def test_no_receipt_goes_out_for_a_ledger_that_is_gone(collector: Collector) -> None:
    path = collector.directory / "ledger.db"
    away = path.with_name("away.db")
    with Agent(collector.broker, SITE) as agent, collector.run():
        agent.publish(batch(1))
        wait_until(lambda: len(agent.held()) == 1, "one in the ledger")
        path.rename(away)
        wait_until(lambda: not working(collector), "its absence is found while nothing arrives")
        status, said = collector.get("/readyz")
        assert (status, "no longer at its path" in said) == (503, True)
        agent.publish(batch(2))
        wait_until(lambda: collector.metric("qos_collector_uncommitted_messages_total") == 1, "it is dropped")
        assert len(agent.held()) == 1
        assert not path.exists(), "a reader left an empty file"
        _swap(path, away)
        agent.publish(batch(2))
        wait_until(lambda: len(agent.held()) == 2, "back at its place, it is used again")
        path.unlink()
        wait_until(lambda: not working(collector), "a deleted one is found, too")


def _swap(path: Path, away: Path) -> None:
    """Put another file in the ledger's place for a moment, and then the ledger."""
    shutil.copyfile(away, path)
    path.unlink()
    away.rename(path)
