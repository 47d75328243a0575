"""The collector's settings file: what an operator writes, and every rule it must keep."""

from pathlib import Path
from typing import Annotated

from msgspec import Meta, Struct, field

from collector.pages.texts import Language
from host import log, settings
from host.settings import SettingsError
from host.units import ByteSize, Seconds
from net.mqtt import Broker

Port = Annotated[int, Meta(ge=1, le=65535)]
Host = Annotated[str, Meta(min_length=1, max_length=253)]


class LedgerSettings(Struct, frozen=True):
    """Where measurements are kept for good, and how long the raw payloads beside them."""

    path: str = "var/collector/ledger.db"
    keep_payloads: Seconds = Seconds(2 * 86400)
    reject_rows: Annotated[int, Meta(ge=100, le=10_000_000)] = 10_000


class PeerComparisonSettings(Struct, frozen=True):
    """``grace``: how long one side of a load test waits for the other before it counts as the only one."""

    grace: Seconds = Seconds(6 * 3600)


class IntakeSettings(Struct, frozen=True):
    """How much may wait for the ledger; what does not fit is sent again by its agent."""

    messages: Annotated[int, Meta(ge=100, le=1_000_000)] = 20_000
    size: ByteSize = ByteSize(64_000_000)


class WebSettings(Struct, frozen=True):
    """Where the overview and the metrics are served; loopback unless told otherwise."""

    host: Host = "127.0.0.1"
    port: Port = 8460
    language: Language = Language.ENGLISH


class CollectorSettings(Struct, frozen=True):
    """Everything in ``collector.yaml``. ``expose_fleet``: of several collectors over one fleet, one alone."""

    inventory: str = "sites.csv"
    broker: Broker = field(default_factory=Broker)
    ledger: LedgerSettings = field(default_factory=LedgerSettings)
    peers: PeerComparisonSettings = field(default_factory=PeerComparisonSettings)
    intake: IntakeSettings = field(default_factory=IntakeSettings)
    web: WebSettings = field(default_factory=WebSettings)
    expose_fleet: bool = True
    log_level: str = "info"


def load(path: Path) -> CollectorSettings:
    """Read and check a collector's settings file. Raises SettingsError, one line for a person."""
    loaded = settings.load(path, CollectorSettings)
    if problem := first_problem(loaded):
        raise SettingsError(f"{path}: {problem}")
    return loaded


def first_problem(chosen: CollectorSettings) -> str | None:
    """The first rule that is broken beyond types and ranges, in words, or None."""
    if chosen.log_level not in log.LEVELS:
        return f"log_level: write one of {', '.join(log.LEVELS)}"
    if chosen.intake.size < 1_000_000:
        return "intake.size: at least 1 MB, so that the largest batch fits"
    return None
