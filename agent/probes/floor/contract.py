"""Contract of one direction: its floor, converted from the contract's layer by the sizes of packets."""

from msgspec import Struct

from agent.probes.floor.rules.judged_test import FAIL_SHARE
from agent.settings.sections import FloorSettings
from wire import ip_layer
from wire.ip_layer import FULL_PACKET_BYTES
from wire.records import Direction, Layer

# From here on headers of the line weigh less than a grey verdict spans.
LEAST_FULL_BYTES = 1000


class Contract(Struct, frozen=True):
    """Promised rate of one direction, bit/s, at the layer at which the contract counts."""

    bps: float
    layer: Layer = Layer.IP

    @property
    def floor_bps(self) -> float:
        """Promised rate at the IP layer, where everything is measured, in full-size packets."""
        return ip_layer.ip_rate(self.bps, self.layer)

    def floor_for(self, packet_bytes: float) -> float:
        """Rate at the IP layer that packets of this size reach on a line of the promised rate."""
        return ip_layer.ip_rate(self.bps, self.layer, packet_bytes)

    def surely_missed(self, capacity_bps: float, packet_bytes: float) -> bool:
        """Check if no headers of the line explain a capacity below the floor.

        A contract at the IP layer leaves open what carries the packets. Headers of Ethernet take 1.2 % of
        full-size packets, but 13 % of the small ones that foreign peers send below 10 Mbit/s.
        """
        if self.layer is not Layer.IP or packet_bytes >= LEAST_FULL_BYTES:
            return True
        carrier_bps = self.bps * ip_layer.layer_bytes(Layer.ETHERNET, FULL_PACKET_BYTES) / FULL_PACKET_BYTES
        return capacity_bps <= FAIL_SHARE * ip_layer.ip_rate(carrier_bps, Layer.ETHERNET, packet_bytes)


def contracts(floor: FloorSettings) -> dict[Direction, Contract]:
    """Contract of each direction that has one in the settings."""
    promised = {Direction.DOWN: floor.down, Direction.UP: floor.up}
    return {
        direction: Contract(float(bps), floor.layer) for direction, bps in promised.items() if bps is not None
    }
