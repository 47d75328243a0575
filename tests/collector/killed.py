"""A collector that kills itself (SIGKILL) between receiving and committing: ``killed.py SETTINGS NTH``."""

import asyncio
import os
import signal
import sys
from pathlib import Path

from collector import settings
from collector.service.service import CollectorService


def main() -> None:
    """Run until the NTH commit with rows is about to happen."""
    left = [int(sys.argv[2])]

    def kill() -> None:
        left[0] -= 1
        if not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)

    program = CollectorService(settings.load(Path(sys.argv[1])), before_commit=kill)
    asyncio.run(program.run(asyncio.Event()))


if __name__ == "__main__":
    main()
