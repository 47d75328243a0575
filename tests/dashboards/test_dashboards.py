"""Dashboards, as far as they can be checked without Grafana."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from collector.live.peers import PeerCounters
from collector.live.site_state import SiteState
from collector.metrics.families import FAMILIES
from collector.metrics.families.incidents import INCIDENT_FAMILIES
from collector.model.own_counters import OwnCounters
from collector.model.peer_comparison import PeerMessage
from dashboards.__main__ import DASHBOARDS, GENERATED, path, text
from dashboards.builder import DATA_SOURCE, GRID_COLUMNS, Dashboard
from dashboards.wording import STATES
from tests.dashboards import expressions
from tests.dashboards.test_rules import promtool
from wire.messages.envelope import ReceiptStatus

ROOT = Path(__file__).parents[2]
PROVISIONING = ROOT / "deploy" / "grafana" / "provisioning"
VALUES = {"departement": ".*", "category": ".*", "supplier": ".*", "site_id": "A"}
# What the watched gauges of a running collector add to its own metrics.
WATCHED = {
    "qos_collector_broker_connected",
    "qos_collector_ledger_working",
    "qos_collector_inventory_valid",
    "qos_collector_ledger_damage",
    "qos_collector_receiving",
    "qos_collector_queued_messages",
}


def of_process() -> set[str]:
    """Return the metric families of the collector's own process."""
    meters = OwnCounters()
    PeerCounters(meters.registry).count_message(PeerMessage("peer", (ReceiptStatus.COMMITTED,), 1))
    return set(re.findall(r"^# TYPE (\w+)", meters.page().decode(), re.MULTILINE))


PANELS = {"timeseries", "state-timeline", "stat", "table"}

every_dashboard = pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda found: str(found.uid))


def panels(dashboard: Dashboard) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = dashboard.as_json()["panels"]
    return found


@every_dashboard
def test_the_committed_json_is_what_the_code_gives(dashboard: Dashboard) -> None:
    assert path(dashboard).read_text(encoding="utf-8") == text(dashboard), "run: python -m dashboards"


def test_nothing_else_is_committed_as_generated() -> None:
    assert {found.name for found in GENERATED.iterdir()} == {path(dashboard).name for dashboard in DASHBOARDS}


def test_uids_are_unique_and_short_enough_for_grafana() -> None:
    uids = [dashboard.uid for dashboard in DASHBOARDS]
    assert len(set(uids)) == len(uids)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,40}", uid) for uid in uids)


@every_dashboard
def test_every_panel_has_the_fields_that_grafana_reads(dashboard: Dashboard) -> None:
    found = panels(dashboard)
    assert [panel["id"] for panel in found] == list(range(1, len(found) + 1))
    for panel in found:
        assert set(panel) >= {
            "id",
            "title",
            "type",
            "gridPos",
            "datasource",
            "targets",
            "fieldConfig",
            "options",
        }
        assert panel["type"] in PANELS
        assert set(panel["fieldConfig"]) == {"defaults", "overrides"}
        assert panel["datasource"] == DATA_SOURCE
        references = [target["refId"] for target in panel["targets"]]
        assert references == sorted(set(references))
        assert all(target["datasource"] == DATA_SOURCE for target in panel["targets"])


@every_dashboard
def test_panels_do_not_overlap_and_fit_the_grid(dashboard: Dashboard) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in panels(dashboard):
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= GRID_COLUMNS
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not taken & cells
        taken |= cells


@every_dashboard
def test_overrides_and_sorting_name_existing_columns_and_lines(dashboard: Dashboard) -> None:
    for panel in panels(dashboard):
        shown = {target["legendFormat"] for target in panel["targets"]}
        for step in panel.get("transformations", []):
            shown |= set(step["options"].get("renameByName", {}).values())
        named = [override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]]
        sorting = [order["displayName"] for order in panel["options"].get("sortBy", [])]
        assert set(named + sorting) <= shown


@every_dashboard
def test_every_variable_in_a_query_is_a_drop_down(dashboard: Dashboard) -> None:
    offered = {variable["name"] for variable in expressions.variables(dashboard)}
    asked = {name for panel in panels(dashboard) for name in re.findall(r"\$(\w+)", str(panel["targets"]))}
    assert asked == offered


def test_the_worst_state_sorts_to_the_top_and_each_has_a_text() -> None:
    assert [mapping.value for mapping in STATES] == sorted(range(len(SiteState)), reverse=True)
    assert len({mapping.text for mapping in STATES}) == len(SiteState)
    assert STATES[0].text == "below floor"


def test_the_fleet_links_to_the_dashboard_of_one_site() -> None:
    fleet, site = DASHBOARDS
    (table,) = [panel for panel in panels(fleet) if panel["title"] == "Sites, worst first"]
    links = [
        entry["value"][0]["url"]
        for override in table["fieldConfig"]["overrides"]
        for entry in override["properties"]
        if entry["id"] == "links"
    ]
    (variable,) = expressions.variables(site)
    assert links == [f"/d/{site.uid}?var-{variable['name']}=${{__value.raw}}&${{__url_time_range}}"]


def test_promtool_parses_every_expression(tmp_path: Path) -> None:
    queries = [expressions.filled_in(query, VALUES) for query in expressions.of_dashboards()]
    rules = [{"record": f"query:{index}", "expr": query} for index, query in enumerate(queries)]
    document = {"groups": [{"name": "dashboards", "rules": rules}]}
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    assert f"{len(queries)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


def test_every_metric_in_a_query_is_exposed_by_the_collector() -> None:
    exposed = {family.name for family in (*FAMILIES, *INCIDENT_FAMILIES)} | WATCHED | of_process()
    asked = expressions.metrics(expressions.of_dashboards() + expressions.of_rules())
    assert asked <= exposed
    variables = [
        found["query"]["query"] for dashboard in DASHBOARDS for found in expressions.variables(dashboard)
    ]
    assert expressions.metrics(variables) <= exposed


def test_every_metric_in_a_runbook_is_exposed_by_the_collector() -> None:
    exposed = {family.name for family in (*FAMILIES, *INCIDENT_FAMILIES)} | WATCHED | of_process()
    pages = [page.read_text() for page in (ROOT / "docs" / "runbooks").glob("*.md")]
    assert expressions.metrics(pages) <= exposed


def test_grafana_has_the_data_source_of_the_dashboards() -> None:
    (source,) = yaml.safe_load((PROVISIONING / "datasources" / "plancher.yml").read_text())["datasources"]
    assert (source["type"], source["uid"]) == (DATA_SOURCE["type"], DATA_SOURCE["uid"])
    scraping = yaml.safe_load((ROOT / "deploy" / "prometheus" / "prometheus.yml").read_text())["global"]
    assert source["jsonData"]["timeInterval"] == scraping["scrape_interval"]
    (provider,) = yaml.safe_load((PROVISIONING / "dashboards" / "plancher.yml").read_text())["providers"]
    assert provider["type"] == "file"
