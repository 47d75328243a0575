"""What lies between a payload and the IP layer, at which every rate and byte count is told (RFC 9097).

The one place for these numbers. Headers without options or extension headers.
"""

IPV4_UDP_BYTES, IPV6_UDP_BYTES = 28, 48
"""IP and UDP headers: IP-layer bytes = UDP payload + these."""

ETHERNET_HEADER_BYTES = 14
"""What an interface's byte counters hold above the IP layer, each packet: the frame check sequence is not."""
