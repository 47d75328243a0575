"""Real peer with many keys, for attacks on it."""

import re
import sys
from pathlib import Path
from random import Random

from lab.testbed.base import HOST, Testbed

_NOT_SERVED = re.compile(r"(set-ups|STAMP packets) not served: (.+) \(\d+ since the start\)")
_REASON = re.compile(r"(\d+) ([a-z0-9-]+)")
TEST_PORTS = 40
PROGRAM = (sys.executable, "-m", "peer")
LOGGED_WITHIN_S = 6.0
"""The peer looks every 5 s if a line is due."""


class PeerTestbed(Testbed):
    """Peer at ``HOST`` with ``keys`` by key id, and one port for each of 40 tests.

    The few test ports are what an attacker has to guess. ``mbps`` is the bandwidth in each direction.
    """

    def __init__(self, folder: Path, seed: int, *, keys: int = 4, mbps: int = 40) -> None:
        super().__init__(folder, 1)
        chance = Random(seed)
        self.keys = {key_id: chance.randbytes(24).hex().encode() for key_id in range(keys)}
        self.mbps = mbps
        self.first_test_port = chance.randrange(20_000, 30_000)

    def bring_up(self) -> None:
        """Start the peer. Raises TestbedError."""
        settings = {
            "host": HOST,
            "keys": [{"id": key_id, "key": key.decode()} for key_id, key in self.keys.items()],
            "udpstp": {
                "port": self.places.control_port,
                "test_ports": f"{self.first_test_port}-{self.first_test_port + TEST_PORTS - 1}",
                "highest_rate": f"{self.mbps} Mbit/s",
                "down": f"{self.mbps} Mbit/s",
                "up": f"{self.mbps} Mbit/s",
            },
            "stamp": {"port": self.places.stamp_port},
        }
        self.start("peer", (*PROGRAM, "run", str(self.write("peer.yaml", settings))), "serving")

    @property
    def log(self) -> str:
        """Output of the peer so far."""
        return self._supervisor.log_of("peer").read_text(encoding="utf-8", errors="replace")

    def logs(self, *reasons: str) -> bool:
        """Wait until the peer has logged that requests were not served for one of these reasons."""
        return self._wait(lambda: bool(self.not_served().keys() & set(reasons)), LOGGED_WITHIN_S)

    def not_served(self) -> dict[str, int]:
        """Requests that the peer logged as not served, by reason."""
        found: dict[str, int] = {}
        for line in _NOT_SERVED.finditer(self.log):
            for number, reason in _REASON.findall(line[2]):
                found[reason] = found.get(reason, 0) + int(number)
        return found
