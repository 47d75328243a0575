"""A journal that is damaged before the power is cut: ``damage_workload.py ROOT SEED``.

The journal is filled and closed, then some of its bytes are changed. The next opening salvages the rest, and
the cut may come during that.
"""

import logging
import os
import random
import secrets
import sys
from pathlib import Path

from lab.faults.accounts.notes import Notes
from lab.faults.power.journal_workload import SIZE, commit, first_us, moment
from lab.faults.power.names import HEARTBEAT, JOURNAL, NOTES
from outbox.journal.journal import Journal

LIVES = 3
MOST_BYTES = 600


def main(root: Path, seed: int) -> None:
    """Work on the journal in ``root`` and harm it, and keep notes beside it."""
    logging.disable(logging.CRITICAL)
    chance, notes = random.Random(seed), Notes(root / NOTES)
    vars(secrets)["token_hex"] = lambda size: chance.randbytes(size).hex()
    wall_us = first_us(seed)
    for life in range(LIVES):
        with Journal(root / JOURNAL, SIZE, moment(wall_us)) as journal:
            for number in range(chance.randint(10, 80)):
                wall_us += 60_000_000
                commit(journal, notes, f"{seed}-{life}-{number}", moment(wall_us))
        _write_back(root / HEARTBEAT)
        if life < LIVES - 1:
            _harm(root / JOURNAL, chance)


def _write_back(path: Path) -> None:
    """As the kernel does by itself, half a minute later."""
    file = os.open(path, os.O_RDWR)
    os.fsync(file)
    os.close(file)


def _harm(path: Path, chance: random.Random) -> None:
    """Some bytes of the file are no longer what they were; the disk holds them so."""
    file = os.open(path, os.O_RDWR)
    harmed = chance.randbytes(chance.randint(1, MOST_BYTES))
    os.pwrite(file, harmed, chance.randrange(path.stat().st_size - len(harmed)))
    os.fsync(file)
    os.close(file)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
