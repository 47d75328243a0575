import zlib
from pathlib import Path

import pytest

from collector.ledger.keys import RowKeys
from collector.ledger.place import LedgerError
from collector.ledger.read import latest as reading
from collector.ledger.schema.tables import SCHEMA_VERSION
from collector.ledger.store import connect
from collector.ledger.write.commit_result import MessageResult
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from tests.collector.examples import (
    EPOCH,
    HOUR_US,
    NOW_US,
    SITE,
    arrival,
    clock,
    failed,
    floor,
    floor_values,
    payload,
    raw,
    stamp,
    stamp_values,
)
from tests.collector.ledger.filled import change, commit, query
from wire.messages import envelope as messages
from wire.messages.envelope import Reason
from wire.records import Outcome, Verdict


def lines(committed: MessageResult) -> list[tuple[int, int, str]]:
    assert committed.receipt is not None
    return [(line.first, line.last, line.status.value) for line in committed.receipt.lines]


MEASUREMENTS = """
SELECT site_id, epoch, seq, probe.name, direction, dscp, time_us, outcome.name, failure.name, detail
FROM measurements AS m JOIN epochs AS e ON e.key = m.epoch_key JOIN sites AS s ON s.key = e.site_key
JOIN series ON series.key = m.series_key JOIN names AS probe ON probe.key = probe_key
JOIN names AS outcome ON outcome.key = outcome_key LEFT JOIN names AS failure ON failure.key = failure_key
ORDER BY m.key
"""


def test_typed_columns_hold_what_was_measured(ledger: Ledger, path: Path) -> None:
    values = floor_values(Verdict.FAIL, 6.4e6, 6.5e6)
    (committed,) = commit(
        ledger, arrival(floor(1, values=values), stamp(2, NOW_US + 5), failed(3, NOW_US + 9))
    )
    assert lines(committed) == [(1, 3, "committed")]
    assert query(path, MEASUREMENTS) == [
        (SITE, EPOCH, 1, "floor", "down", None, NOW_US, "ok", None, None),
        (SITE, EPOCH, 2, "stamp", None, 46, NOW_US + 5, "ok", None, None),
        (SITE, EPOCH, 3, "stamp", None, 46, NOW_US + 9, "failed", "no-answer", "nothing came back"),
    ]
    assert query(
        path,
        "SELECT v.name, floor_bps, at_least_bps, f.capacity_bps, t.ordinal, t.queue_growth_us, k.name "
        "FROM floor_values f JOIN floor_tests t USING (measurement_key) "
        "JOIN names v ON v.key = verdict_key JOIN names k ON k.key = finding_key",
    ) == [("fail", 8e6, 6.4e6, 6.5e6, 0, -12, "queue")]
    stamped = "rtt_p50_us, variation_return_p99_us, delay_forward_min_us, reordered_forward, authenticated"
    assert query(path, f"SELECT {stamped} FROM stamp_values") == [(10_400, 3_600, None, 1, 1)]


def test_the_batch_is_kept_with_the_senders_clocks_and_its_payload(ledger: Ledger, path: Path) -> None:
    one = arrival(stamp(1), received_us=NOW_US + 77)
    commit(ledger, one)
    columns = "received_us, sent_wall_us, a.name, payload_digest"
    statement = f"SELECT {columns} FROM batches JOIN names a ON a.key = agent_key"
    digest = bytes.fromhex(messages.digest(one.payload))
    assert query(path, statement) == [(NOW_US + 77, NOW_US, "0.1.0", digest)]
    ((packed,),) = query(path, "SELECT zlib FROM payloads")
    assert zlib.decompress(packed) == one.payload


def test_payloads_go_and_the_evidence_stays(ledger: Ledger, path: Path) -> None:
    commit(ledger, arrival(stamp(1)), arrival(stamp(2), received_us=NOW_US + HOUR_US))
    assert ledger.prune_payloads(NOW_US + 1) == 1
    assert ledger.prune_payloads(NOW_US + 1) == 0
    assert query(path, "SELECT count(*) FROM measurements") == [(2,)]
    assert query(path, "SELECT received_us FROM payloads") == [(NOW_US + HOUR_US,)]


