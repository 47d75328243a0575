"""Documentation of metrics: every one is documented, and no other."""

import re
from pathlib import Path

from collector.live.peers import PeerCounters
from collector.metrics.families import FAMILIES
from collector.metrics.families.incidents import INCIDENT_FAMILIES
from collector.model.own_counters import OwnCounters
from collector.model.peer_comparison import PeerMessage
from collector.service.service import CollectorService
from collector.settings import CollectorSettings, LedgerSettings
from wire.messages.envelope import ReceiptStatus

PAGE = Path(__file__).parents[3] / "docs" / "metrics.md"


def of_process(directory: Path) -> set[str]:
    """Names of the metrics of a collector's own process."""
    inventory = directory / "sites.csv"
    inventory.write_text("site_id,name\nA,A\n")
    settings = CollectorSettings(
        inventory=str(inventory), ledger=LedgerSettings(path=str(directory / "ledger.db"))
    )
    program = CollectorService(settings)
    program._peers.count_message(PeerMessage("peer", (ReceiptStatus.COMMITTED,), 1))
    page = program._counters.page().decode()
    program._ledger.close()
    return set(re.findall(r"^# TYPE (qos_\w+)", page, re.MULTILINE))


def test_every_metric_is_documented_and_no_other(tmp_path: Path) -> None:
    documented = re.findall(r"^\| `(qos_\w+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == {family.name for family in (*FAMILIES, *INCIDENT_FAMILIES)} | of_process(
        tmp_path
    )


def test_metrics_of_the_process_are_in_the_collectors_section() -> None:
    meters = OwnCounters()
    PeerCounters(meters.registry)
    own = set(re.findall(r"^# TYPE (qos_collector_\w+)", meters.page().decode(), re.MULTILINE))
    section = PAGE.read_text(encoding="utf-8").partition("## The collector itself")[2]
    assert own - set(re.findall(r"`(qos_\w+)`", section)) == set()
