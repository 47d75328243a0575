"""Commits a group of decoded messages in one transaction, with a result for each."""

import hashlib
import zlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Table, select

from collector.kinds.views import observe
from collector.ledger.clock.boots import Boots, Clocks
from collector.ledger.keys import RowKeys
from collector.ledger.schema import tables as schema
from collector.ledger.schema.digests import BatchChain, record_digest, with_digest
from collector.ledger.schema.layout import NameKey, Row, metadata
from collector.ledger.schema.values import value_rows
from collector.ledger.transaction import LedgerTransaction
from collector.ledger.write.commit_result import CommitResult, MessageResult
from collector.ledger.write.epoch_counters import Accounts
from collector.ledger.write.epoch_quota import EpochQuota
from collector.ledger.write.peer_comparisons import (
    LoadTestRecord,
    PeerComparisons,
    held_tests,
    of_agent,
    of_peer,
    peer_row,
)
from collector.model.clock_correction import CorrectedTime, correct, passed_over, without_untrusted_delays
from collector.model.message import (
    Accepted,
    AcceptedTest,
    Batch,
    CommandReport,
    Judged,
    PeerBatch,
    RecordResult,
    Refused,
)
from collector.model.observation import Observation, PassedOver
from collector.model.peer_comparison import ComparedTest, PeerMessage
from collector.model.receipt import declared_gaps, receipt_of_batch, receipt_of_unreadable, receipt_topic
from wire.messages.envelope import Fault, ReceiptStatus
from wire.messages.peer_tests import PeerTest
from wire.records import CapacityMeasurement, FloorMeasurement, Record

REJECT_HEAD_BYTES = 4096
_LOOK_UP = 500
_HEADS = select(schema.sites.c.key, schema.sites.c.batches, schema.sites.c.chain)

Contents = dict[tuple[int, int], bytes]  # (epoch key, seq) -> content digest


def content_digest(raw: bytes) -> bytes:
    """First 16 bytes of the SHA-256 of a record's JSON, as the agent's journal has it."""
    return hashlib.sha256(raw).digest()[:16]


@dataclass(frozen=True, slots=True)
class _Written:
    """Result of one measurement. A new one is seen by the views, or passed over for a reason."""

    result: RecordResult
    is_new: bool = False
    observation: Observation | None = None
    passed_over: PassedOver | None = None


