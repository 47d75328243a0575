"""Load of the collector's benchmark."""

import sqlite3
from contextlib import closing
from pathlib import Path

from collector.ingest.decode import judge
from collector.kinds import EVENTS
from collector.model.message import Batch, PeerBatch
from lab.bench import collector as bench_collector
from wire.records import BY_NAME


def test_the_collector_accepts_every_record_of_a_simulated_fleet() -> None:
    arrivals = bench_collector.arrivals(measurements=400, batch=100, sites=2)
    batches = [judge(one) for one in arrivals]
    assert all(isinstance(batch, Batch | PeerBatch) for batch in batches)
    items = [item for batch in batches if isinstance(batch, Batch) for item in batch.items]
    records = [item.record for item in items if hasattr(item, "record")]
    assert len(records) == 400
    measured = {kind for probe, kind in BY_NAME.items() if probe not in EVENTS}
    assert {type(record) for record in records} == measured
    assert len({(record.epoch, record.seq) for record in records}) == 400


def test_agent_and_peer_of_a_simulated_fleet_agree(tmp_path: Path) -> None:
    arrivals = bench_collector.arrivals(measurements=40, batch=20, sites=2)
    bench_collector.into_ledger(arrivals, tmp_path)
    with closing(sqlite3.connect(tmp_path / "ledger.db")) as database:
        found = database.execute("SELECT result, count(*) FROM peer_comparisons GROUP BY result").fetchall()
    assert found == [("agree", 8)]


def test_both_ways_store_every_measurement(tmp_path: Path) -> None:
    arrivals = bench_collector.arrivals(measurements=40, batch=4, sites=3)
    bench_collector.into_ledger(arrivals, tmp_path)
    bench_collector.into_plain_sqlite(arrivals, tmp_path)
    for name, table in (("ledger.db", "measurements"), ("plain.db", "t")):
        with closing(sqlite3.connect(tmp_path / name)) as database:
            assert database.execute(f"SELECT count(*) FROM {table}").fetchone() == (40,)


def test_the_page_has_every_site() -> None:
    figure, samples = bench_collector.showing(sites=5, runs=1)
    assert samples >= 5 * 40
    assert len(figure.ours) == 5
    assert min(figure.other) > 0
