"""A site's notes beside its journal: what it tried to journal, and what the journal said was durable.

One line each, appended by one write: a kill may tear the last line and nothing else.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from lab.faults.accounts.account import Content, Identity, Noted
from wire.messages import envelope as messages
from wire.records import Known

TRIED, COMMITTED, LET_GO = "?", "!", "-"


class Notes:
    """Appends to one site's notes."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)

    def tried(self, measurement: Known) -> None:
        """About to be journalled."""
        self._write(TRIED, measurement)

    def committed(self, measurement: Known) -> None:
        """The journal has said that it is durable."""
        self._write(COMMITTED, measurement)

    def let_go(self, keys: Iterable[tuple[str, int]]) -> None:
        """About to be marked: from now on the journal may forget these (epoch, seq)."""
        lines = "".join(f"{LET_GO} {epoch} {seq} -\n" for epoch, seq in keys)
        os.write(self._descriptor, lines.encode())

    def close(self) -> None:
        """Note nothing more."""
        os.close(self._descriptor)

    def _write(self, sign: str, measurement: Known) -> None:
        digest = digest_of(messages.encode(measurement)).hex()
        os.write(self._descriptor, f"{sign} {measurement.epoch} {measurement.seq} {digest}\n".encode())


def digest_of(raw: bytes) -> bytes:
    """The digest under which the ledger keeps this JSON; here without all that the ledger needs."""
    return hashlib.sha256(raw).digest()[:16]


def read(path: Path, site: str) -> Noted:
    """What a site has noted; nothing if it never began."""
    if not path.exists():
        return Noted()
    return parse(path.read_bytes(), site)


def parse(raw: bytes, site: str) -> Noted:
    """Notes as sets. What follows the last end of line was torn by a kill. Raises ValueError on others."""
    whole, _, _ = raw.rpartition(b"\n")
    found: dict[str, set[Content]] = {TRIED: set(), COMMITTED: set()}
    let_go: set[Identity] = set()
    for line in whole.decode("ascii").splitlines():
        sign, epoch, seq, digest = line.split()
        identity = Identity(site, epoch, int(seq))
        if sign == LET_GO:
            let_go.add(identity)
        else:
            found[sign].add(Content(identity, bytes.fromhex(digest)))
    return Noted(frozenset(found[TRIED]), frozenset(found[COMMITTED]), frozenset(let_go))
