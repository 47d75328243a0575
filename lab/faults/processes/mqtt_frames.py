"""A stream of MQTT cut into its packets, and what of a publication a lying broker needs to know."""

from dataclasses import dataclass
from typing import ClassVar

PUBLISH = 3
_PUBACK = b"\x40\x02"
_MORE = 0x80
_LENGTH_BYTES = 4


class FramingError(Exception):
    """What came is no MQTT."""


@dataclass(frozen=True, slots=True)
class Publication:
    """The head of a PUBLISH packet (MQTT 3.1.1, section 3.3; the same in version 5)."""

    topic: str
    quality: int
    identifier: bytes

    @property
    def acknowledgement(self) -> bytes:
        """The PUBACK of a publication of QoS 1; version 5 reads this short form as success."""
        return _PUBACK + self.identifier if self.quality == 1 else b""


class Packets:
    """Cuts one direction of a connection into packets, however its bytes arrive."""

    MOST_BYTES: ClassVar[int] = 16 * 1024 * 1024

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """The packets that are whole now. Raises FramingError for what is no MQTT or absurdly large."""
        self._waiting += data
        found = []
        while (end := _end(self._waiting)) is not None:
            if end > self.MOST_BYTES:
                raise FramingError(f"a packet of {end} bytes")
            if len(self._waiting) < end:
                break
            found.append(bytes(self._waiting[:end]))
            del self._waiting[:end]
        return found


def publication(packet: bytes) -> Publication | None:
    """The head of a whole packet if it is a PUBLISH. Raises FramingError where it is cut short."""
    if packet[0] >> 4 != PUBLISH:
        return None
    body = packet[1 + _length_size(packet) :]
    name = int.from_bytes(body[:2])
    quality = packet[0] >> 1 & 3
    end = 2 + name + (2 if quality else 0)
    if len(body) < end:
        raise FramingError("a publication that ends within its head")
    return Publication(body[2 : 2 + name].decode(errors="replace"), quality, body[2 + name : end])


def _end(waiting: bytearray) -> int | None:
    """Where the first packet ends, or None while its length is not all there."""
    size = _length_size(waiting)
    if not size:
        return None
    length = sum((octet & ~_MORE) << 7 * place for place, octet in enumerate(waiting[1 : 1 + size]))
    return 1 + size + length


def _length_size(waiting: bytes | bytearray) -> int:
    """How many bytes tell the remaining length; 0 while they are not all there. Raises FramingError."""
    for place, octet in enumerate(waiting[1 : 1 + _LENGTH_BYTES], start=1):
        if not octet & _MORE:
            return place
    if len(waiting) > _LENGTH_BYTES:
        raise FramingError("a remaining length of more than four bytes")
    return 0
