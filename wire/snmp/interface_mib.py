"""Which variables a router has for an interface, and what its answers mean (RFC 2863, RFC 3635).

Cores without I/O: object identifiers go out, variables come in.
"""

from collections.abc import Sequence

from msgspec import Struct

from wire.ip_layer import ETHERNET_HEADER_BYTES
from wire.snmp.codec import Binding, Missing, Oid, Value

NAMES_TOLD = 12
MOST_ROWS = 4096
REPETITIONS = 20
"""Rows asked for at once: their answer fits a datagram of 1,500 bytes unless names are very long."""

ETHERNET_FCS_BYTES = 4

_UPTIME: Oid = (1, 3, 6, 1, 2, 1, 1, 3, 0)
_OBJECT_ID: Oid = (1, 3, 6, 1, 2, 1, 1, 2, 0)
_TABLE: Oid = (1, 3, 6, 1, 2, 1, 2, 2, 1)
_EXTENDED: Oid = (1, 3, 6, 1, 2, 1, 31, 1, 1, 1)
_NET_SNMP_AGENTS: Oid = (1, 3, 6, 1, 4, 1, 8072, 3, 2)

_NAME, _DESCRIPTION, _ALIAS = (*_EXTENDED, 1), (*_TABLE, 2), (*_EXTENDED, 18)
_KIND, _STATUS = (*_TABLE, 3), (*_TABLE, 8)
_IN_DISCARDS, _IN_ERRORS, _OUT_DISCARDS, _OUT_ERRORS = ((*_TABLE, number) for number in (13, 14, 19, 20))
_IN_OCTETS, _OUT_OCTETS = (*_EXTENDED, 6), (*_EXTENDED, 10)
_IN_PACKETS = tuple((*_EXTENDED, number) for number in (7, 8, 9))
_OUT_PACKETS = tuple((*_EXTENDED, number) for number in (11, 12, 13))
_SPEED, _DISCONTINUITY = (*_EXTENDED, 15), (*_EXTENDED, 19)

_COLUMNS = (
    *(_NAME, _KIND, _STATUS, _IN_OCTETS, _OUT_OCTETS, *_IN_PACKETS, *_OUT_PACKETS),
    *(_IN_ERRORS, _IN_DISCARDS, _OUT_ERRORS, _OUT_DISCARDS, _SPEED, _DISCONTINUITY),
)

UP = 1
LOOPBACK = 24
_ETHERNET_LIKE = frozenset({6, 7, 26, 62, 69, 117, 135, 136, 161, 209})
_BARE_IP_OF_LINUX = frozenset({1, 23, 131})  # TUN and WireGuard, PPP, tunnels