def test_redelivery_is_harmless(ledger: Ledger, path: Path) -> None:
    one = arrival(stamp(1), floor(2))
    assert [lines(committed) for committed in commit(ledger, one, one)] == [
        [(1, 2, "committed")],
        [(1, 2, "committed")],
    ]
    (again,) = commit(ledger, one)
    assert (lines(again), again.observations) == ([(1, 2, "committed")], ())
    assert [record.redelivered for record in again.records] == [True, True]
    assert query(path, "SELECT count(*) FROM measurements") == [(2,)]
    assert query(path, "SELECT count(*) FROM batches") == [(1,)]


def test_redelivery_is_harmless_to_another_run_too(path: Path) -> None:
    for redelivered in (False, True):
        ledger = Ledger(path)
        (committed,) = commit(ledger, arrival(stamp(4), stamp(5)))
        ledger.close()
        assert lines(committed) == [(4, 5, "committed")]
        assert [record.redelivered for record in committed.records] == [redelivered] * 2


def test_older_measurements_after_newer_ones_are_committed_once(ledger: Ledger, path: Path) -> None:
    commit(ledger, arrival(stamp(10)))
    (committed,) = commit(ledger, arrival(stamp(9), stamp(10), stamp(8)))
    assert lines(committed) == [(8, 10, "committed")]
    assert [record.seq for record in committed.records if record.redelivered] == [10]


def test_another_content_under_one_identity_is_a_conflict_and_both_are_kept(
    ledger: Ledger, path: Path
) -> None:
    commit(ledger, arrival(stamp(1)))
    other = stamp(1, values=stamp_values(rtt_us=99_000))
    for _ in range(2):
        (committed,) = commit(ledger, arrival(other))
        assert (lines(committed), committed.observations) == ([(1, 1, "conflict")], ())
    assert query(path, "SELECT rtt_p50_us FROM stamp_values") == [(10_400,)]
    assert query(path, "SELECT seq, json FROM conflicts") == [(1, raw(other)[0])]


def test_a_refused_measurement_is_told_and_the_others_are_kept(ledger: Ledger, path: Path) -> None:
    bad = raw(stamp(2))[0].replace(b'"outcome":"ok"', b'"outcome":"fun"')
    (committed,) = commit(ledger, arrival(stamp(1), bad, stamp(3), b'{"epoch":"?"}'))
    assert lines(committed) == [(1, 1, "committed"), (2, 2, "rejected"), (3, 3, "committed")]
    assert committed.rejected == (Reason.INVALID, Reason.INVALID)
    statement = "SELECT site_id, reason, detail, payload_bytes, payload_head FROM rejects ORDER BY key"
    assert query(path, statement) == [
        (SITE, "invalid", "Invalid enum value 'fun' - at `$.outcome`", len(bad), bad),
        (SITE, "invalid", "Object missing required field `probe`", 13, b'{"epoch":"?"}'),
    ]


def test_rejects_are_bounded_in_number_and_size(path: Path) -> None:
    ledger = Ledger(path, reject_rows=100)
    topic = f"qos/v1/{SITE}/results"
    for number in range(30):
        commit(ledger, *(Arrival(topic, bytes(5000), NOW_US + number) for _ in range(7)))
    ledger.close()
    assert query(path, "SELECT count(*), max(received_us), max(length(payload_head)) FROM rejects") == [
        (100, NOW_US + 29, 4096)
    ]


def test_a_probe_of_the_future_is_kept_whole(ledger: Ledger, path: Path) -> None:
    unknown = raw(stamp(1))[0].replace(b'"stamp"', b'"outage-cause"')
    (committed,) = commit(ledger, arrival(unknown))
    assert lines(committed) == [(1, 1, "committed")]
    assert query(path, "SELECT json FROM unknown_values") == [(unknown,)]


def test_a_word_of_the_future_is_kept_whole_and_read_back(ledger: Ledger, path: Path) -> None:
    newer = raw(failed(1))[0].replace(b'"no-answer"', b'"moon-phase"').replace(b'"scheduled"', b'"audit"')
    (committed,) = commit(ledger, arrival(newer))
    assert lines(committed) == [(1, 1, "committed")]
    assert query(path, "SELECT json FROM unknown_values") == [(newer,)]
    words = query(
        path,
        "SELECT purpose.name, failure.name FROM measurements "
        "JOIN names AS purpose ON purpose.key = purpose_key "
        "JOIN names AS failure ON failure.key = failure_key",
    )
    assert words == [("audit", "moon-phase")]
    (seen,) = committed.observations
    assert (seen.outcome, seen.failure, seen.values) == (Outcome.FAILED, None, None)
    assert list(reading.newest(path)) == [seen]


