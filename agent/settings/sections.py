"""Sections of ``agent.yaml``, as a deployer writes them. ``agent.settings.rules`` has the rules between them.

Defaults are for a site with one line and one peer: a working file has about ten lines.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from host.units import BitRate, ByteSize, Seconds
from net.mqtt import Broker
from wire.records import Algorithm, Layer
from wire.stamp import packet
from wire.udpstp import pdu

Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]


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
    retest_after: Seconds = Seconds(300)
    pre_drain: ByteSize = ByteSize(2_500_000)
    pre_drain_every: Annotated[int, Meta(ge=1, le=10_000)] = 24
    passive: bool = True


class StampClass(Struct, frozen=True):
    """Class of service to measure: its name for people, and its DSCP."""

    name: str
    dscp: Annotated[int, Meta(ge=0, le=63)]


class StampTrainSettings(Struct, frozen=True):
    """Section ``stamp``: classes, size and spacing of trains, and the time that a reply may take."""

    classes: tuple[StampClass, ...] = (StampClass("default", 0),)
    packets: Annotated[int, Meta(ge=2, le=1000)] = 20
    spacing: Seconds = Seconds(0.5)
    timeout: Seconds = Seconds(2)
    authenticated: bool = True


class ScheduleSettings(Struct, frozen=True):
    """Section ``schedule``: interval of each probe, null for never; ``first_within`` bounds a first wait."""

    floor: Seconds = Seconds(3600)
    stamp: Seconds = Seconds(60)
    interface: Seconds | None = Seconds(60)
    capacity: Seconds | None = Seconds(30 * 86400)
    path: Seconds | None = Seconds(86400)
    reachability: Seconds | None = Seconds(10)
    first_within: Seconds = Seconds(300)


class CapacitySettings(Struct, frozen=True):
    """Section ``capacity``: highest rate and duration of a search, and what it may cost the line.

    A search may start in ``hours``, local time. ``day_budget`` and ``month_budget`` are bytes of both
    directions together. A search ends before it exceeds them. With less than 20 MB left it is skipped, and
    recorded as such.
    """

    highest: BitRate = BitRate(1_000_000_000)
    duration: Seconds = Seconds(10)
    algorithm: Algorithm = Algorithm.B
    hours: str = "01:00-05:00"
    day_budget: ByteSize = ByteSize(3_000_000_000)
    month_budget: ByteSize = ByteSize(6_000_000_000)


class InterfaceSettings(Struct, frozen=True):
    """Section ``interface``: interval between readings of the counters within one record."""

    read_every: Seconds = Seconds(10)


class PathSettings(Struct, frozen=True):
    """Section ``path``: hops and packets of a trace to the peer, and the time that it may take.

    ``helper`` is the Unix socket behind which a service manager starts the path helper, which may send such
    packets. Without it the agent starts the helper as its child.
    """

    hops: Annotated[int, Meta(ge=1, le=64)] = 30
    packets: Annotated[int, Meta(ge=1, le=10)] = 3
    timeout: Seconds = Seconds(60)
    helper: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


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
    size: ByteSize = ByteSize(160_000_000)


class AgentSettings(Struct, frozen=True):
    """All sections of ``agent.yaml``."""

    site: str
    peer: PeerAccessSettings
    floor: FloorSettings = field(default_factory=FloorSettings)
    stamp: StampTrainSettings = field(default_factory=StampTrainSettings)
    capacity: CapacitySettings = field(default_factory=CapacitySettings)
    interface: InterfaceSettings = field(default_factory=InterfaceSettings)
    path: PathSettings = field(default_factory=PathSettings)
    schedule: ScheduleSettings = field(default_factory=ScheduleSettings)
    line_counters: LineCountersSettings = field(default_factory=LineCountersSettings)
    broker: Broker = field(default_factory=Broker)
    uplink: UplinkSettings = field(default_factory=UplinkSettings)
    journal: JournalSettings = field(default_factory=JournalSettings)
    runtime_directory: str = "var/agent/run"
    log_level: str = "info"
