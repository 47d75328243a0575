"""Variables of an interface in a router, and their meaning (IF-MIB: RFC 2863, RFC 3635)."""

from collections.abc import Callable, Sequence

from msgspec import Struct

from wire.ip_layer import ETHERNET_HEADER_BYTES
from wire.snmp.codec import Binding, Missing, Oid, Value

# As many as fit into one line for a person.
NAMES_SHOWN = 12
MOST_ROWS = 4096
# Rows of one request: the response fits a datagram of 1,500 bytes unless names are very long.
REPETITIONS = 20

ETHERNET_FCS_BYTES = 4

_UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_OBJECT_ID: Oid = (1, 3, 6, 1, 2, 1, 1, 2, 0)
_TABLE: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_EXTENDED: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_NET_SNMP_AGENTS: Oid = (1, 3, 6, 1, 4, 1, 8072, 3, 2)

_NAME, _DESCRIPTION, _ALIAS = (*_EXTENDED, 1), (*_TABLE, 2), (*_EXTENDED, 18)
_KIND, _STATUS = (*_TABLE, 3), (*_TABLE, 8)
_IN_DISCARDS, _IN_ERRORS, _OUT_DISCARDS, _OUT_ERRORS = ((*_TABLE, number) for number in (13, 14, 19, 20))
# Octets received and sent, by the counters' bits.
_OCTETS = {64: ((*_EXTENDED, 6), (*_EXTENDED, 10)), 32: ((*_TABLE, 10), (*_TABLE, 16))}

# Unicast, multicast and broadcast packets.
_PACKETS = {
    64: tuple(tuple((*_EXTENDED, number) for number in numbers) for numbers in ((7, 8, 9), (11, 12, 13))),
    32: (
        ((*_TABLE, 11), (*_EXTENDED, 2), (*_EXTENDED, 3)),
        ((*_TABLE, 17), (*_EXTENDED, 4), (*_EXTENDED, 5)),
    ),
    0: ((), ()),
}
# Multicast and broadcast together, in agents older than RFC 2233.
_NOT_UNICAST = ((*_TABLE, 12), (*_TABLE, 18))
_SPEED, _DISCONTINUITY, _OLD_SPEED = (*_EXTENDED, 15), (*_EXTENDED, 19), (*_TABLE, 5)

_STATE = (_NAME, _KIND, _STATUS)
_FAULTS = (_IN_ERRORS, _IN_DISCARDS, _OUT_ERRORS, _OUT_DISCARDS, _SPEED, _DISCONTINUITY)

UP = 1
LOOPBACK = 24
_ETHERNET_LIKE = frozenset({6, 7, 26, 62, 69, 117, 135, 136, 161, 209})
# TUN and WireGuard, PPP, tunnels.
_BARE_IP_OF_LINUX = frozenset({1, 23, 131})


class CounterBits(Struct, frozen=True):
    """Size of an interface's counters: 64 or 32 bits, 0 where packets are not counted at all.

    RFC 2863 section 3.1.6 allows 32 bits below 20 Mbit/s, and for packets below 650 Mbit/s. Without a count
    of packets their frames stay in the bytes: these are then too many, never too few.
    """

    octets: int = 64
    packets: int = 64


