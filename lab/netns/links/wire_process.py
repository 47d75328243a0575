"""Process of a wire: read packets from a TUN device, delay each, write it back.

``python -m lab.netns.links.wire_process DESCRIPTOR SETTINGS``, with an open device and JSON of the fields of
:class:`lab.links.line.LineSettings` in TAKEN. A line on standard output says that packets are carried.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import sys
import time
from heapq import heappop, heappush

from lab.links.line import EmulatedLine, LineSettings

# The kernel makes rate, loss and duplication; a wire makes the rest of a line.
TAKEN = (
    "delay", "jitter", "sway", "sway_period", "sway_share", "reordering", "reordering_delay", "seed",
)  # fmt: skip

LARGEST_PACKET = 65_535
# After so many packets those that are due leave first.
READ_A_TURN = 32
_TOS = 1
_SIGN = b"carrying\n"
_PR_SET_TIMERSLACK = 29
_PRIORITY = 10


class Carrier:
    """Moves packets of ``device``, the non-blocking descriptor of a TUN device, through ``line``."""

    def __init__(self, device: int, line: EmulatedLine) -> None:
        self._device = device
        self._line = line
        self._inside: list[tuple[int, int, bytes]] = []
        self._order = 0

    def run(self) -> None:
        """Carry packets until the device is gone. Raises OSError then."""
        while True:
            self._wait()
            self._release()
            self._collect()

    def _wait(self) -> None:
        patience = None
        if self._inside:
            patience = max(0, self._inside[0][0] - time.monotonic_ns()) / 1e9
        select.select([self._device], [], [], patience)

    def _release(self) -> None:
        inside, device = self._inside, self._device
        while inside and inside[0][0] <= time.monotonic_ns():
            os.write(device, heappop(inside)[2])

    def _collect(self) -> None:
        for _ in range(READ_A_TURN):
            try:
                packet = os.read(self._device, LARGEST_PACKET)
            except BlockingIOError:
                return
            for release in self._line.offer(time.monotonic_ns(), len(packet), packet[_TOS]):
                self._order += 1
                heappush(self._inside, (release.at, self._order, packet))
            self._release()


def main() -> None:
    """Carry packets until killed."""
    device, settings = int(sys.argv[1]), json.loads(sys.argv[2])
    carrier = Carrier(device, EmulatedLine(LineSettings(**settings)))
    # By default a timer may be 50 us late (prctl(2), PR_SET_TIMERSLACK). Without a real-time priority a busy
    # machine delays a packet by a time slice.
    ctypes.CDLL(None).prctl(_PR_SET_TIMERSLACK, 1, 0, 0, 0)
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(_PRIORITY))
    gc.collect()
    gc.freeze()
    os.write(sys.stdout.fileno(), _SIGN)
    carrier.run()


if __name__ == "__main__":
    main()