class InterfaceState(Struct, frozen=True):
    """One interface as its router tells it. Octets are below the IP layer; ticks are hundredths of a second.

    None: the router does not tell. ``kind`` is ifType; ``net_snmp``: the router's agent is net-snmp.
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

    @property
    def half_counted(self) -> bool:
        """Octets without packets: what net-snmp 5.9 tells until it counts for the second time (measured)."""
        return bool(
            (self.received_octets and not self.received_packets)
            or (self.sent_octets and not self.sent_packets)
        )

    @property
    def frame_bytes(self) -> int | None:
        """What the octets hold of each packet beyond the IP layer; None where nothing is known of that.

        By RFC 3635 section 3.2.5 the octets of an Ethernet include its frame check sequence; net-snmp passes
        on what Linux counts, which is without, and bare IP packets on devices without frames.
        """
        if self.kind in _ETHERNET_LIKE:
            return ETHERNET_HEADER_BYTES + (0 if self.net_snmp else ETHERNET_FCS_BYTES)
        return 0 if self.net_snmp and self.kind in _BARE_IP_OF_LINUX else None

    def began_anew_since(self, earlier: "InterfaceState") -> bool:
        """Whether counters may have begun anew: RFC 2863 section 3.1.5, and a restart of the router's agent.

        An uptime that wraps, after 497 days, passes for a restart: one difference is lost. So does a count of
        packets that jumps beyond what the octets can hold: net-snmp's unicast counter is a difference of two
        that are not read together (its issue 1079).
        """
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


class Lacking(Struct, frozen=True):
    """What a router does not have, for a person. ``gone``: there is no such interface."""

    detail: str
    gone: bool = False


def question(index: int) -> tuple[Oid, ...]:
    """Everything that is to be read of the interface with this ifIndex, in one request."""
    return (_UPTIME, _OBJECT_ID, *((*column, index) for column in _COLUMNS))


def state(bindings: Sequence[Binding], index: int) -> InterfaceState | Lacking:
    """What the answer to ``question(index)`` says. A router that only counts with 32 bits will not do."""
    told = {binding.oid: binding.value for binding in bindings}

    def number(column: Oid) -> int | None:
        return _number(told.get((*column, index)))

    octets = [number(column) for column in (_IN_OCTETS, _OUT_OCTETS)]
    packets = [[number(column) for column in columns] for columns in (_IN_PACKETS, _OUT_PACKETS)]
    name = told.get((*_NAME, index))
    if number(_KIND) is None and not isinstance(name, bytes):
        return Lacking(f"no interface {index}", gone=True)
    if octets[0] is None or octets[1] is None or any(column[0] is None for column in packets):
        return Lacking("no 64-bit counters of that interface (ifHCInOctets, ifHCInUcastPkts; RFC 2863)")
    speed, status, maker = number(_SPEED), number(_STATUS), told.get(_OBJECT_ID)
    return InterfaceState(
        name=_text(name),
        kind=number(_KIND),
        net_snmp=isinstance(maker, tuple) and maker[: len(_NET_SNMP_AGENTS)] == _NET_SNMP_AGENTS,
        uptime_ticks=_number(told.get(_UPTIME)),
        discontinuity_ticks=number(_DISCONTINUITY),
        received_octets=octets[0],
        received_packets=sum(count or 0 for count in packets[0]),
        sent_octets=octets[1],
        sent_packets=sum(count or 0 for count in packets[1]),
        received_errors=number(_IN_ERRORS),
        received_discards=number(_IN_DISCARDS),
        sent_errors=number(_OUT_ERRORS),
        sent_discards=number(_OUT_DISCARDS),
        up=None if status is None else status == UP,
        speed_bps=speed * 1e6 if speed else None,  # in Mbit/s; 0 is what virtual interfaces say
    )


class InterfaceSearch:
    """Finds an interface by what people call it: ifName, else ifDescr, else ifAlias, each in full.

    Ask for what follows ``after``, hand the variables to ``take``, until ``found`` is told.
    """

    def __init__(self, wanted: str) -> None:
        self._wanted = wanted
        self._columns = [_NAME, _DESCRIPTION, _ALIAS]
        self._matches: list[int] = []
        self._names: list[str] = []
        self._rows = 0
        self.after: Oid = _NAME
        self.found: int | Lacking | None = None

    def take(self, bindings: Sequence[Binding]) -> None:
        """One answer. An empty one, or one that does not go on, ends the column."""
        for binding in bindings:
            inside = binding.oid[: len(self._columns[0])] == self._columns[0]
            if not inside or binding.value is Missing.END_OF_MIB_VIEW or binding.oid <= self.after:
                self._column_ended()
                return
            self._row(binding)
            if self._rows > MOST_ROWS:
                self.found = Lacking(f"more than {MOST_ROWS} rows: give the interface's number (ifIndex)")
                return
        if not bindings:
            self._column_ended()

    def _row(self, binding: Binding) -> None:
        self.after = binding.oid
        self._rows += 1
        text = _text(binding.value)
        if text == self._wanted:
            self._matches.append(binding.oid[-1])
        if self._columns[0] in (_NAME, _DESCRIPTION) and text and text not in self._names[:NAMES_TOLD]:
            self._names.append(text)

    def _column_ended(self) -> None:
        if len(self._matches) == 1:
            self.found = self._matches[0]
        elif self._matches:
            count = len(self._matches)
            self.found = Lacking(f"{count} interfaces {self._wanted}: give the number (ifIndex) of one")
        elif len(self._columns) == 1:
            told = ", ".join(self._names[:NAMES_TOLD]) or "none that this community may see"
            self.found = Lacking(f"no interface {self._wanted}; it has {told}", gone=True)
        else:
            self._columns.pop(0)
            self.after = self._columns[0]


def _number(value: Value) -> int | None:
    return value if isinstance(value, int) else None


def _text(value: Value) -> str:
    """A name as people read it: routers pad with NUL, and are not held to UTF-8."""
    if not isinstance(value, bytes):
        return ""
    text = value.decode("utf-8", "replace").strip("\0 ")
    return "".join(letter if letter.isprintable() else "?" for letter in text)[:255]
