"""``power``: the power cut again and again, and journal and ledger opened on what the disk was left with.

Each round records a workload once and cuts at many points of it. The next round begins on one of those disks,
so that recoveries are cut, too. Now and then it begins on an empty disk.
"""

import shutil
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from collector.ledger.place import LedgerError
from collector.ledger.write.writer import Ledger
from lab.faults.accounts import notes, reading
from lab.faults.accounts.account import Account, Content, DeclaredGap, Held, Noted, RecordIdentity, settle
from lab.faults.accounts.effort import Effort
from lab.faults.accounts.folders import in_memory
from lab.faults.accounts.notes import digest_of
from lab.faults.power import damage_workload, journal_workload, ledger_workload, shim
from lab.faults.power.disk import Disk
from lab.faults.power.journal_workload import SIZE, moment
from lab.faults.power.ledger_workload import SITE
from lab.faults.power.names import HEARTBEAT, JOURNAL, LEDGER, NOTES
from lab.faults.power.op_log import Operation
from outbox.journal import heartbeat
from outbox.journal.file import JournalError
from outbox.journal.journal import Journal

CUTS, SHORT_CUTS = 300, 45
A_ROUND = 50
# Recoveries of recoveries are the rule otherwise, and the first opening would hardly be cut.
EMPTY_SHARE = 0.25
_AFTER_US = 1_900_000_000_000_000
# Index of SQLite's log: made in shared memory without a write that the shim could see, and built again from
# the log.
_VOLATILE = "-shm"

Tell = Callable[[str], None]
Files = Mapping[str, bytes]


@dataclass
class Count:
    """Result of the cuts. ``kept``: measurements that had to be there, or ``declared``, over all cuts."""

    cuts: int = 0
    lost: int = 0
    wrong: int = 0
    failed: int = 0
    kept: int = 0
    declared: int = 0
    findings: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """True if nothing committed was lost and everything started."""
        return not (self.lost or self.wrong or self.failed)

    def __str__(self) -> str:
        return (
            f"{self.cuts:,} cuts: {self.failed} failed starts, {self.lost} committed measurements lost"
            f" of {self.kept:,} looked for ({self.declared:,} declared),"
            f" {self.wrong} altered, invented or miscounted"
        )


@dataclass(frozen=True, slots=True)
class Subject:
    """Subject of a cut: its workload, and its files after the cut. ``check`` raises what a start raises."""

    name: str
    workload: str
    check: Callable[[Path, Noted], Account]


