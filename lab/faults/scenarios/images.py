"""``images``: a journal from yesterday's image, and a card that was cloned while its site goes on.

An image has the identities of its past and nothing that came after it. So every opening of a journal draws a
new epoch. No identity is given out twice, and the ledger sees two epochs follow the same one. Records of the
lost present are shown as missing, as far as they had been announced. If the journal alone was put back, the
heartbeat beside it names the newest epoch and its last number. The records up to that number are declared
lost, and the next epoch follows that one.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from lab.faults.accounts import reading
from lab.faults.accounts.account import Account, RecordIdentity
from lab.faults.accounts.effort import Effort
from lab.faults.processes.stage import FaultStage, Tell, stage

SITE, CLONE = "SITE1", "SITE1~2"
EVERY_S = 0.02
WHILE_S, SHORT_WHILE_S = 6.0, 1.5
WITHIN_S = 60.0
_JOURNAL = (".db", ".db-wal", ".db-shm")
_CARD = (*_JOURNAL, ".db-heartbeat")

Finding = tuple[str, bool]
Scene = Callable[[FaultStage, float, Tell], Awaitable[tuple[Account, list[Finding]]]]


def run(effort: Effort, tell: Tell) -> bool:
    """Restore, lose and clone; True if nothing is swallowed and each is shown."""
    seconds = SHORT_WHILE_S if effort.short else WHILE_S
    good = True
    for name, scene in SCENES.items():
        with tempfile.TemporaryDirectory(prefix="plancher-images-") as folder:
            account, findings = asyncio.run(_play(Path(folder), scene, seconds, tell))
        for claim, true in findings:
            tell(f"{name}: {claim}: {'yes' if true else 'NO'}")
            good = good and true
        tell(f"{name}: " + "; ".join(" ".join(line.split()) for line in account.lines()))
    return good


async def _play(folder: Path, scene: Scene, seconds: float, tell: Tell) -> tuple[Account, list[Finding]]:
    async with stage(folder, sites=1, every_s=EVERY_S) as running:
        return await scene(running, seconds, tell)


async def restored(running: FaultStage, seconds: float, tell: Tell) -> tuple[Account, list[Finding]]:
    """Everything after the image was delivered before it came back."""
    await _measure_and_take_image(running, seconds)
    running.start_site(SITE)
    await asyncio.sleep(seconds)
    running.every_s = 0.0
    await running.end_site(SITE)
    running.start_site(SITE)
    delivered = await running.until(lambda account: account.closes, WITHIN_S)
    await _bring_image_back(running)
    await asyncio.sleep(seconds)
    account = await running.closed(WITHIN_S, tell)
    return account, [
        ("all was delivered before", delivered.closes),
        ("more was measured after it", account.journalled > delivered.journalled),
        ("the account closes", account.closes),
        ("the ledger shows two epochs after one", _forked(running)),
    ]


async def lost(running: FaultStage, seconds: float, tell: Tell) -> tuple[Account, list[Finding]]:
    """Lose measurements after an image whose epoch was announced, and that never reached the ledger."""
    expected = await _lose(running, seconds)
    await _bring_image_back(running)
    await asyncio.sleep(seconds)
    account = await running.closed(WITHIN_S, tell, lambda found: found.lost == found.shown == expected)
    return account, [
        ("what the image did not have is lost, and nothing else", account.lost == expected != ()),
        ("and every one of these is shown as missing", account.shown == account.lost),
        ("nothing was altered, doubled or invented", not _wrong(account)),
        ("the ledger shows two epochs after one", _forked(running)),
    ]


async def put_back(running: FaultStage, seconds: float, tell: Tell) -> tuple[Account, list[Finding]]:
    """The same, but that what stands beside the journal is still there."""
    expected = await _lose(running, seconds)
    await _bring_image_back(running, _JOURNAL)
    await asyncio.sleep(seconds)
    account = await running.closed(WITHIN_S, tell)
    return account, [
        ("what the image did not have is declared, and nothing else", account.declared == len(expected) > 0),
        ("the account closes", account.closes),
        ("the chain of epochs is whole", not _forked(running)),
    ]


async def cloned(running: FaultStage, seconds: float, tell: Tell) -> tuple[Account, list[Finding]]:
    """Two agents of one site at once: each time one connects, the broker drops the other."""
    await _measure_and_take_image(running, seconds)
    for suffix in _CARD:
        if (image := running.folder / f"image{suffix}").exists():
            shutil.copy(image, running.folder / f"{CLONE}{suffix}")
    running.names.append(CLONE)
    for name in running.names:
        running.start_site(name)
    await asyncio.sleep(2 * seconds)
    account = await running.closed(WITHIN_S, tell)
    beside = reading.noted_of(running.folder, [CLONE]).committed
    return account, [
        ("both measured", 0 < len(beside) < account.journalled),
        ("the account of both closes", account.closes),
        ("the ledger shows two epochs after one", _forked(running)),
    ]


SCENES = {"restored": restored, "lost": lost, "put back": put_back, "cloned": cloned}


async def _measure_and_take_image(running: FaultStage, seconds: float) -> None:
    await asyncio.sleep(seconds)
    running.sites[SITE].kill()  # an image is taken of a running system
    del running.sites[SITE]
    for suffix in _CARD:
        if (file := running.folder / f"{SITE}{suffix}").exists():
            shutil.copy(file, running.folder / f"image{suffix}")


async def _lose(running: FaultStage, seconds: float) -> tuple[RecordIdentity, ...]:
    """Measure what no collector takes, after an image; what of it the image has not."""
    await _measure_and_take_image(running, seconds)
    known = {content.identity.epoch for content in reading.noted_of(running.folder, [SITE]).committed}
    running.start_collector(refusing=True)
    running.start_site(SITE)
    await asyncio.sleep(seconds)
    running.every_s = 0.0
    await running.end_site(SITE)
    running.start_site(SITE)  # which announces how far the epoch before came
    gone = await running.until(lambda account: bool(account.lost) and account.lost == account.shown, WITHIN_S)
    running.start_collector()
    return tuple(at for at in gone.lost if at.epoch not in known)


async def _bring_image_back(running: FaultStage, suffixes: Iterable[str] = _CARD) -> None:
    await running.end_site(SITE)
    for suffix in suffixes:
        target, image = running.folder / f"{SITE}{suffix}", running.folder / f"image{suffix}"
        target.unlink(missing_ok=True)
        if image.exists():
            shutil.copy(image, target)
    running.every_s = EVERY_S
    running.start_site(SITE)


def _forked(running: FaultStage) -> bool:
    return bool(reading.of_ledger(running.folder / reading.LEDGER).forks)


def _wrong(account: Account) -> bool:
    return bool(account.altered or account.duplicated or account.invented or account.conflicts)
