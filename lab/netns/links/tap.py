"""Tap of a device: every packet with the kernel's time stamp and its first bytes.

A packet socket with a ring in shared memory (Linux ``Documentation/networking/packet_mmap.rst``, TPACKET_V2).
The kernel writes the stamps itself: processor load cannot make them late.
"""

import mmap
import socket
import struct
from collections.abc import Iterator
from types import TracebackType
from typing import Self

from lab.netns import inside
from lab.netns.links.passages import Sighting

# 80 bytes of each frame are the kernel's header: a whole authenticated STAMP packet fits into the rest.
FRAME_BYTES = 256
BLOCK_BYTES = 65_536
# Sightings between two readings: 8 s of 100 Mbit/s in one direction; 34 MB of kernel memory.
DEFAULT_PACKETS = 131_072

_ETH_P_ALL = 0x0003
_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V2 = 1
_OUTGOING = 4
_OURS, _KERNELS = 1, 0
# struct tpacket2_hdr: status, len, snaplen, mac, net, sec, nsec
_HEADER = struct.Struct("=IIIHHII")
_STATUS = struct.Struct("=I")
# struct sockaddr_ll follows, aligned: the packet's type is its eleventh byte
_PACKET_TYPE = 32 + 10


class Tap:
    """Tap of ``device`` in ``namespace``, with room for ``packets`` between two readings.

    Raises OSError when the kernel refuses: no such device, no permission, no memory.
    """

    def __init__(self, namespace: str, device: str, packets: int = DEFAULT_PACKETS) -> None:
        self._frames = -(-packets // (BLOCK_BYTES // FRAME_BYTES)) * (BLOCK_BYTES // FRAME_BYTES)
        self._place = 0
        self._overflowed = 0
        self._socket = inside.opened(namespace, lambda: _listening(device, self._frames))
        self._ring = mmap.mmap(self._socket.fileno(), self._frames * FRAME_BYTES)

    def read(self) -> Iterator[Sighting]:
        """Yield the packets since the last reading, in order."""
        ring = self._ring
        while True:
            begin = self._place * FRAME_BYTES
            status, length, snapped, _, network, seconds, nanoseconds = _HEADER.unpack_from(ring, begin)
            if not status & _OURS:
                return
            head = ring[begin + network : begin + network + snapped]
            outgoing = ring[begin + _PACKET_TYPE] == _OUTGOING
            _STATUS.pack_into(ring, begin, _KERNELS)
            self._place = (self._place + 1) % self._frames
            yield Sighting(seconds * 10**9 + nanoseconds, outgoing, length, head)

    @property
    def overflowed(self) -> int:
        """Packets for which the ring had no room: read more often, or ask for a larger ring."""
        _, dropped = struct.unpack("=II", self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
        self._overflowed += dropped  # the kernel resets its counter with each getsockopt
        return self._overflowed

    def close(self) -> None:
        """Free the memory."""
        self._ring.close()
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _listening(device: str, frames: int) -> socket.socket:
    # Protocol 0: no packet may arrive before the ring exists.
    made = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
    try:
        made.setsockopt(_SOL_PACKET, _PACKET_VERSION, struct.pack("=i", _TPACKET_V2))
        blocks = frames * FRAME_BYTES // BLOCK_BYTES
        made.setsockopt(
            _SOL_PACKET, _PACKET_RX_RING, struct.pack("=IIII", BLOCK_BYTES, blocks, FRAME_BYTES, frames)
        )
        made.bind((device, _ETH_P_ALL))
    except OSError:
        made.close()
        raise
    return made
