"""Commits measurements until it is killed; prints each identity once it is durable."""

import itertools
import sys
from pathlib import Path

from outbox.journal.journal import Journal
from outbox.rows import Change, State
from tests.agent.fakes import FakeClock
from tests.outbox.journalled import build

clock = FakeClock()
with Journal(Path(sys.argv[1]), 64_000_000, clock.read()) as journal:
    for number in itertools.count():
        measurement = journal.commit(build, clock.read())
        assert measurement is not None
        print(measurement.epoch, measurement.seq, flush=True)
        if number % 10 == 9:
            seq = measurement.seq
            journal.apply([Change(measurement.epoch, seq - 9, seq - 5, State.COMMITTED)], clock.read())
