"""Model of a disk that loses its power, and the log of the shim."""

import struct
from random import Random

import pytest

from lab.faults.power.disk import Disk
from lab.faults.power.op_log import Operation, OperationKind, read

ROOT = "/root-of-all"
CUTS = 100


def do(disk: Disk, kind: OperationKind, data: bytes = b"", *, file: int = 3, offset: int = 0) -> None:
    disk.apply(Operation(kind, file, offset, data))


def made(name: str = "a") -> Disk:
    """Return a disk with one empty durable file, open as 3."""
    disk = Disk(ROOT)
    do(disk, OperationKind.MADE, f"{ROOT}/{name}".encode())
    _sync_directory(disk)
    return disk


def _sync_directory(disk: Disk) -> None:
    do(disk, OperationKind.OPENED, ROOT.encode(), file=9)
    do(disk, OperationKind.SYNCED, file=9)
    do(disk, OperationKind.CLOSED, file=9)


def cuts(disk: Disk) -> list[dict[str, bytes]]:
    # Fresh for each test: a shared state would depend on the tests that ran before.
    chance = Random(2026)
    return [disk.after_cut(chance) for _ in range(CUTS)]


def test_synced_bytes_survive_every_cut() -> None:
    disk = made()
    do(disk, OperationKind.WRITTEN, b"kept")
    do(disk, OperationKind.SYNCED)
    do(disk, OperationKind.WRITTEN, b"lost?", offset=4)
    left = cuts(disk)
    assert all(files["a"].startswith(b"kept") for files in left)
    assert {files["a"] for files in left} == {b"kept", b"keptlost?"}
    assert disk.now() == {"a": b"keptlost?"}


def test_a_large_write_is_torn_at_sectors_and_leaves_holes() -> None:
    disk = made()
    do(disk, OperationKind.WRITTEN, b"x" * 5000, offset=100)
    left = {files["a"] for files in cuts(disk)}
    assert len(left) > 10
    torn = [one for one in left if 0 < one.count(b"x") < 5000]
    assert torn
    assert {one[:100] for one in torn} == {bytes(100)}
    for one in torn:
        sectors = {one[begin : begin + 512].strip(b"\0")[:1] for begin in range(512, 4608, 512)}
        assert sectors <= {b"x", b""}


def test_a_file_without_a_synced_name_may_be_gone() -> None:
    disk = made()
    do(disk, OperationKind.MADE, f"{ROOT}/b".encode(), file=4)
    do(disk, OperationKind.WRITTEN, b"synced", file=4)
    do(disk, OperationKind.SYNCED, file=4)
    assert {files.get("b") for files in cuts(disk)} == {None, b"synced"}
    _sync_directory(disk)
    assert {files.get("b") for files in cuts(disk)} == {b"synced"}


def test_an_unlink_may_be_undone_and_a_rename_is_undone_as_a_whole() -> None:
    disk = made()
    do(disk, OperationKind.WRITTEN, b"old")
    do(disk, OperationKind.SYNCED)
    do(disk, OperationKind.RENAMED, f"{ROOT}/a\0{ROOT}/c".encode())
    assert {"a": b"old"} in cuts(disk)
    assert {"c": b"old"} in cuts(disk)
    _sync_directory(disk)
    do(disk, OperationKind.UNLINKED, f"{ROOT}/c".encode())
    assert {frozenset(files) for files in cuts(disk)} == {frozenset(), frozenset({"c"})}
    assert disk.now() == {}


def test_a_truncation_without_a_sync_may_be_undone() -> None:
    disk = made()
    do(disk, OperationKind.WRITTEN, b"long enough")
    do(disk, OperationKind.SYNCED)
    do(disk, OperationKind.TRUNCATED, offset=4)
    assert {files["a"] for files in cuts(disk)} == {b"long", b"long enough"}
    do(disk, OperationKind.SYNCED)
    assert {files["a"] for files in cuts(disk)} == {b"long"}


def test_files_of_the_beginning_are_durable() -> None:
    disk = Disk(ROOT, {"a": b"before"})
    do(disk, OperationKind.OPENED, f"{ROOT}/a".encode())
    do(disk, OperationKind.WRITTEN, b"B")
    assert {files["a"] for files in cuts(disk)} == {b"before", b"Before"}


def entry(kind: bytes, data: bytes) -> bytes:
    return struct.pack("=ciqI", kind, 3, 7, len(data)) + data


def test_a_log_is_read_up_to_a_torn_entry() -> None:
    raw = entry(b"W", b"data") + entry(b"S", b"")
    whole = [Operation(OperationKind.WRITTEN, 3, 7, b"data"), Operation(OperationKind.SYNCED, 3, 7, b"")]
    assert list(read(raw)) == whole
    assert list(read(raw + entry(b"W", b"torn")[:-1])) == whole
    assert list(read(raw + b"W")) == whole


def test_other_bytes_are_no_log() -> None:
    with pytest.raises(ValueError):
        list(read(entry(b"?", b"")))
