"""Shared keys of the peer, read again from their files while it runs."""

import logging

from host.settings import SettingsError
from net.complaint import Complaint
from peer import settings
from peer.settings import PeerSettings

_LOG = logging.getLogger(__name__)


class PeerKeys:
    """Keys in use: ``secrets`` by key id, as they were last read from the files in the settings."""

    def __init__(self, chosen: PeerSettings, secrets: dict[int, bytes]) -> None:
        self.secrets = secrets
        self._chosen = chosen
        self._complaint = Complaint()

    def renew(self) -> bool:
        """Read the files again; return True if the keys changed.

        Files with mistakes leave the keys as they are, and are logged once. No key is ever logged.
        """
        try:
            found = settings.secrets(self._chosen)
        except SettingsError as error:
            if self._complaint.is_news(str(error)):
                _LOG.error("%s: the keys from before stay in use", error)
            return False
        self._complaint.is_news("")
        # The content decides, not the time of the file: editors and configuration tools rewrite equal files.
        if found == self.secrets:
            return False
        # Ids alone: they are in the log line of every test, and a secret is in none.
        _LOG.info("keys renewed: %s", ", ".join(_changes(self.secrets, found)))
        self.secrets = found
        return True


def _changes(before: dict[int, bytes], after: dict[int, bytes]) -> list[str]:
    changes = [f"{key_id} removed" for key_id in before.keys() - after.keys()]
    changes += [f"{key_id} added" for key_id in after.keys() - before.keys()]
    changes += [
        f"{key_id} changed" for key_id in before.keys() & after.keys() if before[key_id] != after[key_id]
    ]
    return sorted(changes)
