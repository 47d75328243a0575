"""File of the inventory: read at the start, and again after each change; its last valid version is kept."""

import logging
from pathlib import Path

from collector.model.inventory import MAX_FILE_BYTES, InventoryError, Sites, parse
from host import atomic_write

log = logging.getLogger(__name__)


class InventoryFile:
    """Sites of the inventory file as it was last valid.

    A new version with mistakes is not used. ``problem`` is its first mistake until the file is corrected.
    ``kept`` is where the last valid version is kept for the next start; None to keep none.
    """

    def __init__(self, path: Path, kept: Path | None = None) -> None:
        self.sites: Sites = {}
        self.problem: str | None = None
        self._path = path
        self._kept = kept
        self._seen: tuple[int, int, int] | None = None
        self._found: tuple[int, int, int] | None = None

    def load(self) -> None:
        """Read the file. Raises InventoryError."""
        self._seen = self._signature()
        text = _read(self._path)
        self.sites = parse(text, str(self._path))
        self.problem = None
        self._keep(text)

    def load_or_last_valid(self) -> None:
        """Read the file, or the version kept if this one is unusable. Raises InventoryError without any."""
        try:
            self.load()
        except InventoryError as error:
            if self._kept is None or not self._kept.exists():
                raise
            self.sites = parse(_read(self._kept), str(self._kept))
            self._refuse(error)
            log.error("the last valid inventory is in use, %s: %d sites", self._kept, len(self.sites))

    def _keep(self, text: str) -> None:
        content = text.encode()
        if self._kept is None:
            return
        try:
            if not self._kept.exists() or self._kept.read_bytes() != content:
                atomic_write.replace(self._kept, content, durably=True)
        except OSError as error:
            why = error.strerror
            log.warning(
                "cannot keep a copy of the inventory as %s (%s): a restart needs it valid", self._kept, why
            )

    def _refuse(self, error: InventoryError) -> None:
        self.problem = error.problems[0]
        for line in error.problems:
            log.error("changed inventory not used: %s", line)

    def refresh(self) -> bool:
        """Read the file again if it changed; return True for a new inventory. Never raises."""
        found = self._signature()
        # Read only when two calls in a row find it the same: half of a copy would lack sites.
        changing, self._found = found != self._found, found
        if changing or found == self._seen:
            return False
        try:
            self.load()
        except InventoryError as error:
            self._refuse(error)
            return False
        log.info("inventory read again: %d sites", len(self.sites))
        return True

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        # An editor replaces the file, and a copy may keep its time and size: the inode differs then.
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InventoryError([f"{path}: larger than {MAX_FILE_BYTES} bytes: not an inventory"])
        # Spreadsheets begin a CSV file in UTF-8 with a byte order mark.
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InventoryError([f"{path}: {error.strerror}"]) from error
    except UnicodeDecodeError:
        raise InventoryError([f"{path}: not UTF-8: save it as CSV in UTF-8"]) from None
