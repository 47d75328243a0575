"""What lies between a payload and the IP layer, at which every rate and byte count is told (RFC 9097).

The one place for these numbers. Headers without options or extension headers, but for TCP's timestamps.
"""

from wire.records.vocabulary import Layer

IPV4_UDP_BYTES, IPV6_UDP_BYTES = 28, 48
"""IP and UDP headers: IP-layer bytes = UDP payload + these."""

ETHERNET_HEADER_BYTES = 14
"""What an interface's byte counters hold above the IP layer, each packet: the frame check sequence is not."""

FULL_PACKET_BYTES = 1500
"""The IP packet in which a contract's bits are taken to travel: Ethernet's largest (IEEE 802.3 clause 3.2.7).

The ratio between layers depends on the packet size; a contract names none, and a download has full ones.
"""

ETHERNET_FRAME_BYTES = ETHERNET_HEADER_BYTES + FULL_PACKET_BYTES + 4
"""From the destination address to the frame check sequence (IEEE 802.3 clause 3.1.1); preamble, start
delimiter and the gap between frames are no part of the frame."""

TCP_PAYLOAD_BYTES = FULL_PACKET_BYTES - 20 - 20 - 12
"""IPv4 header, TCP header, and the timestamps option with its padding (RFC 7323 appendix A)."""

_CARRIED_BYTES = {
    Layer.IP: FULL_PACKET_BYTES,
    Layer.ETHERNET: ETHERNET_FRAME_BYTES,
    Layer.TCP: TCP_PAYLOAD_BYTES,
}


def ip_rate(contract_bps: float, layer: Layer) -> float:
    """The IP-layer rate, bit/s, at which full-size packets give ``contract_bps`` at ``layer``."""
    return contract_bps * FULL_PACKET_BYTES / _CARRIED_BYTES[layer]
