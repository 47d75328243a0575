"""MQTT packets of a byte stream, and the head of a publication."""

from dataclasses import dataclass
from typing import ClassVar

PUBLISH = 3
_PUBACK = b"\x40\x02"
_MORE = 0x80
_LENGTH_BYTES = 4


class FramingError(Exception):
    """The bytes are no MQTT."""


@dataclass(frozen=True, slots=True)
class PublishFrame:
    """Head of a PUBLISH packet (MQTT 3.1.1, section 3.3; the same in version 5)."""

    topic: str
    quality: int
    identifier: bytes

    @property
    def acknowledgement(self) -> bytes:
        """PUBACK of a publication of QoS 1; version 5 reads this short form as success."""
        return _PUBACK + self.identifier if self.quality == 1 else b""


class Packets:
    """Splits one direction of a connection into packets."""

    MOST_BYTES: ClassVar[int] = 16 * 1024 * 1024

    def __init__(self) -> None:
        self._waiting = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Return the packets that are complete now.

        Raises FramingError for other bytes and oversized packets.
        """
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


def publication(packet: bytes) -> PublishFrame | None:
    """Return the head of a complete packet if it is a PUBLISH. Raises FramingError where it is truncated."""
    if packet[0] >> 4 != PUBLISH:
        return None
    body = packet[1 + _length_size(packet) :]
    name = int.from_bytes(body[:2])
    quality = packet[0] >> 1 & 3
    end = 2 + name + (2 if quality else 0)
    if len(body) < end:
        raise FramingError("a publication is shorter than its head")
    return PublishFrame(body[2 : 2 + name].decode(errors="replace"), quality, body[2 + name : end])


def _end(waiting: bytearray) -> int | None:
    """Return the end of the first packet, or None while its length is incomplete."""
    size = _length_size(waiting)
    if not size:
        return None
    length = sum((octet & ~_MORE) << 7 * place for place, octet in enumerate(waiting[1 : 1 + size]))
    return 1 + size + length


def _length_size(waiting: bytes | bytearray) -> int:
    """Return the size of the remaining length; 0 while it is incomplete. Raises FramingError."""
    for place, octet in enumerate(waiting[1 : 1 + _LENGTH_BYTES], start=1):
        if not octet & _MORE:
            return place
    if len(waiting) > _LENGTH_BYTES:
        raise FramingError("a remaining length of more than four bytes")
    return 0
