"""Parts of ``make test-faults``."""

from collections.abc import Callable

from lab.faults.accounts.effort import Effort
from lab.faults.power import cuts
from lab.faults.scenarios import connections, images, kills, offline

PARTS: dict[str, Callable[[Effort, Callable[[str], None]], bool]] = {
    "kills": kills.run,
    "power": cuts.run,
    "images": images.run,
    "connections": connections.run,
    "offline": offline.run,
}
