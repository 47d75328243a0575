"""Notes of a site: what it tried to journal, and what the journal reported as durable.

Each note is one line, appended by one write: a kill may tear the last line and nothing else.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from lab.faults.accounts.account import Content, Noted, RecordIdentity
from wire.messages import envelope as messages
from wire.records import Measurement

TRIED, COMMITTED, LET_GO = "?", "!", "-"


class Notes:
    """Notes of one site, opened for appending."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tried(self, measurement: Measurement) -> None:
        """Note that a measurement is about to be journalled."""
        self._write(TRIED, measurement)

    def committed(self, measurement: Measurement) -> None:
        """Note that the journal has reported a measurement as durable."""
        self._write(COMMITTED, measurement)

    def let_go(self, keys: Iterable[tuple[str, int]]) -> None:
        """Note that the journal may forget these (epoch, seq): a receipt is about to name them."""
        lines = "".join(f"{LET_GO} {epoch} {seq} -\n" for epoch, seq in keys)
        os.write(self._descriptor, lines.encode())

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)

    def _write(self, sign: str, measurement: Measurement) -> None:
        digest = digest_of(messages.encode(measurement)).hex()
        os.write(self._descriptor, f"{sign} {measurement.epoch} {measurement.seq} {digest}\n".encode())


def digest_of(raw: bytes) -> bytes:
    """Return the ledger's digest of this JSON, computed without the ledger's code."""
    return hashlib.sha256(raw).digest()[:16]


def read(path: Path, site: str) -> Noted:
    """Read the notes of a site; empty if it never started."""
    if not path.exists():
        return Noted()
    return parse(path.read_bytes(), site)


def parse(raw: bytes, site: str) -> Noted:
    """Parse notes into sets, without a last line that a kill tore. Raises ValueError for other lines."""
    whole, _, _ = raw.rpartition(b"\n")
    found: dict[str, set[Content]] = {TRIED: set(), COMMITTED: set()}
    let_go: set[RecordIdentity] = set()
    for line in whole.decode("ascii").splitlines():
        sign, epoch, seq, digest = line.split()
        identity = RecordIdentity(site, epoch, int(seq))
        if sign == LET_GO:
            let_go.add(identity)
        else:
            found[sign].add(Content(identity, bytes.fromhex(digest)))
    return Noted(frozenset(found[TRIED]), frozenset(found[COMMITTED]), frozenset(let_go))
