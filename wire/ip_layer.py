"""Bytes between a payload and the IP layer, where every rate and byte count is stated (RFC 9097 section 5).

These numbers exist only here. Headers have no options and no extension headers, except TCP's timestamps.
"""

from wire.records.vocabulary import Layer

IPV4_UDP_BYTES, IPV6_UDP_BYTES = 28, 48
"""IP and UDP headers: IP-layer bytes = UDP payload + these."""

ETHERNET_HEADER_BYTES = 14
"""Bytes that an interface's counters add to each IP packet; the frame check sequence is not counted."""

FULL_PACKET_BYTES = 1500
"""IP packet for which a contract's rate is converted: Ethernet's largest (IEEE 802.3 clause 3.2.7).

The ratio between layers depends on the packet size. A contract names none, and a download has full packets.
"""

ETHERNET_FRAME_BYTES = ETHERNET_HEADER_BYTES + FULL_PACKET_BYTES + 4
"""Frame from the destination address to the frame check sequence (IEEE 802.3 clause 3.1.1). Preamble, start
delimiter and the gap between frames are no part of it."""

# The rate that the user of a download reads. Benchmarks compare iperf3's goodput with the floor by it, too.
TCP_PAYLOAD_BYTES = FULL_PACKET_BYTES - 20 - 20 - 12
"""IPv4 header, TCP header, and the timestamps option with its padding (RFC 7323 appendix A)."""

_CARRIED_BYTES = {
    Layer.IP: FULL_PACKET_BYTES,
    Layer.ETHERNET: ETHERNET_FRAME_BYTES,
    Layer.TCP: TCP_PAYLOAD_BYTES,
}


def ip_rate(contract_bps: float, layer: Layer) -> float:
    """Convert a contract's rate at ``layer`` to the IP-layer rate in bit/s, for full-size packets."""
    return contract_bps * FULL_PACKET_BYTES / _CARRIED_BYTES[layer]
