"""Wrote ``schema_1.sql``: a ledger as the program of schema 1 left it. Run it with that program's code.

It held kinds and words that it did not know: two measurements of later versions stand whole in
``unknown_values``, one of them still unknown.
"""

import json
import sqlite3
import sys
from pathlib import Path

from collector.ingest.decode import judge
from collector.ledger.schema import SCHEMA_VERSION
from collector.ledger.write.commit import Ledger
from tests.collector.examples import MINUTE_US, NOW_US, SITE, arrival, failed, floor, floor_values, raw, stamp
from wire.records import Direction, Verdict

CAPACITY = {
    "maximum_bps": 19_800_000.0,
    "maximum_at_us": 4_000_000,
    "maximum_loss_ratio": 0.0,
    "interval_us": 1_000_000,
    "received_bps": 18_000_000.0,
    "sent_bps": 18_100_000.0,
    "loss_ratio": 0.01,
    "algorithm": "B",
    "line_counters": "none",
    "intervals": [
        {"offset_us": 0, "duration_us": 1_000_000, "received_bps": 9e6, "loss_ratio": 0.0},
        {"offset_us": 1_000_000, "duration_us": 1_000_000, "received_bps": 19.8e6, "loss_ratio": 0.0},
    ],
}


def newer(seq: int, **words: object) -> bytes:
    """A measurement as a later agent sends it."""
    (base,) = raw(stamp(seq, NOW_US + seq))
    return json.dumps(json.loads(base) | words).encode()


def main(target: Path) -> None:
    """Fill a ledger and write it as SQL."""
    if SCHEMA_VERSION != 1:
        sys.exit("run this with the code of schema 1")
    path = target.with_suffix(".db")
    ledger = Ledger(path)
    bad = floor_values(Verdict.FAIL, 6.4e6, 6.5e6)
    for one in (
        arrival(
            stamp(1), floor(2, NOW_US + 2), floor(3, NOW_US + 3, bad, Direction.UP), failed(4, NOW_US + 4)
        ),
        arrival(
            newer(5, probe="capacity", direction="down", dscp=None, values=CAPACITY), newer(6, probe="moon")
        ),
        arrival(stamp(1, NOW_US + MINUTE_US)),
        arrival(b"{}", site=SITE),
    ):
        ledger.commit([judge(one)])
    ledger.close()
    with sqlite3.connect(path) as connection:
        target.write_text("\n".join(connection.iterdump()) + "\n", encoding="utf-8")
    path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
