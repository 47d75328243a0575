"""Probe packets and the ICMP messages about them, by scapy: imported by the path helper alone.

An IPv4 packet is recognised by the Identification in its quote. IPv6 has none, and the STAMP Sequence Number
in the quoted payload takes its place: RFC 4443 has routers quote as much as fits.
"""

from dataclasses import dataclass

from scapy.layers.inet import ICMP, IP, UDP, IPerror, UDPerror
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6PacketTooBig, ICMPv6TimeExceeded, IPerror6, IPv6
from scapy.packet import Packet, Raw

from wire.path.probing import AnswerKind, ProbeAnswer

# The Sequence Number is first in a STAMP packet (RFC 8762 section 4.2.1).
_SEQUENCE_BYTES = 4
_UNREACHABLE, _TIME_EXCEEDED = 3, 11
_CODE_PORT_4, _CODE_TOO_BIG_4, _CODE_PORT_6 = 3, 4, 4


@dataclass(frozen=True, slots=True)
class Flow:
    """Addresses as text, ports and DSCP that all packets of a trace have in common."""

    source: str
    destination: str
    source_port: int
    destination_port: int
    dscp: int

    @property
    def over_ipv6(self) -> bool:
        """True if the addresses are IPv6."""
        return ":" in self.destination


@dataclass(frozen=True, slots=True)
class Quoted:
    """ICMP message about packet ``number`` of the flow. ``answer`` has no time yet."""

    number: int
    answer: ProbeAnswer


def packet(flow: Flow, number: int, ttl: int, payload: bytes) -> bytes:
    """Build an IP packet with its checksums. ``number`` is also its STAMP Sequence Number."""
    above = UDP(sport=flow.source_port, dport=flow.destination_port) / Raw(payload)
    head: Packet
    if flow.over_ipv6:
        head = IPv6(src=flow.source, dst=flow.destination, hlim=ttl, tc=flow.dscp << 2, fl=0)
    else:
        # The kernel would replace an Identification of 0.
        head = IP(
            src=flow.source, dst=flow.destination, ttl=ttl, tos=flow.dscp << 2, id=number + 1, flags="DF"
        )
    return bytes(head / above)


def quoted(flow: Flow, data: bytes, sender: str) -> Quoted | None:
    """Parse what a raw ICMP socket received, an IPv4 packet or an ICMPv6 message.

    None for messages about another flow, and for bytes that are no message.
    """
    # scapy raises exceptions of any kind for malformed packets.
    try:
        return _quoted_6(flow, data, sender) if flow.over_ipv6 else _quoted_4(flow, data, sender)
    except Exception:
        return None


def _quoted_4(flow: Flow, data: bytes, sender: str) -> Quoted | None:
    message = IP(data).getlayer(ICMP)
    inner = message.getlayer(IPerror) if message is not None else None
    if (
        message is None
        or inner is None
        or inner.dst != flow.destination
        or not _of_flow(flow, inner.getlayer(UDPerror))
    ):
        return None
    kind = _kind_4(message, is_peer=sender == flow.destination)
    if kind is None:
        return None
    reported = int(message.nexthopmtu or 0) if kind is AnswerKind.TOO_BIG else 0
    return Quoted(inner.id - 1, ProbeAnswer(kind, sender, dscp=inner.tos >> 2, reported_mtu=reported))


def _quoted_6(flow: Flow, data: bytes, sender: str) -> Quoted | None:
    message = IPv6(bytes(IPv6(src=sender, dst=flow.source, nh=58) / Raw(data))).payload
    inner = message.getlayer(IPerror6)
    if inner is None or inner.dst != flow.destination:
        return None
    head = inner.getlayer(UDPerror)
    kind = _kind_6(message, is_peer=sender == flow.destination)
    if kind is None or head is None or not _of_flow(flow, head):
        return None
    carried = bytes(head.payload)
    if len(carried) < _SEQUENCE_BYTES:
        return None
    reported = int(message.mtu) if kind is AnswerKind.TOO_BIG else 0
    number = int.from_bytes(carried[:_SEQUENCE_BYTES])
    return Quoted(number, ProbeAnswer(kind, sender, dscp=inner.tc >> 2, reported_mtu=reported))


def _of_flow(flow: Flow, head: Packet | None) -> bool:
    return head is not None and (head.sport, head.dport) == (flow.source_port, flow.destination_port)


def _kind_4(message: Packet, *, is_peer: bool) -> AnswerKind | None:
    """Kind of an ICMP message. "Port unreachable" of the peer itself is an arrival, a firewall's is not."""
    if message.type == _TIME_EXCEEDED:
        return AnswerKind.EXPIRED
    if message.type != _UNREACHABLE:
        return None
    if message.code == _CODE_TOO_BIG_4:
        return AnswerKind.TOO_BIG
    return AnswerKind.PORT_UNREACHABLE if message.code == _CODE_PORT_4 and is_peer else AnswerKind.UNREACHABLE


def _kind_6(message: Packet, *, is_peer: bool) -> AnswerKind | None:
    if isinstance(message, ICMPv6TimeExceeded):
        return AnswerKind.EXPIRED
    if isinstance(message, ICMPv6PacketTooBig):
        return AnswerKind.TOO_BIG
    if not isinstance(message, ICMPv6DestUnreach):
        return None
    return AnswerKind.PORT_UNREACHABLE if message.code == _CODE_PORT_6 and is_peer else AnswerKind.UNREACHABLE
