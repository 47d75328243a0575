"""Journal, delivery and receipts against a model of the collector, whatever disk, network and ledger do.

Once everything is quiet: what was journalled is in the ledger or declared lost, and no identity had two
contents. Records that a dead machine had in memory alone were never journalled. What came after the newest
heartbeat may be lost with a damaged file; what only a restored image lacks is known to nobody. A record that
makes the ledger reject every batch with it (poison) holds back nothing else, and stays in the journal.
"""

import random
import shutil
import tempfile
from pathlib import Path
from unittest import mock

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from outbox.delivery.delivery import BatchKind, Delivery, Fetch
from outbox.delivery.pace import Pace
from outbox.journal import disk as journal_disk
from outbox.journal import heartbeat
from outbox.journal.file import DiskTroubleError
from outbox.journal.journal import Journal
from outbox.publisher import compose, read
from outbox.rows import Filing, Row, State
from tests.collector.examples import stamp
from tests.outbox.journalled import Identity, connection, later
from tests.outbox.ledger import SENDER, LedgerModel
from wire.messages import envelope as messages
from wire.messages.envelope import Gap, Receipt
from wire.records import ClockReading

PACE = Pace(interval_s=60, backlog_interval_s=30, receipt_timeout_s=60)
SIZE = 90_000
IN_MEMORY = Path("/dev/shm")  # nobody cuts the power here: only kills


