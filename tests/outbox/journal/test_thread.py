"""The journal on its own thread: one thing after the other, whoever still waits for it."""

import asyncio
import threading
from functools import partial
from pathlib import Path

from outbox.journal.journal import Journal
from outbox.journal.thread import JournalThread
from tests.outbox.journalled import CLOCK, build


def opened(folder: Path) -> Journal:
    return Journal(folder / "journal.db", 64_000_000, CLOCK)


def seqs(journal: Journal) -> list[int]:
    return [row.seq for row in journal.waiting(1000)]


async def test_the_journal_works_on_its_own_thread(tmp_path: Path) -> None:
    thread = JournalThread(partial(opened, tmp_path))
    await thread.open()
    await asyncio.gather(*(thread.do(lambda journal: journal.commit(build, CLOCK)) for _ in range(10)))
    found = await thread.do(seqs)
    await thread.close()
    assert found == list(range(10, 0, -1))


async def test_what_waits_its_turn_is_done_though_its_asker_was_cancelled(tmp_path: Path) -> None:
    thread, may_end = JournalThread(partial(opened, tmp_path)), threading.Event()
    await thread.open()
    first = asyncio.ensure_future(thread.beside(may_end.wait))
    second = asyncio.create_task(thread.do(lambda journal: journal.commit(build, CLOCK)))
    await asyncio.sleep(0)
    second.cancel()
    await asyncio.wait((second,))
    may_end.set()
    await first
    found = await thread.do(seqs)
    await thread.close()
    assert found == [1]