@dataclass
class Group:
    """One transaction's work: look up what is there, decide, write."""

    transaction: LedgerTransaction
    keys: RowKeys
    reject_rows: int
    boots: Boots
    pending: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    contents: Contents = field(default_factory=dict)
    chains: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    tests: dict[tuple[int, str, int], list[bytes]] = field(default_factory=dict)
    test_records: list[LoadTestRecord] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clocks = Clocks(self.transaction, self.keys, self.boots)
        self.accounts = Accounts(self.transaction, self.keys)

    def process(self, group: Sequence[Judged]) -> CommitResult:
        """Write the group."""
        quota = EpochQuota(self.transaction, self.keys)
        group = [quota.within(one) if isinstance(one, Batch) else one for one in group]
        batches = [message for message in group if isinstance(message, Batch)]
        self.contents = self._look_up(batches)
        self.chains = self._newest_chains(batches)
        messages = tuple(self._process(message) for message in group)
        self._write()
        # After the rows: of a gap, only what is not committed counts as declared.
        self._account(batches)
        compared: list[ComparedTest] = []
        if self.test_records:
            seen_us = max(message.arrival.received_us for message in group)
            compared = PeerComparisons(self.transaction, self.keys, seen_us).add(self.test_records)
        return CommitResult(messages, tuple(compared))

    def _process(self, message: Judged) -> MessageResult:
        if isinstance(message, Batch):
            return self._process_batch(message)
        if isinstance(message, PeerBatch):
            return self._process_peer(message)
        self._reject(message, message.fault, message.arrival.payload)
        receipt = receipt_of_unreadable(message)
        return MessageResult(receipt, receipt_topic(message), rejected=(message.fault.reason,))

    def _process_batch(self, batch: Batch) -> MessageResult:
        batch_key = self.transaction.new_key(schema.batches)
        self.clocks.learn(batch)
        site_key = self.keys.site(self.transaction, batch.site)
        chain = BatchChain(self.chains[site_key][1])
        written = [
            self._record(batch, item, batch_key, chain) for item in batch.items if isinstance(item, Accepted)
        ]
        rejected = self._reject_items(batch)
        records = [*(one.result for one in written), *_results_of(rejected)]
        # A batch in which nothing is new leaves no row, because it may be sent any number of times.
        if new := sum(one.is_new for one in written):
            self._keep_batch(batch, batch_key, site_key, new, chain)
        return MessageResult(
            receipt_of_batch(batch, records),
            receipt_topic(batch),
            tuple(records),
            tuple(item.fault.reason for item in rejected),
            tuple(one.observation for one in written if one.observation is not None),
            tuple(one.passed_over for one in written if one.passed_over is not None),
            CommandReport(batch.site, batch.envelope.obeyed),
        )

    def _process_peer(self, batch: PeerBatch) -> MessageResult:
        tests = [item for item in batch.items if isinstance(item, AcceptedTest)]
        written = [self._record_test(batch, item) for item in tests]
        rejected = self._reject_items(batch)
        records = [*written, *_results_of(rejected)]
        self._declare_of_peer(batch)
        newest_us = max((_begun(batch, item.record) for item in tests), default=None)
        return MessageResult(
            receipt_of_batch(batch, records),
            receipt_topic(batch),
            rejected=tuple(item.fault.reason for item in rejected),
            peer_message=PeerMessage(batch.peer, tuple(one.status for one in records), newest_us),
        )

    def _reject_items(self, batch: Batch | PeerBatch) -> list[Refused]:
        """Keep what of a batch does not fit its schema."""
        refused = [item for item in batch.items if isinstance(item, Refused)]
        for item in refused:
            self._reject(batch, item.fault, item.raw)
        return refused

    def _record_test(self, batch: PeerBatch, item: AcceptedTest) -> RecordResult:
        """Record a test; a second content under one identity is kept, too."""
        test = item.record
        identity = (self._name_key(batch.peer), test.epoch, test.seq)
        digest = content_digest(item.raw)
        known = self.tests.get(identity)
        if known is None:
            known = self.tests[identity] = held_tests(self.transaction.connection, *identity)
        status = ReceiptStatus.CONFLICT if known and known[0] != digest else ReceiptStatus.COMMITTED
        if digest in known:
            return RecordResult(test.epoch, test.seq, status, redelivered=True)
        key = self.transaction.new_key(schema.peer_tests)
        # A second content does not replace the first one: which of them is true is not known.
        if not known:
            self.test_records += of_peer(batch.peer, test, key, _begun(batch, test))
        known.append(digest)
        keys = {"key": key, "peer_key": identity[0], "digest": digest}
        self.pending["peer_tests"].append(keys | peer_row(batch, test, self._name_key))
        return RecordResult(test.epoch, test.seq, status)

    def _declare_of_peer(self, batch: PeerBatch) -> None:
        """A peer's gaps are kept as it declares them."""
        peer_key, received_us = self._name_key(batch.peer), batch.arrival.received_us
        for gap in declared_gaps(batch.envelope):
            row = {"peer_key": peer_key, "epoch": gap.epoch, "first": gap.first, "last": gap.last}
            more = {"reason_key": self._name_key(gap.reason), "at_us": gap.at_us, "received_us": received_us}
            self._insert_once(schema.peer_gaps, row, more)

    def _insert_once(self, table: Table, identity: Row, more: Row) -> bool:
        """Insert a row unless there is one with this identity; returns true if it was inserted."""
        same = [table.c[column] == value for column, value in identity.items()]
        if self.transaction.execute(select(table.c.key).where(*same)).scalar() is not None:
            return False
        self.transaction.insert_one(table, identity | more)
        return True

    def _record(self, batch: Batch, item: Accepted, batch_key: int, chain: BatchChain) -> _Written:
        epoch_key = self.keys.epoch(self.transaction, batch.site, item.record.epoch)
        identity, name = (epoch_key, item.record.seq), (item.record.epoch, item.record.seq)
        digest = content_digest(item.raw)
        known = self.contents.get(identity)
        if known is not None:
            if known == digest:
                return _Written(RecordResult(*name, ReceiptStatus.COMMITTED, redelivered=True))
            self._keep_conflict(batch, identity, digest, item.raw)
            return _Written(RecordResult(*name, ReceiptStatus.CONFLICT))
        self.contents[identity] = digest
        self.keys.raise_last_seq(*identity)
        self.accounts.commit(*identity)
        keys = {"epoch_key": epoch_key, "batch_key": batch_key, "digest": digest}
        seen, reason = self._insert(batch, item, keys, chain)
        return _Written(RecordResult(*name, ReceiptStatus.COMMITTED), True, None if reason else seen, reason)

    def _insert(
        self, batch: Batch, item: Accepted, keys: Row, chain: BatchChain
    ) -> tuple[Observation, PassedOver | None]:
        """Insert a measurement; returns it as views see it, and the reason why they must not."""
        received_us, key = batch.arrival.received_us, self.transaction.new_key(schema.measurements)
        when = self.clocks.place(batch, item.record)
        record = without_untrusted_delays(item.record, when)
        seen = observe(
            batch.site,
            record,
            time_us=when.time_us,
            order=key,
            received_us=received_us,
            begin_offset_us=self.clocks.begin_offset_us(batch.site, record),
        )
        row_keys = keys | {"key": key, "series_key": self.keys.series(self.transaction, seen.series)}
        row = _measurement(record, when, row_keys, self._name_key)
        self.pending["measurements"].append(row)
        values = value_rows(key, record, item.raw, self._name_key)
        for table, found in values.items():
            self.pending[table].extend(with_digest(metadata.tables[table], one) for one in found)
        chain.add(record_digest(row, values))
        if isinstance(record, FloorMeasurement | CapacityMeasurement):
            site_key = self.keys.site(self.transaction, batch.site)
            self.test_records += of_agent(record, key, site_key, when.time_us)
        return seen, passed_over(when)

    def _name_key(self, text: str) -> int:
        return self.keys.name(self.transaction, text)

    def _keep_batch(self, batch: Batch, key: int, site_key: int, records: int, chain: BatchChain) -> None:
        sent, received_us = batch.envelope.sent, batch.arrival.received_us
        number = self.chains[site_key][0] + 1
        row = {
            "key": key,
            "site_key": site_key,
            "number": number,
            # The last keys given are those of this batch.
            "first_key": self.pending["measurements"][-records]["key"],
            "records": records,
            "agent_key": self._name_key(batch.envelope.program),
            "received_us": received_us,
            "payload_digest": bytes.fromhex(batch.digest),
            "sent_wall_us": sent.wall_us,
            "sent_boot_us": sent.boot_us,
            "sent_boot_key": self._name_key(sent.boot_id),
            "sent_synchronised": sent.synchronised,
            "sent_max_error_us": sent.max_error_us,
        }
        row["chain"] = chained = chain.of(row)
        self.chains[site_key] = number, chained
        self.pending["batches"].append(row)
        # The fastest level: payloads are kept for two days, and the writer is one thread.
        packed = zlib.compress(batch.arrival.payload, 1)
        self.pending["payloads"].append({"batch_key": key, "received_us": received_us, "zlib": packed})

    def _keep_conflict(self, batch: Batch, identity: tuple[int, int], digest: bytes, raw: bytes) -> None:
        row = {"epoch_key": identity[0], "seq": identity[1], "digest": digest}
        received = {"received_us": batch.arrival.received_us, "json": raw}
        if self._insert_once(schema.conflicts, row, received):
            self.accounts.conflict(identity[0])

    def _reject(self, message: Judged, fault: Fault, payload: bytes) -> None:
        row = {
            "key": self.transaction.new_key(schema.rejects),
            "received_us": message.arrival.received_us,
            "topic": message.arrival.topic[:200],
            "site_id": None if isinstance(message, PeerBatch) else message.site,
            "reason": fault.reason,
            "detail": fault.detail,
            "payload_digest": bytes.fromhex(message.digest),
            "payload_bytes": len(payload),
            "payload_head": payload[:REJECT_HEAD_BYTES],
        }
        self.pending["rejects"].append(row)

    def _account(self, batches: Iterable[Batch]) -> None:
        for batch in batches:
            for mark in batch.envelope.marks:
                self.accounts.mark(batch.site, mark)
            for gap in declared_gaps(batch.envelope):
                self.accounts.declare(batch.site, gap, batch.arrival.received_us)
        self.accounts.write()

    def _look_up(self, batches: Iterable[Batch]) -> Contents:
        """The contents that the ledger already holds under the identities of these batches."""
        wanted: dict[int, list[int]] = defaultdict(list)
        for batch in batches:
            for item in batch.items:
                if isinstance(item, Accepted):
                    epoch_key = self.keys.epoch(self.transaction, batch.site, item.record.epoch)
                    # New records have higher numbers, so in most groups nothing is looked up.
                    if item.record.seq <= self.keys.last_seq(self.transaction, epoch_key):
                        wanted[epoch_key].append(item.record.seq)
        found: Contents = {}
        for epoch_key, seqs in wanted.items():
            for start in range(0, len(seqs), _LOOK_UP):
                found |= self._held(epoch_key, seqs[start : start + _LOOK_UP])
        return found

    def _newest_chains(self, batches: Iterable[Batch]) -> dict[int, tuple[int, bytes]]:
        """Number and chain of the newest batch of each of these sites, by the site's key."""
        wanted = sorted({self.keys.site(self.transaction, batch.site) for batch in batches})
        found: dict[int, tuple[int, bytes]] = {}
        for start in range(0, len(wanted), _LOOK_UP):
            of_these = schema.sites.c.key.in_(wanted[start : start + _LOOK_UP])
            for row in self.transaction.execute(_HEADS.where(of_these)):
                found[row.key] = row.batches, row.chain
        return found

    def _held(self, epoch_key: int, seqs: list[int]) -> Contents:
        table = schema.measurements
        query = select(table.c.seq, table.c.digest).where(table.c.epoch_key == epoch_key)
        found = self.transaction.execute(query.where(table.c.seq.in_(seqs)))
        return {(epoch_key, seq): digest for seq, digest in found}

    def _write(self) -> None:
        for table in metadata.sorted_tables:
            if found := self.pending.get(table.name):
                self.transaction.insert(table, found)
        changed = {row["site_key"] for row in self.pending.get("batches", ())}
        self.transaction.change(schema.sites, changed, lambda row: self._head(row["key"]))
        self.clocks.write()
        if rejects := self.pending.get("rejects"):
            bound = rejects[-1]["key"] + 1 - self.reject_rows
            self.transaction.remove(schema.rejects, schema.rejects.c.key < bound)

    def _head(self, site_key: int) -> Row:
        number, chain = self.chains[site_key]
        return {"batches": number, "chain": chain}