class Site(RuleBasedStateMachine):
    """One agent's disk, memory and delivery, and the ledger at the other end."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(dir=IN_MEMORY if IN_MEMORY.is_dir() else None))
        self.chance = random.Random(1)
        self.now = 0.0
        self.copies = 0
        self.disk_works = True
        self.required: set[Identity] = set()
        self.ever: set[Identity] = set()
        self.ledger = LedgerModel()
        self.receipts: list[Receipt] = []
        self.image: Path | None = None
        self.backups = [(self.ledger.backup(), 0)]
        self.commands = 0
        self._start(self._directory())

    def _directory(self) -> Path:
        self.copies += 1
        made = self.folder / str(self.copies)
        made.mkdir()
        return made

    def _clock(self) -> ClockReading:
        return later(round(self.now * 1e6))

    def _start(self, directory: Path) -> None:
        self.directory = directory
        self.volatile: set[Identity] = set()
        trouble = DiskTroubleError("the test's")
        refuse = mock.patch.object(journal_disk.journal_file, "open_store", side_effect=trouble)
        if self.disk_works:
            self.journal = Journal(directory / "journal.db", SIZE, self._clock())
        else:
            with refuse:
                self.journal = Journal(directory / "journal.db", SIZE, self._clock())
        self._make_quick()
        newest = self.journal.newest_position()
        self.delivery = Delivery(PACE, self.chance, messages.decode_measurement, newest=newest, now=self.now)
        self.generation = self.journal.generation
        self.receipts.clear()

    def _make_quick(self) -> None:
        if self.journal._disk.store is not None:
            connection(self.journal).execute("PRAGMA synchronous = OFF")  # kills only: nobody cuts the power

    @rule(
        count=st.sampled_from([1, 7, 40, 80]),
        drop_order=st.integers(0, 2),
        prune=st.booleans(),
        beat=st.booleans(),
        poison=st.sampled_from([False, False, False, True]),
    )
    def measure(self, count: int, drop_order: int, prune: bool, beat: bool, poison: bool) -> None:
        for _ in range(count):
            made = self.journal.commit(
                lambda epoch, seq: stamp(seq, epoch=epoch), self._clock(), Filing(drop_order)
            )
            identity = (made.epoch, made.seq)
            assert identity not in self.ever, "an identity used twice"
            self.ever.add(identity)
            self.required.add(identity)
            if self.journal.trouble:
                self.volatile.add(identity)
            self.delivery.committed()
        if poison:
            self.ledger.poison.add(identity)
        self._watch_journal()
        if prune:
            self._prune()
        if beat:
            self.journal.beat(self._clock())

    def _watch_journal(self) -> None:
        """As the publisher does."""
        if self.journal.generation != self.generation:
            self.generation = self.journal.generation
            self.delivery.released()
            self.delivery.lost()
        if self.delivery.begin_day(self.now):
            self.journal.release()
            self.delivery.released()
        if not self.journal.trouble:
            self.volatile.clear()

    @rule(
        fate=st.sampled_from(["arrives", "arrives", "lost", "receipt lost", "twice", "refused"]),
        share=st.sampled_from([0.0, 0.5, 1.0]),
        seconds=st.sampled_from([0.0, 15.0, 61.0, 400.0]),
    )
    def send(self, fate: str, share: float, seconds: float) -> None:
        self.now += seconds
        self._watch_journal()
        for _ in range(4):
            fetch = self.delivery.next_fetch(self.now)
            if fetch is None:
                break
            self._send(fetch, fate)
        self._hear(share)

    def _send(self, fetch: Fetch, fate: str) -> None:
        rows, gaps = read(self.journal, fetch)
        chosen = self.delivery.choose(fetch, rows, gaps, self.now)
        assert fetch.kind is not BatchKind.APART or len(chosen) <= 100
        if not chosen and not gaps:
            return
        payload = self._compose(chosen, gaps)
        digest = messages.digest(payload)
        self.delivery.sent(digest, fetch, chosen, gaps, self.now)
        for _ in range({"lost": 0, "twice": 2}.get(fate, 1)):
            receipt = self.ledger.take(payload)
            if fate != "receipt lost":
                self.receipts.append(receipt)
        if fate == "refused":
            self.delivery.not_published(digest)

    def _compose(self, rows: tuple[Row, ...], gaps: list[Gap]) -> bytes:
        epochs = list({row.epoch for row in rows} | {gap.epoch for gap in gaps})
        marks, obeyed = self.journal.marks(epochs), self.journal.obeyed
        payload = compose(SENDER, self._clock(), marks, rows, gaps, obeyed)
        if self.ledger.command is not None and obeyed != self.ledger.command:
            self._ask()
        return payload

    def _ask(self) -> None:
        assert self.ledger.command is not None
        if self.journal.resend(self.ledger.command, self.ledger.since_us) is not None:
            self.delivery.forget(self.now)
            self.receipts.clear()  # of the ledger that was

    def _hear(self, share: float) -> None:
        self.chance.shuffle(self.receipts)
        while self.receipts and self.chance.random() < share:
            outcome = self.delivery.receipt(self.receipts.pop())
            self.journal.apply(outcome.changes, self._clock(), outcome.declared)

    @rule(rejects=st.booleans(), knows_gaps=st.booleans(), refuses=st.booleans())
    def change_collector(self, rejects: bool, knows_gaps: bool, refuses: bool) -> None:
        self.ledger.rejects, self.ledger.knows_gaps = rejects, knows_gaps
        self.ledger.refuses = refuses

    def _prune(self) -> None:
        before = self._held(State.COMMITTED, State.CONFLICT)
        self.journal.prune(self._clock())
        # A full journal drops committed ones first; of those a ledger that was restored since has nothing.
        self.required -= before - self._held() - self.ledger.contents.keys() - self._gaps()
        self.delivery.lost()

    @precondition(lambda self: self.disk_works and self.journal._disk.store is not None)
    @rule()
    def disk_fails(self) -> None:
        self.disk_works = False
        connection(self.journal).execute("PRAGMA query_only = ON")

    @rule()
    def disk_works_again(self) -> None:
        self.disk_works = True
        if self.journal._disk.store is not None:
            connection(self.journal).execute("PRAGMA query_only = OFF")
        self.now += 10
        self.journal.recover(self._clock())
        self._make_quick()
        self._watch_journal()

    @rule()
    def restart(self) -> None:
        self.journal.close(self._clock())
        if self.journal._memory is not None:
            self._lose_memory()
        self._start(self.directory)

    @rule(flips=st.sampled_from([0, 1, 3]), folded=st.booleans(), seed=st.integers(0, 2**32))
    def kill(self, flips: int, folded: bool, seed: int) -> None:
        self._lose_memory()
        if folded and self.journal._disk.store is not None and self.disk_works:
            connection(self.journal).execute("PRAGMA wal_checkpoint(TRUNCATE)")
        copy = self._copy()
        if flips:
            # Of what was committed nothing is declared; a ledger restored since may lack it.
            self.required -= self._held(State.COMMITTED) - self.ledger.contents.keys()
            self._flip(copy, flips, random.Random(seed))
            self.required -= self._unnamed(copy) - self.ledger.contents.keys() - self.ledger.declared
        self.journal.release_file()
        self._start(copy)

    def _lose_memory(self) -> None:
        self.required -= self.volatile - self.ledger.contents.keys() - self.ledger.declared

    def _copy(self) -> Path:
        copy = self._directory()
        for name in ("journal.db", "journal.db-wal", "journal.db-heartbeat"):
            if (self.directory / name).exists():
                shutil.copy(self.directory / name, copy / name)
        return copy

    def _unnamed(self, directory: Path) -> set[Identity]:
        """Records that a damaged journal may lose without a word: those that the heartbeat does not name."""
        beat = heartbeat.read(directory / "journal.db-heartbeat")
        named = {reach.epoch: reach.last for reach in beat.epochs} if beat else {}
        return {(epoch, seq) for epoch, seq in self.required if seq > named.get(epoch, 0)}

    def _flip(self, directory: Path, flips: int, chance: random.Random) -> None:
        sizes = {file: file.stat().st_size for file in sorted(directory.iterdir())}
        for target in (
            chance.choices(list(sizes), list(sizes.values()), k=flips) if any(sizes.values()) else ()
        ):
            data = bytearray(target.read_bytes())
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            target.write_bytes(data)

    @precondition(lambda self: self.journal.trouble is None and self.disk_works)
    @rule()
    def take_image(self) -> None:
        self.image = self._copy()

    @precondition(lambda self: self.image is not None)
    @rule()
    def restore_image(self) -> None:
        """Yesterday's image, or the same card in a second machine: it goes on under new names."""
        assert self.image is not None
        self.journal.release_file()
        self.directory = self.image
        image = self._copy()
        self._start(image)
        known = self._held() | self._gaps() if self.journal._disk.store else set()
        if not self.journal._disk.store:  # what it holds will be known when the disk works
            self.required &= self.ledger.contents.keys() | self.ledger.declared
        self.required &= known | self.ledger.contents.keys() | self.ledger.declared

    @rule()
    def back_up_ledger(self) -> None:
        self.backups.append((self.ledger.backup(), self._clock().wall_us))

    @precondition(lambda self: self.journal.trouble is None and self.disk_works)
    @rule(which=st.integers(0, 9))
    def restore_ledger(self, which: int) -> None:
        (contents, declared, high), since_us = self.backups[which % len(self.backups)]
        self.required &= self._held() | self._gaps() | contents.keys() | declared
        self.ledger.contents, self.ledger.declared = dict(contents), set(declared)
        self.ledger.high_water = dict(high)
        self.commands += 1
        self.ledger.command, self.ledger.since_us = f"resend-{self.commands}", since_us
        self._ask()

    def _held(self, *states: State) -> set[Identity]:
        if self.journal._disk.store is None:
            return set()
        chosen = ", ".join(str(int(state)) for state in states or State)
        query = f"SELECT epoch, seq FROM record WHERE state IN ({chosen})"
        found = set(connection(self.journal).execute(query))
        if self.journal._memory is not None:
            found |= set(self.journal._memory.store.connection.execute(query))
        return found

    def _gaps(self) -> set[Identity]:
        memory = self.journal._memory
        stores = [store for store in (self.journal._disk.store, memory and memory.store) if store]
        rows = [
            row for store in stores for row in store.connection.execute("SELECT epoch, first, last FROM gap")
        ]
        return {(epoch, seq) for epoch, first, last in rows for seq in range(first, last + 1)}

    @invariant()
    def nothing_is_invented(self) -> None:
        assert self.ledger.contents.keys() <= self.ever
        assert self.ledger.declared <= self.ever

    def teardown(self) -> None:
        try:
            self._become_quiet()
            missing = self.required - self.ledger.contents.keys() - self.ledger.declared
            missing -= self._held(State.REJECTED) & self.ledger.poison
            assert not missing, f"{len(missing)} neither in the ledger nor declared: {sorted(missing)[:3]}"
        finally:
            self.journal.release_file()
            shutil.rmtree(self.folder)

    def _become_quiet(self) -> None:
        self.change_collector(False, True, False)
        self.disk_works_again()
        assert self.journal.trouble is None
        # A site that is silent is asked for nothing; but every site measures.
        self.measure(count=1, drop_order=0, prune=False, beat=False, poison=False)
        for _ in range(3000):
            self.now = max(self.delivery.next_wake(self.now), self.now + 0.01)
            self.send("arrives", 1.0, 0.0)
            counted = self.journal.counts()
            tried = self._held(State.REJECTED) <= self.ledger.poison
            if not counted.waiting and tried and not self.journal.gaps(1):
                return
        raise AssertionError(f"it never became quiet: {counted}")


Site.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestSite = Site.TestCase


def test_a_trouble_that_comes_and_goes_between_two_looks_leaves_nothing_unsent() -> None:
    site = Site()
    site.measure(count=1, drop_order=0, prune=False, beat=False, poison=False)
    site.disk_fails()
    site.send("arrives", 0.0, 0.0)
    site.teardown()
