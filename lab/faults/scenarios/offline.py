"""``offline``: 30 days without a collector across a month's end, then drained beside what is live.

The first part runs by value, on a clock that runs ahead. It joins the real journal on SQLite, the uplink's
core (``outbox.delivery``) and the real ledger, with the settings' default pauses. The second part drains a
month-old backlog at this machine's own pace, through Mosquitto and the collector's program.
"""

import asyncio
import calendar
import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from agent.settings import sections as settings
from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from lab.faults.accounts import reading
from lab.faults.accounts.account import Account
from lab.faults.accounts.effort import Effort
from lab.faults.accounts.folders import in_memory
from lab.faults.accounts.notes import Notes
from lab.faults.processes.cadence import Build, Cadence
from lab.faults.processes.stage import Tell, stage
from outbox.delivery.delivery import Delivery, Fetch
from outbox.delivery.pace import Pace
from outbox.journal.journal import Journal
from outbox.publisher import Sender, compose, read
from outbox.rows import Row
from wire.messages import envelope as messages
from wire.messages import topics
from wire.messages.envelope import Receipt
from wire.records import ClockReading, Measurement

Claim = tuple[str, bool]

SITE = "SITE1"
DAYS, SHORT_DAYS = 30, 1
BEGIN_US = calendar.timegm((2026, 1, 17, 0, 0, 0)) * 1_000_000
SHORT_BEGIN_US = calendar.timegm((2026, 1, 31, 12, 0, 0)) * 1_000_000
# What SQLite's log and index of it may take beside a journal's own bytes.
AROUND_BYTES = 5_000_000
SENDER = Sender(SITE, "0.1.0", topics.topic(SITE, topics.Kind.RESULTS))
LIVE_WITHIN_S = 60.0
DRAINED_WITHIN_S = 86_400.0
RESTART_EVERY = 7 * 1440  # minutes
PRUNE_EVERY = 10
UNDER_WAY_S = 0.5
REAL_BACKLOG_MINUTES, SHORT_BACKLOG_MINUTES = 1_500, 100
REAL_WITHIN_S = 90.0
TOO_SMALL_BYTES = 1_000_000


@dataclass
class Drained:
    """Result of a drain, in seconds of its clock. ``ordered``: each backlog batch was older than the last."""

    seconds: float = 0.0
    batches: int = 0
    ordered: bool = True
    behind_s: list[float] = field(default_factory=list)


class SimulatedClock:
    """A site's clocks, moved by hand."""

    def __init__(self, begin_us: int) -> None:
        self._begin_us = begin_us
        self.seconds = 0.0

    def read(self) -> ClockReading:
        """Read both clocks."""
        passed_us = round(self.seconds * 1e6)
        return ClockReading(
            wall_us=self._begin_us + passed_us, boot_us=passed_us, boot_id="boot", synchronised=True
        )


class Offline:
    """One site in ``folder``, and its clock."""

    def __init__(self, folder: Path, begin_us: int, size: int, seed: int) -> None:
        self.clock = SimulatedClock(begin_us)
        self.largest = 0
        self.minutes = 0
        self.next_s = 0.0
        self._random = Random(seed)
        self._path = reading.journal_of(folder, SITE)
        self._size = size
        self._notes = Notes(reading.notes_of(folder, SITE))
        self._cadence = Cadence(SITE, seed)
        self.journal = Journal(self._path, size, self.clock.read())

    def minute(self) -> list[Measurement]:
        """Measure for a minute, prune when it is time; the agent is restarted every week."""
        self.clock.seconds = max(self.clock.seconds, self.next_s)
        self.minutes += 1
        self.next_s = 60.0 * self.minutes + self._random.uniform(0.0, 50.0)
        if self.minutes % RESTART_EVERY == 0:
            self.journal.close()
            self.journal = Journal(self._path, self._size, self.clock.read())
        builds = self._cadence.minute(self.minutes, self.clock.read())
        done = [measurement for build in builds if (measurement := self._commit(build)) is not None]
        if self.minutes % PRUNE_EVERY == 0:
            self.journal.prune(self.clock.read())
            files = self._path.parent.glob(f"{self._path.name}*")
            self.largest = max(self.largest, sum(file.stat().st_size for file in files))
        return done

    def close(self) -> None:
        """Close journal and notes."""
        self.journal.close()
        self._notes.close()

    def _commit(self, build: Build) -> Measurement | None:
        measurement = self.journal.commit(self._noting(build), self.clock.read())
        if measurement is not None:
            self._notes.committed(measurement)
        return measurement

    def _noting(self, build: Build) -> Build:
        def noted(epoch: str, seq: int) -> Measurement:
            measurement = build(epoch, seq)
            self._notes.tried(measurement)
            return measurement

        return noted


