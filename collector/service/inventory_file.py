"""The inventory's file: read at the start, and again when it has changed."""

import logging
from pathlib import Path

from collector.model.inventory import MAX_FILE_BYTES, InventoryError, Sites, parse

log = logging.getLogger(__name__)


class InventoryFile:
    """The inventory's file: read at the start, read again when it changed.

    A new version that is wrong leaves the old one in force; ``problem`` says so until it is mended.
    """

    def __init__(self, path: Path) -> None:
        self.sites: Sites = {}
        self.problem: str | None = None
        self._path = path
        self._seen: tuple[int, int, int] | None = None
        self._found: tuple[int, int, int] | None = None

    def load(self) -> None:
        """Read the file. Raises InventoryError."""
        self._seen = self._signature()
        self.sites = parse(_read(self._path), str(self._path))
        self.problem = None

    def refresh(self) -> bool:
        """Read the file again if it changed; whether there is a new inventory. Never raises.

        It is read when two calls have found it the same: of half a copy, sites would be missing.
        """
        found = self._signature()
        changing, self._found = found != self._found, found
        if changing or found == self._seen:
            return False
        try:
            self.load()
        except InventoryError as error:
            self.problem = f"the new inventory is wrong, the one before stays in force: {error.problems[0]}"
            for line in error.problems:
                log.error("inventory not taken: %s", line)
            return False
        log.info("inventory read again: %d sites", len(self.sites))
        return True

    def _signature(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino


def _read(path: Path) -> str:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InventoryError([f"{path}: larger than {MAX_FILE_BYTES} bytes: this is no inventory"])
        return path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InventoryError([f"{path}: {error.strerror}"]) from None
    except UnicodeDecodeError:
        raise InventoryError([f"{path}: not UTF-8: save it as CSV in UTF-8"]) from None
