"""Sections of ``agent.yaml``, as a deployer writes them. ``agent.settings.rules`` has the rules between them.

Defaults are for a site with one line and one peer: a working file has about ten lines.
"""

from enum import StrEnum
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, field

from host.units import BitRate, ByteSize, Seconds
from net.mqtt import Broker
from wire.records import Layer
from wire.stamp import packet
from wire.udpstp import pdu

Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]
FLOOR_LEAST, FLOOR_MOST = BitRate(1_000_000), BitRate(1_000_000_000)
Section = TypeVar("Section", bound=Struct)


class PeerAccessSettings(Struct, frozen=True):
    """Section ``peer``: addresses of the measurement peer, and the key that it shares with this site.

    ``key`` is the shared secret itself, ``key_file`` a file with it; exactly one is set.
    """

    name: str = "peer"
    host: Host = "127.0.0.1"
    udpstp_port: Port = pdu.WELL_KNOWN_PORT
    stamp_port: Port = packet.WELL_KNOWN_PORT
    key_id: Annotated[int, Meta(ge=0, le=255)] = 1
    key: str | None = None
    key_file: str | None = None

    def __repr__(self) -> str:
        return f"PeerAccessSettings({self.name!r}, {self.host!r})"


class FloorSettings(Struct, frozen=True):
    """Section ``floor``: the contract's floor, bit/s at its ``layer``; null where none was promised.

    The site is in use in ``site_hours``. Without line counters a missed floor is confirmed in ``quiet_hours``
    only. Both are local time, as :mod:`agent.settings.hours` reads them. ``pre_drain`` is the bytes sent fast
    before every ``pre_drain_every``-th test, to empty a token bucket; 0 for never. With ``passive``, the
    site's own traffic may prove the floor where it can be seen.
    """

    down: BitRate | None = BitRate(8_000_000)
    up: BitRate | None = BitRate(8_000_000)
    layer: Layer = Layer.IP
    site_hours: str = "Mon-Fri 07:00-19:00"
    quiet_hours: str = "01:00-05:00"
    # Thirteen fails then take 65 minutes, which protects from disturbances that many lines share (decision
    # 10).
    retest_after: Seconds = Seconds(300)
    # Measured: 2 MB in a bucket over a line of 7.6 Mbit/s pass an 8 s test at 8.4. 2.5 MB sent fast empty it.
    pre_drain: ByteSize = ByteSize(2_500_000)
    pre_drain_every: Annotated[int, Meta(ge=1, le=10_000)] = 24
    # At no cost: only where counters of this machine see all traffic of the site.
    passive: bool = True


class StampClass(Struct, frozen=True):
    """Class of service to measure: its name for people, and its DSCP."""

    name: str
    dscp: Annotated[int, Meta(ge=0, le=63)]


class ReflectorKind(StrEnum):
    """Kind of the peer's reflector. Only a stateful one counts its own packets (RFC 8762 section 4)."""

    STATEFUL = "stateful"
    STATELESS = "stateless"
    TWAMP_LIGHT = "twamp-light"


class StampTrainSettings(Struct, frozen=True):
    """Section ``stamp``: classes, size and spacing of trains, and the time that a reply may take.

    ``reflector`` is what the peer's reflector can do. With another than ``stateful``, loss has no direction.
    A TWAMP Light reflector knows no authentication and no TLVs (RFC 8762 section 4.6).
    """

    classes: tuple[StampClass, ...] = (StampClass("default", 0),)
    packets: Annotated[int, Meta(ge=2, le=1000)] = 20
    spacing: Seconds = Seconds(0.5)
    timeout: Seconds = Seconds(2)
    authenticated: bool = True
    reflector: ReflectorKind = ReflectorKind.STATEFUL


class ScheduleSettings(Struct, frozen=True):
    """Section ``schedule``: interval of each probe, null for never; ``first_within`` bounds a first wait.

    The interval of each probe is a setting of its name, which its declaration adds.
    """

    # The sites of a town must not all measure in the first minute after a power cut.
    first_within: Seconds = Seconds(300)


class SnmpSettings(Struct, frozen=True):
    """Section ``line_counters.snmp``: the router that counts the site's traffic, by SNMP version 2c.

    ``community`` is the shared word itself, ``community_file`` a file with it; exactly one is set.
    ``interface`` is the name or number of the router's interface towards the line. ``frame_bytes`` is what
    the router counts of each packet beyond the IP layer; null to derive it from the interface's type.
    """

    host: Host
    interface: Annotated[str, Meta(min_length=1, max_length=255)] | Annotated[int, Meta(ge=1, le=2**31 - 1)]
    port: Port = 161
    community: str | None = None
    community_file: str | None = None
    timeout: Seconds = Seconds(1)
    frame_bytes: Annotated[int, Meta(ge=0, le=64)] | None = None

    def __repr__(self) -> str:
        return f"SnmpSettings({self.host!r}, {self.interface!r})"


class LineCountersSettings(Struct, frozen=True):
    """Section ``line_counters``: source of the line's counters, see ``agent.line.counters``."""

    source: str = "none"
    interface: str | None = None
    path: str | None = None
    snmp: SnmpSettings | None = None


class UplinkSettings(Struct, frozen=True):
    """Section ``uplink``: new measurements leave each ``interval``, older ones each ``backlog_interval``."""

    interval: Seconds = Seconds(60)
    backlog_interval: Seconds = Seconds(30)
    receipt_timeout: Seconds = Seconds(60)


class JournalSettings(Struct, frozen=True):
    """Section ``journal``: file of measurements until the collector has them, and its largest size."""

    path: str = "var/agent/journal.db"
    # 30 days without a collector take 96 MB at the default cadence, the counters' records included.
    size: ByteSize = ByteSize(160_000_000)


class AgentSettings(Struct, frozen=True):
    """Everything in ``agent.yaml`` but the intervals and own sections of probes.

    :mod:`agent.configuration` adds these, as each probe declares them.
    """

    site: str
    peer: PeerAccessSettings
    floor: FloorSettings = field(default_factory=FloorSettings)
    stamp: StampTrainSettings = field(default_factory=StampTrainSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    line_counters: LineCountersSettings = field(default_factory=LineCountersSettings)
    broker: Broker = field(default_factory=Broker)
    uplink: UplinkSettings = field(default_factory=UplinkSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    runtime_directory: str = "var/agent/run"
    log_level: str = "info"

    def every_s(self, probe: str) -> float | None:
        """Interval of a probe in seconds, None for never."""
        every: float | None = getattr(self.schedule, probe)
        return None if every is None else float(every)

    def section(self, kind: type[Section]) -> Section:
        """The own section of a probe, by its type."""
        return next(
            found for name in self.__struct_fields__ if isinstance(found := getattr(self, name), kind)
        )
