"""SNMP version 2c codec for reading counters: GET, GETNEXT, GETBULK, Response (RFC 3416, RFC 1901).

The encoding is BER (X.690) with definite lengths (RFC 3417 section 8). Decoding is bounded and never raises:
bytes that are no response become ``Malformed`` with the first fault.
"""

from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

Oid = tuple[int, ...]

VERSION_2C = 1
HIGHEST_REQUEST_ID = 2**31 - 1
# Far above the 19 variables of one question and the 20 rows of one step of a search.
MOST_BINDINGS = 256
MOST_ARCS = 128  # RFC 2578 section 3.5
HIGHEST_ARC = 2**32 - 1

_INTEGER, _OCTETS, _NULL, _OID, _SEQUENCE = 0x02, 0x04, 0x05, 0x06, 0x30
_COUNTER32, _GAUGE32, _TICKS, _COUNTER64 = 0x41, 0x42, 0x43, 0x46
_GET, _GET_NEXT, _RESPONSE, _GET_BULK = 0xA0, 0xA1, 0xA2, 0xA5
_UNSIGNED = {_COUNTER32: 2**32 - 1, _GAUGE32: 2**32 - 1, _TICKS: 2**32 - 1, _COUNTER64: 2**64 - 1}


class Missing(Enum):
    """Reason why a variable has no value (RFC 3416 section 3)."""

    NO_SUCH_OBJECT = 0x80
    NO_SUCH_INSTANCE = 0x81
    END_OF_MIB_VIEW = 0x82


_MISSING = {reason.value: reason for reason in Missing}

# Value of a variable. None is NULL; types that no counter has (addresses, Opaque) are kept as bytes.
Value = int | bytes | Oid | Missing | None


class Binding(Struct, frozen=True):
    """One variable and its value."""

    oid: Oid
    value: Value


class Response(Struct, frozen=True):
    """Response to the request of ``request_id``. ``error_status`` 0 is no error (RFC 3416 section 3).

    ``error_index`` is the place of the variable that made the error, counted from 1; 0 for none.
    """

    request_id: int
    error_status: int
    bindings: tuple[Binding, ...]
    error_index: int = 0


class Malformed(Struct, frozen=True):
    """Reason why a datagram is no response; ``detail`` never contains a community."""

    detail: str


def get(community: bytes, request_id: int, oids: Sequence[Oid]) -> bytes:
    """Encode a GetRequest. ``request_id`` is 0 to HIGHEST_REQUEST_ID."""
    return _message(community, _GET, request_id, 0, oids)


def get_next(community: bytes, request_id: int, after: Oid) -> bytes:
    """Encode a GetNextRequest for the variable that follows ``after``."""
    return _message(community, _GET_NEXT, request_id, 0, [after])


def get_bulk(community: bytes, request_id: int, after: Oid, repetitions: int) -> bytes:
    """Encode a GetBulkRequest for the ``repetitions`` variables that follow ``after``."""
    return _message(community, _GET_BULK, request_id, repetitions, [after])


def decode(datagram: bytes, community: bytes) -> Response | Malformed:
    """Decode a response from an agent with this ``community``."""
    try:
        return _response(datagram, community)
    except _MalformedError as error:
        return Malformed(str(error))


def _message(community: bytes, kind: int, request_id: int, repetitions: int, oids: Sequence[Oid]) -> bytes:
    bindings = b"".join(_tagged(_SEQUENCE, _tagged(_OID, _oid(oid)) + _tagged(_NULL, b"")) for oid in oids)
    # The 0 is error-status in a GET and non-repeaters in a GETBULK.
    numbers = _integer(request_id) + _integer(0) + _integer(repetitions)
    pdu = _tagged(kind, numbers + _tagged(_SEQUENCE, bindings))
    return _tagged(_SEQUENCE, _integer(VERSION_2C) + _tagged(_OCTETS, community) + pdu)


def _tagged(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 0x80:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(length))) + length + content