def test_a_claim_from_the_future_is_kept_but_no_view_sees_it(ledger: Ledger, path: Path) -> None:
    (committed,) = commit(ledger, arrival(stamp(1, NOW_US + 48 * HOUR_US)))
    assert (lines(committed), committed.observations) == ([(1, 1, "committed")], ())
    assert query(path, "SELECT ahead, time_us FROM measurements") == [(1, NOW_US + 48 * HOUR_US)]


def test_an_unsynchronised_clock_is_corrected_and_its_claim_kept(ledger: Ledger, path: Path) -> None:
    start = clock(NOW_US - 3_000_000, synchronised=False)
    body = payload(stamp(1, start=start), sent=clock(NOW_US, synchronised=False))
    commit(ledger, Arrival(f"qos/v1/{SITE}/results", body, NOW_US + HOUR_US))
    assert query(path, "SELECT time_us, clock_offset_us, synchronised FROM measurements") == [
        (NOW_US + HOUR_US - 3_000_000, -HOUR_US, 0)
    ]


def test_a_crash_before_the_commit_leaves_nothing_and_forgets_its_keys(path: Path) -> None:
    armed = [True]

    def crash() -> None:
        if armed.pop():
            raise ZeroDivisionError

    ledger = Ledger(path, before_commit=crash)
    with pytest.raises(ZeroDivisionError):
        commit(ledger, arrival(stamp(1)))
    assert query(path, "SELECT count(*) FROM measurements, names, sites") == [(0,)]
    armed.append(False)
    (committed,) = commit(ledger, arrival(stamp(1)))
    ledger.close()
    assert lines(committed) == [(1, 1, "committed")]
    assert len(query(path, MEASUREMENTS)) == 1


def test_commits_survive_a_power_cut(ledger: Ledger, path: Path) -> None:
    """The write-ahead log, synced at every commit, does it."""
    commit(ledger, arrival(stamp(1)))
    with ledger._engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("PRAGMA synchronous").scalar() == 2


def test_a_newer_ledger_is_refused(path: Path) -> None:
    Ledger(path).close()
    change(path, "UPDATE ledger_schema SET version = version + 1")
    remedy = "upgrade the collector, or name another file"
    known = f"this program writes {SCHEMA_VERSION}"
    assert refusal(path) == f"of schema {SCHEMA_VERSION + 1}, {known}: {remedy}"


def test_another_database_and_no_database_are_refused(tmp_path: Path) -> None:
    other, text, nowhere = tmp_path / "other.db", tmp_path / "text", tmp_path / "no" / "ledger.db"
    change(other, "CREATE TABLE addresses (name)")
    before = other.read_bytes()
    text.write_text("no database" * 1000)
    assert refusal(other) == "a database, but no ledger of this program: name another"
    assert other.read_bytes() == before
    assert refusal(text) == "file is not a database: this is no ledger: name another file"
    no_lock = "ledger.db.lock: No such file or directory"
    expected = f"{no_lock}: does the folder exist, and may this user write there?"
    assert refusal(nowhere) == expected


def refusal(path: Path) -> str:
    with pytest.raises(LedgerError) as raised:
        Ledger(path)
    return str(raised.value).removeprefix(f"ledger {path}: ")


def test_a_new_ledger_is_for_its_owner_alone(ledger: Ledger, path: Path) -> None:
    commit(ledger, arrival(stamp(1)))
    assert {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == dict.fromkeys(
        ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock", "ledger.db.exists"), 0o600
    )


def test_a_ledger_that_cannot_be_read_back_is_told(path: Path) -> None:
    Ledger(path).close()
    change(path, "DROP TABLE stamp_values")
    with pytest.raises(LedgerError) as raised:
        list(reading.newest(path))
    assert str(raised.value) == f"ledger {path}: no such table: stamp_values"


def test_any_name_of_a_file_will_do(tmp_path: Path) -> None:
    path = tmp_path / "what?mode=memory.db"
    Ledger(path).close()
    assert path.exists()


def test_a_forgotten_epoch_is_asked_for_again(ledger: Ledger, path: Path) -> None:
    commit(ledger, arrival(stamp(10)))
    engine = connect(path, writing=False)
    with engine.begin() as connection:
        known = RowKeys()
        epoch_key = known.epoch(connection, SITE, EPOCH)
        assert known.last_seq(connection, epoch_key) == 10
        known.forget()
        known.raise_last_seq(epoch_key, 3)
        assert known.last_seq(connection, epoch_key) == 10
    engine.dispose()