class InterfaceState(Struct, frozen=True):
    """Counters and state of one interface; None where the router reports no value.

    Octets are counted below the IP layer, ticks are hundredths of a second. ``kind`` is ifType. ``net_snmp``:
    the router's SNMP agent is net-snmp.
    """

    name: str
    kind: int | None
    net_snmp: bool
    uptime_ticks: int | None
    discontinuity_ticks: int | None
    received_octets: int
    received_packets: int
    sent_octets: int
    sent_packets: int
    received_errors: int | None
    received_discards: int | None
    sent_errors: int | None
    sent_discards: int | None
    up: bool | None
    speed_bps: float | None
    bits: CounterBits = CounterBits()

    @property
    def half_initialised(self) -> bool:
        """True for octets without packets: net-snmp 5.9 reports these before its second count (measured)."""
        return bool(self.bits.packets) and bool(
            (self.received_octets and not self.received_packets)
            or (self.sent_octets and not self.sent_packets)
        )

    @property
    def frame_bytes(self) -> int | None:
        """Bytes that the octets contain for each packet beyond the IP layer; None where unknown."""
        # By RFC 3635 section 3.2.5 Ethernet octets include the frame check sequence. net-snmp reports the
        # counters of Linux, which are without it, and which are bare IP packets on devices without frames.
        if self.kind in _ETHERNET_LIKE:
            return ETHERNET_HEADER_BYTES + (0 if self.net_snmp else ETHERNET_FCS_BYTES)
        return 0 if self.net_snmp and self.kind in _BARE_IP_OF_LINUX else None

    def counters_reset_since(self, earlier: "InterfaceState") -> bool:
        """Check if counters may have been reset: a discontinuity (RFC 2863 section 3.1.5) or a restart.

        An uptime that wraps, after 497 days, counts as a restart: one difference is lost. A number of packets
        that is impossible for the octets counts as a reset, too. In net-snmp the unicast counter is the
        difference of two counters that are not read together (net-snmp issue 1079).
        """
        # Without the uptime neither is known: two zeros then compare as no restart.
        restarted = (self.uptime_ticks or 0) < (earlier.uptime_ticks or 0)
        discontinued = self.discontinuity_ticks != earlier.discontinuity_ticks
        return restarted or discontinued or self._jumped_since(earlier)

    def _jumped_since(self, earlier: "InterfaceState") -> bool:
        frame_bytes = self.frame_bytes or 0
        received = self.received_octets - earlier.received_octets
        sent = self.sent_octets - earlier.sent_octets
        return (
            received < (self.received_packets - earlier.received_packets) * frame_bytes
            or sent < (self.sent_packets - earlier.sent_packets) * frame_bytes
        )


class Unreadable(Struct, frozen=True):
    """Reason, as text for people, why an interface cannot be read. ``gone``: no such interface exists.

    ``narrower`` is what to ask for instead, where the router may have smaller counters.
    """

    detail: str
    gone: bool = False
    narrower: CounterBits | None = None


def question(index: int, bits: CounterBits = CounterBits()) -> tuple[Oid, ...]:  # noqa: B008 -- frozen
    """List all variables of the interface with this ifIndex, of counters of this size."""
    # Octets and packets are side by side: a small agent then counts them in one answer, at one moment.
    counters = (*_OCTETS[bits.octets], *_PACKETS[bits.packets][0], *_PACKETS[bits.packets][1])
    old = (
        *((_OLD_SPEED, _DESCRIPTION) if bits.octets == 32 else ()),
        *(_NOT_UNICAST if bits.packets == 32 else ()),
    )
    columns = (*counters, *_STATE, *_FAULTS, *old)
    return (_UPTIME, _OBJECT_ID, *((*column, index) for column in columns))


def state(
    bindings: Sequence[Binding],
    index: int,
    bits: CounterBits = CounterBits(),  # noqa: B008 -- frozen
) -> InterfaceState | Unreadable:
    """Read the response to ``question(index, bits)``."""
    values = {binding.oid: binding.value for binding in bindings}

    def number(column: Oid) -> int | None:
        return _number(values.get((*column, index)))

    octets = [number(column) for column in _OCTETS[bits.octets]]
    packets = [_packets(number, bits.packets, direction) for direction in (0, 1)]
    name, description = values.get((*_NAME, index)), values.get((*_DESCRIPTION, index))
    if number(_KIND) is None and not isinstance(name, bytes):
        return Unreadable(f"no interface {index}", gone=True)
    if octets[0] is None or octets[1] is None or packets[0] is None or packets[1] is None:
        return _without_counters(bits, octets=None in octets, packets=None in packets)
    speed, status, maker = number(_SPEED), number(_STATUS), values.get(_OBJECT_ID)
    return InterfaceState(
        name=_text(name) or _text(description),
        kind=number(_KIND),
        net_snmp=isinstance(maker, tuple) and maker[: len(_NET_SNMP_AGENTS)] == _NET_SNMP_AGENTS,
        uptime_ticks=_number(values.get(_UPTIME)),
        discontinuity_ticks=number(_DISCONTINUITY),
        received_octets=octets[0],
        received_packets=packets[0],
        sent_octets=octets[1],
        sent_packets=packets[1],
        received_errors=number(_IN_ERRORS),
        received_discards=number(_IN_DISCARDS),
        sent_errors=number(_OUT_ERRORS),
        sent_discards=number(_OUT_DISCARDS),
        up=None if status is None else status == UP,
        # ifHighSpeed is in Mbit/s; virtual interfaces report 0.
        speed_bps=speed * 1e6 if speed else float(number(_OLD_SPEED) or 0) or None,
        bits=bits,
    )


