"""The heartbeat's file, and the epochs that a journal names in it."""

from pathlib import Path

import pytest

from outbox.journal import heartbeat
from outbox.journal.heartbeat import BYTES, MOST_EPOCHS, Heartbeat, Reach
from outbox.journal.journal import Journal
from outbox.rows import Change, State
from tests.outbox.journalled import CLOCK, SIZE, build, commit, later, refusing


def last(path: Path) -> Heartbeat:
    found = heartbeat.read(heartbeat.path_beside(path))
    assert found is not None
    return found


def test_it_is_written_over_in_place_and_whole(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    for seconds in range(2):
        heartbeat.write(path, Heartbeat(later(seconds), epochs=(Reach("0" * 16, 1, 2),)))
    assert path.stat().st_size == BYTES
    assert heartbeat.read(path) == Heartbeat(later(1), epochs=(Reach("0" * 16, 1, 2),))


def test_as_many_epochs_are_named_as_there_is_room_for_the_newest_first(tmp_path: Path) -> None:
    path = tmp_path / "heartbeat"
    epochs = tuple(Reach(f"{number:016x}", 2**40, 2**41) for number in range(MOST_EPOCHS))
    heartbeat.write(path, Heartbeat(CLOCK, epochs=epochs))
    assert path.stat().st_size == BYTES
    found = heartbeat.read(path)
    assert found is not None
    assert len(found.epochs) >= 4
    assert found.epochs == epochs[: len(found.epochs)]


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 512, b'{"checksum":1,"heartbeat":"\xff"}', b'{"checksum":', b"[]", b"x" * 2000]
)
def test_a_file_that_cannot_be_read_says_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "heartbeat"
    path.write_bytes(content)
    assert heartbeat.read(path) is None
    path.unlink()
    path.mkdir()
    assert heartbeat.read(path) is None


def test_it_names_the_newest_epoch_and_others_of_which_something_waits(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    epochs = []
    for count in (3, 2, 0, 4):
        with Journal(path, SIZE, CLOCK) as journal:
            epochs.append(journal.epoch)
            commit(journal, count)
            if count in (2, 3):
                journal.apply([Change(journal.epoch, 1, 2, State.COMMITTED)], CLOCK)
            journal.prune(CLOCK)
    assert last(path) == Heartbeat(
        CLOCK, stopped=True, epochs=(Reach(epochs[3], 0, 4), Reach(epochs[0], 2, 3))
    )


def test_what_memory_holds_is_not_named(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    with Journal(path, SIZE, CLOCK) as journal:
        journal.commit(build, CLOCK)
        with refusing(journal):
            journal.commit(build, CLOCK)
            journal.beat(later(1))
            assert last(path).epochs == (Reach(journal.epoch, 0, 1),)
        journal.recover(later(10_000_000))
        journal.beat(later(10_000_001))
        assert last(path).epochs == (Reach(journal.epoch, 0, 2),)