class Drain:
    """The uplink of a site by value: batches go straight into the ledger, receipts come a moment later."""

    def __init__(self, site: Offline, ledger: Ledger, seed: int) -> None:
        self.found = Drained()
        self._site = site
        self._ledger = ledger
        self._began = site.clock.seconds
        newest = site.journal.newest_position()
        self._delivery = Delivery(
            Pace(), Random(seed), messages.decode_measurement, newest=newest, now=self._began
        )
        self._receipts: list[tuple[float, Receipt]] = []
        self._oldest = newest + 1
        self._live: dict[tuple[str, int], float] = {}
        self._live_from = newest

    def run(self) -> Drained:
        """Send until nothing is left, measuring on."""
        clock, site = self._site.clock, self._site
        while self._is_anything_left():
            if clock.seconds - self._began > DRAINED_WITHIN_S:
                break
            self._take_receipts()
            if self._delivery.begin_day(clock.seconds) and site.journal.release():
                self._delivery.released()
            while (fetch := self._delivery.next_fetch(clock.seconds)) is not None:
                self._send(fetch)
            moments = [self._delivery.next_wake(clock.seconds), *(at for at, _ in self._receipts)]
            clock.seconds = max(clock.seconds + 0.01, min(site.next_s, *moments))
            if clock.seconds >= site.next_s:
                self._measure()
            self.found.seconds = clock.seconds - self._began
        return self.found

    def _is_anything_left(self) -> bool:
        counts = self._site.journal.counts()
        return bool(counts.waiting or counts.rejected or self._delivery.in_flight)

    def _measure(self) -> None:
        for measurement in self._site.minute():
            self._live[(measurement.epoch, measurement.seq)] = self._site.clock.seconds
        self._delivery.committed()

    def _take_receipts(self) -> None:
        clock, journal = self._site.clock, self._site.journal
        due = [receipt for at, receipt in self._receipts if at <= clock.seconds]
        self._receipts = [one for one in self._receipts if one[0] > clock.seconds]
        for receipt in due:
            outcome = self._delivery.receipt(receipt)
            journal.apply(outcome.changes, clock.read(), outcome.declared)

    def _send(self, fetch: Fetch) -> None:
        journal, clock = self._site.journal, self._site.clock
        fetched, gaps = read(journal, fetch)
        rows = self._delivery.choose(fetch, fetched, gaps, clock.seconds)
        if not rows and not gaps:
            return
        self._note(rows)
        epochs = list({row.epoch for row in rows} | {gap.epoch for gap in gaps})
        payload = compose(SENDER, clock.read(), journal.marks(epochs), rows, gaps)
        self._delivery.sent(messages.digest(payload), fetch, rows, gaps, clock.seconds)
        arrival = Arrival(topics.topic(SITE, topics.Kind.RESULTS), payload, clock.read().wall_us)
        (committed,) = self._ledger.commit([judge(arrival)]).messages
        if isinstance(committed.receipt, Receipt):
            self._receipts.append((clock.seconds + UNDER_WAY_S, committed.receipt))

    def _note(self, rows: tuple[Row, ...]) -> None:
        """Note the delay of live records, and the order of the backlog."""
        self.found.batches += 1
        for row in rows:
            committed = self._live.pop((row.epoch, row.seq), None)
            if committed is not None:
                self.found.behind_s.append(self._site.clock.seconds - committed)
        if rows and rows[0].position <= self._live_from:
            self.found.ordered = self.found.ordered and rows[0].position < self._oldest
            self._oldest = rows[-1].position


