"""Settings file of the collector, ``collector.yaml``, and the rules beyond types and ranges."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from collector.pages.texts import Language
from host import log, settings
from host.settings import SettingsError
from host.units import ByteSize, Seconds
from net.addresses.host_text import host_problem
from net.broker_rules import broker_problem
from net.mqtt import Broker

Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]


class LedgerSettings(Struct, frozen=True):
    """Ledger file: its path, and the bounds of raw payloads and rejects beside the measurements."""

    path: str = "var/collector/ledger.db"
    keep_payloads: Seconds = Seconds(2 * 86400)
    reject_rows: Annotated[int, Meta(ge=100, le=10_000_000)] = 10_000


class PeerComparisonSettings(Struct, frozen=True):
    """Peer comparison: ``grace`` is the time that the second record of a load test may take to arrive."""

    # An agent that was offline for longer corrects the result later (decision 14).
    grace: Seconds = Seconds(6 * 3600)


class IntakeSettings(Struct, frozen=True):
    """Bounds of the queue before the ledger. Agents send again what does not fit."""

    messages: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    size: ByteSize = ByteSize(64_000_000)


class WebSettings(Struct, frozen=True):
    """Address, names, bound and language of the pages and the metrics; the loopback address by default."""

    # The pages have no login: other machines need a reverse proxy with one in front.
    host: Host = "127.0.0.1"
    port: Port = 8460
    names: Annotated[tuple[Host, ...], Meta(max_length=100)] = ()
    connections: Annotated[int, Meta(ge=8, le=10_000)] = 256
    language: Language = Language.ENGLISH


class CollectorSettings(Struct, frozen=True):
    """Settings of a collector. Of several collectors of one fleet, only one has ``expose_fleet``."""

    inventory: str = "sites.csv"
    broker: Broker = field(default_factory=Broker)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    peers: PeerComparisonSettings = field(default_factory=PeerComparisonSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    web: WebSettings = field(default_factory=WebSettings)
    expose_fleet: bool = True
    log_level: str = "info"


def load(path: Path) -> CollectorSettings:
    """Read and check a settings file. Raises SettingsError, whose text is one line for an operator."""
    loaded = settings.load(path, CollectorSettings)
    if problem := first_problem(loaded):
        raise SettingsError(f"{path}: {problem}")
    return loaded


def first_problem(chosen: CollectorSettings) -> str | None:
    """Describe the first broken rule beyond types and ranges, or return None."""
    if chosen.log_level not in log.LEVELS:
        return f"log_level: write one of {', '.join(log.LEVELS)}"
    if problem := broker_problem(chosen.broker):
        return problem
    if problem := host_problem(chosen.web.host):
        return f"web.host: {problem}"
    # A message has up to 512 KiB, and the queue needs room for at least one.
    if chosen.intake.size < 1_000_000:
        return "intake.size: at least 1 MB, so that the largest batch fits"
    return None
