"""A site in a process of its own: the agent's journal and uplink, and measurements that nobody made."""

import asyncio
import signal
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import net.liveness
from agent.settings.sections import UplinkSettings
from agent.uplink.uplink import Uplink
from host import log
from host.clock import Clock
from host.units import Seconds
from lab.faults.accounts.notes import Notes
from lab.faults.processes import source
from net.mqtt import Broker
from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from wire.records import ClockReading, Measurement

SIZE = 64_000_000
LOOK_EVERY_S = 0.05
BEAT_EVERY_S = 1.0


@dataclass(frozen=True, slots=True)
class SiteProcess:
    """Settings of the process of one site.

    ``every_s``: seconds between measurements, 0 for none. ``interval_s``: between batches, live and backlog.
    ``receipt_s``: until a receipt is given up. ``back_within_s``: the longest pause before a new connection.
    ``life``: tells this process's serials from those of all others of the site.
    """

    name: str
    journal: Path
    notes: Path
    port: int
    life: int
    every_s: float
    interval_s: float = 0.2
    receipt_s: float = 2.0
    back_within_s: float = 0.5
    keepalive_s: int = 5
    size: int = SIZE

    @property
    def troubles(self) -> Path:
        """File of the times at which the connection came and went: ``monotonic seconds, problem``."""
        return self.notes.with_suffix(".troubles")


def run(site: SiteProcess) -> None:
    """Measure and send until SIGTERM."""
    log.start("info")
    # The minute of a real agent would let a run see a dozen connections instead of hundreds.
    net.liveness.LAST_PAUSE_S = site.back_within_s
    asyncio.run(_run(site))


async def _run(site: SiteProcess) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    clock = Clock()
    journal = JournalThread(lambda: Journal(site.journal, site.size, clock.read()))
    settings = UplinkSettings(Seconds(site.interval_s), Seconds(site.interval_s), Seconds(site.receipt_s))
    broker = Broker(port=site.port, keepalive_s=site.keepalive_s)
    uplink = Uplink(site.name, "0.1.0", broker, settings, journal, clock.read)
    await journal.open()
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [
                group.create_task(uplink.run()),
                group.create_task(_tell_troubles(site, uplink)),
                group.create_task(journal.keep_beating(clock.read, BEAT_EVERY_S)),
                group.create_task(_measure(site, journal, uplink, clock)),
            ]
            await stop.wait()
            for task in tasks:
                task.cancel()
    finally:
        await journal.close()


async def _measure(site: SiteProcess, journal: JournalThread, uplink: Uplink, clock: Clock) -> None:
    notes, number = Notes(site.notes), 0
    while site.every_s:
        number += 1
        work = partial(_commit, notes, f"{site.life}-{number}", number % 2 * 46, clock.read())
        await journal.do(work)
        uplink.committed()
        await asyncio.sleep(site.every_s)


def _commit(notes: Notes, serial: str, dscp: int, now: ClockReading, journal: Journal) -> None:
    def build(epoch: str, seq: int) -> Measurement:
        measurement = source.train(epoch, seq, serial=serial, start=now, dscp=dscp)
        # Before the commit: a kill between the two must not make the record look invented.
        notes.tried(measurement)
        return measurement

    measurement = journal.commit(build, now)
    if measurement is not None:
        notes.committed(measurement)


async def _tell_troubles(site: SiteProcess, uplink: Uplink) -> None:
    """A line whenever what the uplink says of its connection changes."""
    written: str | None = ""
    with site.troubles.open("a", encoding="utf-8", buffering=1) as file:
        while True:
            if uplink.problem != written:
                written = uplink.problem
                file.write(f"{time.monotonic():.3f} {written or ''}\n")
            await asyncio.sleep(LOOK_EVERY_S)