def _begun(batch: PeerBatch, test: PeerTest) -> int:
    """Begin of a test, dated as a measurement is; at the latest its arrival, since a clock may be ahead."""
    received_us = batch.arrival.received_us
    return min(correct(test.start, batch.envelope.sent, received_us).time_us, received_us)


def _results_of(refused: Iterable[Refused]) -> list[RecordResult]:
    """Results of the refused records that have an identity; the batch names the others by no line."""
    return [
        RecordResult(*item.identity, ReceiptStatus.REJECTED, item.fault)
        for item in refused
        if item.identity is not None
    ]


def _measurement(record: Record, when: CorrectedTime, keys: Row, name_key: NameKey) -> Row:
    """Row of ``measurements``. ``keys`` are the row's own keys and its digest."""
    return keys | {
        "seq": record.seq,
        "time_us": when.time_us,
        "clock_offset_us": when.clock_offset_us,
        "time_error_us": when.error_us,
        "ahead": when.ahead,
        "outdated": when.outdated,
        "boot_us": record.start.boot_us,
        "boot_key": name_key(record.start.boot_id),
        "synchronised": record.start.synchronised,
        "max_error_us": record.start.max_error_us,
        "duration_us": record.duration_us,
        "purpose_key": name_key(record.purpose),
        "outcome_key": name_key(record.outcome),
        "failure_key": name_key(record.failure) if record.failure else None,
        "peer_key": name_key(record.peer),
        "slot_us": record.slot_us,
        "interval_us": record.interval_us,
        "schedule_key": name_key(record.schedule) if record.schedule else None,
        "session": record.session,
        "detail": record.detail or None,
        "bytes_sent": record.bytes_sent,
        "bytes_received": record.bytes_received,
        "host_busy_ratio": record.host.busy_ratio if record.host else None,
        "host_load_1min": record.host.load_1min if record.host else None,
    }