def _packets(number: Callable[[Oid], int | None], bits: int, direction: int) -> int | None:
    """Packets of a direction (0 received, 1 sent); None without a counter of unicast packets."""
    if not bits:
        return 0
    unicast, *others = (number(column) for column in _PACKETS[bits][direction])
    if unicast is None:
        return None
    old = number(_NOT_UNICAST[direction]) if others == [None, None] else 0
    return unicast + sum(count or 0 for count in others) + (old or 0)


def _without_counters(bits: CounterBits, *, octets: bool, packets: bool) -> Unreadable:
    narrower = CounterBits(
        32 if octets else bits.octets, (32 if bits.packets == 64 else 0) if packets else bits.packets
    )
    if narrower != bits:
        return Unreadable("no 64-bit counters of that interface", narrower=narrower)
    return Unreadable("it counts no octets of that interface (ifHCInOctets, ifInOctets; RFC 2863)")


class InterfaceSearch:
    """Finds an interface by its ifName, or else its ifDescr, or else its ifAlias, each in full.

    Request the variables that follow ``after`` and give them to ``take``, until ``found`` is not None.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._columns = [_NAME, _DESCRIPTION, _ALIAS]
        self._matches: list[int] = []
        self._names: list[str] = []
        self._rows = 0
        self.after: Oid = _NAME
        self.found: int | Unreadable | None = None

    def take(self, bindings: Sequence[Binding]) -> None:
        """Process one response. An empty one, or one that does not advance, ends the column."""
        for binding in bindings:
            inside = binding.oid[: len(self._columns[0])] == self._columns[0]
            # Some routers repeat a row for ever: a name that does not advance ends the column, too.
            if not inside or binding.value is Missing.END_OF_MIB_VIEW or binding.oid <= self.after:
                self._column_ended()
                return
            self._row(binding)
            if self._rows > MOST_ROWS:
                self.found = Unreadable(f"more than {MOST_ROWS} rows: give the interface's number (ifIndex)")
                return
        if not bindings:
            self._column_ended()

    def _row(self, binding: Binding) -> None:
        self.after = binding.oid
        self._rows += 1
        text = _text(binding.value)
        if text == self._wanted:
            self._matches.append(binding.oid[-1])
        if self._columns[0] in (_NAME, _DESCRIPTION) and text and text not in self._names[:NAMES_SHOWN]:
            self._names.append(text)

    def _column_ended(self) -> None:
        if len(self._matches) == 1:
            self.found = self._matches[0]
        elif self._matches:
            count = len(self._matches)
            self.found = Unreadable(f"{count} interfaces {self._wanted}: give the number (ifIndex) of one")
        elif len(self._columns) == 1:
            known = ", ".join(self._names[:NAMES_SHOWN]) or "none that this community may see"
            self.found = Unreadable(f"no interface {self._wanted}; it has {known}", gone=True)
        else:
            self._columns.pop(0)
            self.after = self._columns[0]


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Value) -> str:
    if not isinstance(value, bytes):
        return ""
    # Routers pad names with NUL and do not always write UTF-8.
    text = value.decode("utf-8", "replace").strip("\0 ")
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:255]
