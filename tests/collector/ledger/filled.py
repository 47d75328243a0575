"""Fills a ledger, asks it by its commands, and looks into its file past all that reads it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from collector.__main__ import command
from collector.ingest.decode import judge
from collector.ledger.write.commit_result import MessageResult
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from tests.collector.examples import EPOCH, HOUR_US, NOW_US, SITE, arrival, payload, stamp, stamp_values
from wire.messages.envelope import Gap, GapReason


def query(path: Path, statement: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(statement).fetchall()


def gap(first: int, last: int, reason: GapReason = GapReason.DROPPED, epoch: str = EPOCH) -> Gap:
    return Gap(epoch=epoch, first=first, last=last, reason=reason, at_us=NOW_US)


def batch(*seqs: int, site: str = SITE, received_us: int = NOW_US, **more: object) -> Arrival:
    body = payload(*(stamp(seq) for seq in seqs), site=site, **{"marks": ()} | more)
    return Arrival(f"qos/v1/{site}/results", body, received_us)


def commit(ledger: Ledger, *arrivals: Arrival) -> tuple[MessageResult, ...]:
    return ledger.commit([judge(one) for one in arrivals]).messages


def silent(_text: str) -> None:
    """Ignore progress."""


def change(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def files(path: Path) -> set[str]:
    return {file.name for file in path.parent.iterdir()}


def run(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> tuple[int, list[str], list[str]]:
    code = command(["ledger", *map(str, arguments)])
    told = capsys.readouterr()
    return code, told.out.splitlines(), told.err.splitlines()


def fill(ledger: Ledger) -> Ledger:
    """Four measurements of one epoch over an hour, a declared gap, and one in conflict."""
    commit(ledger, batch(1, 2, gaps=(gap(4, 5),)), batch(4, 9, received_us=NOW_US + HOUR_US))
    commit(ledger, arrival(stamp(1, values=stamp_values(99_000))))
    return ledger