def run(effort: Effort, tell: Tell) -> bool:
    """Cut the power on journals, damaged ones and ledgers in turn; True if nothing was lost."""
    cuts = effort.cuts or (SHORT_CUTS if effort.short else CUTS)
    clean = True
    with in_memory("cuts") as folder:  # what is cut is the model's disk, not this machine's
        built = shim.build(folder)
        for subject in SUBJECTS:
            count = cut(subject, built, folder, -(-cuts // len(SUBJECTS)), effort.seed, tell)
            tell(f"{subject.name}: {count}")
            for finding in count.findings[:5]:
                tell(f"  {finding}")
            clean = clean and count.clean
    return clean


def cut(subject: Subject, built: Path, folder: Path, cuts: int, seed: int, tell: Tell) -> Count:
    """Cut ``cuts`` times."""
    chance, count, files = Random(f"{seed} {subject.name}"), Count(), dict[str, bytes]()
    number = 0
    while count.cuts < cuts:
        if chance.random() < EMPTY_SHARE:
            files = {}
        root = _laid_out(folder / subject.name, files)
        operations = shim.record(built, root, subject.workload, [str(seed * 1000 + number)])
        disk = Disk(str(root), files)
        # One log serves many cuts: recording it takes longer than all of them.
        wanted = min(A_ROUND, cuts - count.cuts)
        left = list(_cuts(disk, operations, wanted, chance))
        _compare(disk, root)
        for at, cut_files in left:
            _try(subject, folder, cut_files, count, f"round {number}, operation {at}")
        number += 1
        files = chance.choice(left)[1]
        if number % 10 == 0:
            tell(f"{subject.name}: {count}")
    return count


def _cuts(
    disk: Disk, operations: list[Operation], wanted: int, chance: Random
) -> Iterator[tuple[int, dict[str, bytes]]]:
    """The files after cuts at ``wanted`` points; the notes are as they were, whatever the disk did."""
    points = Counter(chance.randint(1, len(operations)) for _ in range(wanted))
    for at, operation in enumerate(operations, start=1):
        disk.apply(operation)
        for _ in range(points[at]):
            yield at, disk.after_cut(chance) | {NOTES: disk.now().get(NOTES, b"")}


def _try(subject: Subject, folder: Path, files: Files, count: Count, place: str) -> None:
    root = _laid_out(folder / "cut", files)
    noted = notes.parse(files[NOTES], SITE)
    count.cuts += 1
    try:
        account = subject.check(root, noted)
    except (JournalError, LedgerError, sqlite3.Error) as error:
        count.failed += 1
        count.findings.append(f"{place}: does not start: {error}")
        return
    count.kept += account.journalled
    count.declared += account.declared
    count.lost += len(account.lost)
    count.wrong += len(account.altered) + len(account.invented) + len(account.duplicated)
    count.wrong += len(account.miscounted) + account.missing
    if not account.closes:
        count.findings.append(f"{place}: {'; '.join(account.lines())}")


def check_journal(root: Path, noted: Noted) -> Account:
    """Open the journal, which must be whole and on its disk, and let it work. Raises JournalError.

    It may have dropped what there was no room for; no damage excuses a loss, and none may be declared.
    """
    _open(root)
    if aside := [file.name for file in root.glob("*.broken-*")]:
        raise JournalError(f"set aside as {aside[0]}")
    with closing(sqlite3.connect(root / JOURNAL)) as connection:
        if untrue := connection.execute("SELECT * FROM gap WHERE reason = 'damaged'").fetchall():
            raise JournalError(f"declared as damaged, and nothing was: {untrue[0][:3]}")
    return _settle(root, noted, "WHERE reason = 'dropped'")


def check_damaged_journal(root: Path, noted: Noted) -> Account:
    """Open the journal, which may take over what is left of it, and let it work. Raises JournalError.

    What the heartbeat on the disk does not name may be lost without a word.
    """
    beat = heartbeat.read(root / HEARTBEAT)
    named = {reach.epoch: reach.last for reach in beat.epochs} if beat else {}
    _open(root)
    return _settle(root, noted.without(lambda at: at.seq > named.get(at.epoch, 0)), "")


def _open(root: Path) -> None:
    with Journal(root / JOURNAL, SIZE, moment(_AFTER_US)) as journal:
        if journal.trouble:
            raise JournalError(journal.trouble)
        journal.prune(moment(_AFTER_US - journal_workload.WEEK_US))


def _settle(root: Path, noted: Noted, which_gaps: str) -> Account:
    with closing(sqlite3.connect(root / JOURNAL)) as connection:
        rows = connection.execute("SELECT epoch, seq, record FROM record").fetchall()
        gaps = connection.execute(f"SELECT epoch, first, last FROM gap {which_gaps}").fetchall()  # noqa: S608
    held = Held(
        contents=Counter(
            Content(RecordIdentity(SITE, epoch, seq), digest_of(raw)) for epoch, seq, raw in rows
        ),
        gaps=tuple(DeclaredGap(SITE, *gap) for gap in gaps),
    )
    return settle(noted.still_kept(), held)


def check_ledger(root: Path, noted: Noted) -> Account:
    """Open the ledger and read it. Raises LedgerError."""
    Ledger(root / LEDGER).close()
    return settle(noted, reading.of_ledger(root / LEDGER))


SUBJECTS = (
    Subject("journal", journal_workload.__name__, check_journal),
    Subject("damaged journal", damage_workload.__name__, check_damaged_journal),
    Subject("ledger", ledger_workload.__name__, check_ledger),
)


def _compare(disk: Disk, root: Path) -> None:
    """Check that the log contains every write. Raises RuntimeError."""
    there = {file.name: file.read_bytes() for file in root.iterdir()}
    known = disk.now()
    different = [
        name for name in there | known if there.get(name) != known.get(name) and not name.endswith(_VOLATILE)
    ]
    if different:
        raise RuntimeError(f"the shim did not see everything done to {', '.join(sorted(different))}")


def _laid_out(root: Path, files: Files) -> Path:
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir()
    for name, data in files.items():
        (root / name).write_bytes(data)
    return root
