"""Workload of the ledger before the power is cut: ``ledger_workload.py ROOT SEED``.

Batches of several sites are committed in groups, some of them twice. The ledger is reopened between groups.
"""

import logging
import random
import sys
from pathlib import Path

import msgspec

from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from lab.faults.accounts.notes import Notes
from lab.faults.power.journal_workload import moment
from lab.faults.power.names import LEDGER, NOTES
from lab.faults.processes import source
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import SCHEMA, Envelope, EpochMark
from wire.records import Measurement

LIVES = 3
SITE = "SITE1"
_FIRST_US = 1_775_000_000_000_000


def main(root: Path, seed: int) -> None:
    """Work on the ledger in ``root``, and keep notes beside it."""
    logging.disable(logging.CRITICAL)
    chance, notes = random.Random(seed), Notes(root / NOTES)
    for life in range(LIVES):
        ledger = Ledger(root / LEDGER, reject_rows=5)
        epoch, seq, again = f"{chance.getrandbits(64):016x}", 0, list[Arrival]()
        for number in range(chance.randint(5, 25)):
            fresh = []
            for _ in range(chance.randint(1, 4)):
                batch = _batch(epoch, seq, chance.randint(1, 20), f"{seed}-{life}-{number}")
                seq += len(batch)
                fresh.append((batch, _arrival(epoch, seq, batch)))
            for measurement in (one for batch, _ in fresh for one in batch):
                notes.tried(measurement)
            arrivals = [arrival for _, arrival in fresh]
            if again and chance.random() < 0.3:
                arrivals.append(chance.choice(again))
            if chance.random() < 0.2:
                arrivals.append(Arrival(topics.topic(SITE, topics.Kind.RESULTS), b"garbage", _FIRST_US))
            ledger.commit([judge(arrival) for arrival in arrivals])
            for measurement in (one for batch, _ in fresh for one in batch):
                notes.committed(measurement)
            again += arrivals
            ledger.prune_payloads(_FIRST_US)
        ledger.close()


def _batch(epoch: str, after: int, count: int, serial: str) -> list[Measurement]:
    return [
        source.train(
            epoch,
            seq,
            serial=f"{serial}-{seq}",
            start=moment(_FIRST_US + seq * 60_000_000),
            dscp=seq % 2 * 46,
        )
        for seq in range(after + 1, after + count + 1)
    ]


def _arrival(epoch: str, last: int, batch: list[Measurement]) -> Arrival:
    envelope = Envelope(
        schema=SCHEMA,
        sender=SITE,
        program="0.1.0",
        sent=batch[-1].start,
        marks=(EpochMark(epoch=epoch, high_water=last),),
        records=tuple(msgspec.Raw(messages.encode(measurement)) for measurement in batch),
    )
    received_us = batch[-1].start.wall_us
    return Arrival(topics.topic(SITE, topics.Kind.RESULTS), messages.encode(envelope), received_us)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
