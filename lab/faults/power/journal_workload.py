"""Workload of the journal before the power is cut: ``journal_workload.py ROOT SEED``.

Opened, filled, committed, pruned and closed, several times over; small enough that it is full now and then.
"""

import logging
import random
import secrets
import sys
from pathlib import Path

from lab.faults.accounts.notes import Notes
from lab.faults.power.names import JOURNAL, NOTES
from lab.faults.processes import source
from outbox.journal.journal import Journal
from outbox.rows import Change, State
from wire.records import ClockReading, Measurement

LIVES = 4
SIZE = 600_000
WEEK_US = 7 * 86_400_000_000
_FIRST_US = 1_775_000_000_000_000


def main(root: Path, seed: int) -> None:
    """Work on the journal in ``root``, and keep notes beside it."""
    logging.disable(logging.CRITICAL)
    chance, notes = random.Random(seed), Notes(root / NOTES)
    # Epochs of the seed, too: where they stand in an index decides what is written.
    vars(secrets)["token_hex"] = lambda size: chance.randbytes(size).hex()
    wall_us = first_us(seed)
    for life in range(LIVES):
        with Journal(root / JOURNAL, SIZE, moment(wall_us)) as journal:
            for number in range(chance.randint(20, 120)):
                wall_us += 60_000_000
                _step(journal, notes, chance, f"{seed}-{life}-{number}", moment(wall_us))
        wall_us += chance.choice((0, WEEK_US))


def commit(journal: Journal, notes: Notes, serial: str, now: ClockReading) -> None:
    """Journal one measurement, with its notes."""

    def build(epoch: str, seq: int) -> Measurement:
        measurement = source.train(epoch, seq, serial=serial, start=now)
        notes.tried(measurement)
        return measurement

    notes.committed(journal.commit(build, now))


def _step(journal: Journal, notes: Notes, chance: random.Random, serial: str, now: ClockReading) -> None:
    commit(journal, notes, serial, now)
    if chance.random() < 0.04:
        rows = journal.waiting(chance.randint(1, 12))
        notes.let_go((row.epoch, row.seq) for row in rows)
        journal.apply([Change(row.epoch, row.seq, row.seq, State.COMMITTED) for row in rows], now)
    if chance.random() < 0.05:
        journal.prune(now)
    if chance.random() < 0.2:
        journal.beat(now)


def first_us(seed: int) -> int:
    """Begin of the workload of this seed, after those before it."""
    return _FIRST_US + seed % 1000 * WEEK_US * LIVES


def moment(wall_us: int) -> ClockReading:
    """A synchronised clock that shows this."""
    return ClockReading(wall_us=wall_us, boot_us=wall_us - _FIRST_US, boot_id="boot", synchronised=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