def _integer(number: int) -> bytes:
    return _tagged(_INTEGER, number.to_bytes(number.bit_length() // 8 + 1, signed=True))


def _oid(oid: Oid) -> bytes:
    # X.690 section 8.19: the first two arcs share an octet, further ones have seven bits an octet.
    return b"".join(_arc(arc) for arc in (oid[0] * 40 + oid[1], *oid[2:]))


def _arc(arc: int) -> bytes:
    octets = [arc & 0x7F]
    while arc := arc >> 7:
        octets.append(0x80 | arc & 0x7F)
    return bytes(reversed(octets))


class _MalformedError(Exception):
    """Bytes that are no response, with the reason as text."""


class _Reader:
    """Reader of successive values in a part of a datagram."""

    def __init__(self, data: bytes, begin: int, end: int) -> None:
        self._data = data
        self._at = begin
        self._end = end

    def more(self) -> bool:
        """Check if bytes are left."""
        return self._at < self._end

    def next(self) -> tuple[int, bytes]:
        """Read tag and content of the next value."""
        begin, end, tag = self._frame()
        return tag, self._data[begin:end]

    def inside(self, wanted: int, name: str) -> "_Reader":
        """Create a reader of the content of the next value, which must have the tag ``wanted``."""
        begin, end, tag = self._frame()
        if tag != wanted:
            raise _MalformedError(f"no {name}")
        return _Reader(self._data, begin, end)

    def integer(self, name: str) -> int:
        """Read the next value, which must be an INTEGER of 32 bits."""
        tag, content = self.next()
        if tag != _INTEGER or not 1 <= len(content) <= 4:
            raise _MalformedError(f"no {name}")
        return int.from_bytes(content, signed=True)

    def _frame(self) -> tuple[int, int, int]:
        if self._end - self._at < 2:
            raise _MalformedError("cut off")
        tag, size = self._data[self._at : self._at + 2]
        begin = self._at + 2
        if size & 0x80:
            octets = size & 0x7F
            # 0x80 is the indefinite length, which RFC 3417 section 8 forbids.
            if not 1 <= octets <= 4:
                raise _MalformedError("a length that is not definite, or too long")
            size = int.from_bytes(self._data[begin : min(begin + octets, self._end)])
            begin += octets
        self._at = begin + size
        if self._at > self._end:
            raise _MalformedError("cut off")
        return begin, self._at, tag


def _response(datagram: bytes, community: bytes) -> Response:
    message = _Reader(datagram, 0, len(datagram)).inside(_SEQUENCE, "SNMP message")
    if message.integer("version") != VERSION_2C:
        raise _MalformedError("not SNMP version 2c")
    # A router answers with the community of the request: another one answers somebody else.
    if message.next() != (_OCTETS, community):
        raise _MalformedError("another community")
    pdu = message.inside(_RESPONSE, "Response")
    request_id, status, place = (pdu.integer(name) for name in ("request-id", "error-status", "error-index"))
    listed = pdu.inside(_SEQUENCE, "variable bindings")
    bindings: list[Binding] = []
    while listed.more():
        if len(bindings) == MOST_BINDINGS:
            raise _MalformedError(f"more than {MOST_BINDINGS} variables")
        bindings.append(_binding(listed.inside(_SEQUENCE, "variable")))
    return Response(request_id, status, tuple(bindings), place)


def _binding(pair: _Reader) -> Binding:
    tag, content = pair.next()
    if tag != _OID:
        raise _MalformedError("a variable without a name")
    return Binding(_arcs(content), _value(*pair.next()))


def _value(tag: int, content: bytes) -> Value:
    if tag == _INTEGER:
        if not 1 <= len(content) <= 8:
            raise _MalformedError("an integer of no or too many octets")
        return int.from_bytes(content, signed=True)
    if tag in _UNSIGNED:
        return _unsigned(content, _UNSIGNED[tag])
    if tag == _OID:
        return _arcs(content)
    if tag == _NULL:
        return None
    return _MISSING.get(tag, content)


def _unsigned(content: bytes, highest: int) -> int:
    # Read as unsigned: some agents leave out the leading zero that BER requires.
    number = int.from_bytes(content)
    if not 1 <= len(content) <= 9 or number > highest:
        raise _MalformedError("a counter out of range")
    return number


def _arcs(content: bytes) -> Oid:
    arcs: list[int] = []
    arc, whole = 0, False
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        whole = not octet & 0x80
        # The first octets hold 40 times the first arc plus the second, and are larger by 80 at most.
        if arc > HIGHEST_ARC + 2 * 40 or len(arcs) == MOST_ARCS:
            raise _MalformedError("an object identifier out of range")
        if whole:
            arcs.append(arc)
            arc = 0
    if not whole:
        raise _MalformedError("an object identifier that is cut off")
    # The first number is 40 times the first arc, which is 2 at most, plus the second arc.
    first = min(arcs[0] // 40, 2)
    return (first, arcs[0] - 40 * first, *arcs[1:])