def run(effort: Effort, tell: Tell) -> bool:
    """Be away, come back, and tell how it went; True if all held."""
    days, begin_us = (SHORT_DAYS, SHORT_BEGIN_US) if effort.short else (DAYS, BEGIN_US)
    size = settings.JournalSettings().size
    found = ahead(days, begin_us, size, effort.seed, tell)
    too_small = ahead(SHORT_DAYS, SHORT_BEGIN_US, TOO_SMALL_BYTES, effort.seed, tell)
    found += [(f"in a journal that is too small, {claim}", true) for claim, true in too_small]
    good = True
    for claim, true in [*found, *_at_own_pace(effort, tell)]:
        tell(f"{claim}: {'yes' if true else 'NO'}")
        good = good and true
    return good


def ahead(
    days: int, begin_us: int, size: int, seed: int, tell: Tell, folder: Path | None = None
) -> list[Claim]:
    """Be away for ``days`` by value; what is claimed of it, and whether it held."""
    with nullcontext(folder) if folder is not None else in_memory("offline") as place:
        site = Offline(place, begin_us, size, seed)
        for _ in range(days * 1440):
            site.minute()
        tell(f"{days} days away: {site.journal.counts()}; files of {site.largest:,} bytes at most")
        ledger = Ledger(place / reading.LEDGER)
        drained = Drain(site, ledger, seed).run()
        ledger.close()
        site.close()
        account = reading.account_of(place, [SITE])
        in_order = reading.in_order(place / reading.LEDGER)
    behind = max(drained.behind_s, default=float("inf"))
    tell(
        f"drained in {drained.seconds / 3600:.1f} h, {drained.batches:,} batches; live {behind:.1f} s behind"
    )
    _tell_account(account, tell)
    return [
        (
            f"the journal's files stay below {size + AROUND_BYTES:,} bytes",
            site.largest <= size + AROUND_BYTES,
        ),
        ("the backlog goes newest first", drained.ordered),
        ("all measurements stand in the order in which they were made", in_order),
        (f"live data is at most {LIVE_WITHIN_S:g} s behind", behind <= LIVE_WITHIN_S),
        ("the account closes", account.closes),
    ]


def _at_own_pace(effort: Effort, tell: Tell) -> list[Claim]:
    minutes = SHORT_BACKLOG_MINUTES if effort.short else REAL_BACKLOG_MINUTES
    with tempfile.TemporaryDirectory(prefix="plancher-offline-") as name:
        site = Offline(Path(name), BEGIN_US, settings.JournalSettings().size, effort.seed)
        for _ in range(minutes):
            site.minute()
        site.close()
        account, behind_s = asyncio.run(_drain_for_real(Path(name), tell))
    tell(f"at this machine's pace: live {behind_s:.1f} s behind")
    _tell_account(account, tell)
    return [
        (
            f"live data is at most {LIVE_WITHIN_S:g} s behind, at this machine's pace",
            behind_s <= LIVE_WITHIN_S,
        ),
        ("that account closes", account.closes),
    ]


async def _drain_for_real(folder: Path, tell: Tell) -> tuple[Account, float]:
    async with stage(folder, sites=1, every_s=0.1) as running:
        backlog = len(reading.noted_of(folder, [SITE]).committed)
        await running.until(lambda account: account.held >= backlog, REAL_WITHIN_S)
        account = await running.closed(REAL_WITHIN_S, tell)
        return account, reading.behind_s(folder / reading.LEDGER, BEGIN_US + 86_400_000_000 * DAYS)


def _tell_account(account: Account, tell: Tell) -> None:
    tell("; ".join(" ".join(line.split()) for line in account.lines()))
