"""Wrote ``schema_2.sql``: a ledger as the program of schema 2 left it. Run it with that program's code.

One epoch with a hole, a conflict and a mark that is behind what came, and one that follows an epoch of which
nothing came, and follows another to a point beyond what came of that.
"""

import sqlite3
import sys
from pathlib import Path

import msgspec

from collector.ingest.decode import Arrival, judge
from collector.ledger.schema import SCHEMA_VERSION
from collector.ledger.write.commit import Ledger
from tests.collector.examples import EPOCH, MINUTE_US, NOW_US, SITE, arrival, capacity, floor, payload, stamp
from wire.messages.envelope import EpochMark

BEFORE, AFTER = "a" * 16, "b" * 16


def following(*marks: EpochMark) -> Arrival:
    """A batch of the epoch that came after, with what it says of others."""
    one = msgspec.structs.replace(stamp(1, NOW_US + MINUTE_US), epoch=AFTER)
    return Arrival(f"qos/v1/{SITE}/results", payload(one, marks=marks), NOW_US + MINUTE_US)


def main(target: Path) -> None:
    """Fill a ledger and write it as SQL."""
    if SCHEMA_VERSION != 2:
        sys.exit("run this with the code of schema 2")
    path = target.with_suffix(".db")
    ledger = Ledger(path)
    for one in (
        arrival(stamp(1), floor(2, NOW_US + 2), capacity(5, NOW_US + 5)),
        arrival(stamp(1, NOW_US + MINUTE_US)),
        following(
            EpochMark(epoch=EPOCH, high_water=4, previous=BEFORE, previous_last=3),
            EpochMark(epoch=AFTER, high_water=1, previous=EPOCH, previous_last=7),
        ),
    ):
        ledger.commit([judge(one)])
    ledger.close()
    with sqlite3.connect(path) as connection:
        target.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
    path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
