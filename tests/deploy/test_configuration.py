"""Configuration of Prometheus and Alertmanager, checked by their own tools and against each other."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from collector.incidents.correlation import Level
from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from collector.model.message import Arrival
from collector.service.views import Views
from collector.settings import CollectorSettings
from lab.simulate.fleet import PEER, SimulatedAgent, sites
from tests.collector.examples import NOW_US
from tests.servers import require

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
RULES = DEPLOY.parent / "dashboards" / "rules"
GREATEST_FLEET = 60_000


def accepted(program: str, *arguments: str | Path) -> str:
    done = subprocess.run([require(program), *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def prometheus() -> Any:
    return yaml.safe_load(PROMETHEUS.read_text())


def test_promtool_accepts_the_configuration_and_finds_the_rules() -> None:
    told = accepted("promtool", "check", "config", PROMETHEUS)
    assert "SUCCESS: 1 rule files found" in told


def test_amtool_accepts_the_configuration() -> None:
    assert "SUCCESS" in accepted("amtool", "check-config", ALERTMANAGER)


def test_every_file_of_rules_is_loaded() -> None:
    loaded = {(PROMETHEUS.parent / path).resolve() for path in prometheus()["rule_files"]}
    assert loaded == set(RULES.glob("*.yml"))


def test_it_scrapes_where_a_collector_serves_unless_told_otherwise() -> None:
    web = CollectorSettings().web
    (job,) = prometheus()["scrape_configs"]
    assert job["job_name"] == "plancher-collector"
    assert job["static_configs"] == [{"targets": [f"{web.host}:{web.port}"]}]


def test_alertmanager_routes_and_inhibits_alerts_that_exist() -> None:
    groups = [group for path in RULES.glob("*.yml") for group in yaml.safe_load(path.read_text())["groups"]]
    alerts = {rule["alert"] for group in groups for rule in group["rules"] if "alert" in rule}
    document = yaml.safe_load(ALERTMANAGER.read_text())
    matchers = [matcher for route in document["route"]["routes"] for matcher in route["matchers"]]
    for rule in document["inhibit_rules"]:
        matchers += rule["source_matchers"] + rule["target_matchers"]
    by_name = [matcher for matcher in matchers if matcher.startswith("alertname")]
    named = {name for matcher in by_name for name in matcher.split('"')[1].split("|")}
    assert named == alerts
    others = {matcher for matcher in matchers if matcher not in by_name}
    assert others <= {f'level="{level}"' for level in Level}


def test_the_sample_limit_admits_the_largest_fleet(tmp_path: Path) -> None:
    """One sample above the limit, and Prometheus drops the whole page."""
    (scrape,) = prometheus()["scrape_configs"]
    needed = GREATEST_FLEET * samples_of_a_site(tmp_path / "ledger.db")
    assert needed < scrape["sample_limit"] < 2 * needed


def samples_of_a_site(file: Path) -> int:
    """Return the number of samples of a site that measures everything in two classes."""
    ((site_id, site),) = sites(1).items()
    agent, views, ledger = SimulatedAgent(site_id, NOW_US), Views({site_id: site}), Ledger(file)
    arrivals = [Arrival(f"qos/v1/{site_id}/results", agent.envelope(60), NOW_US)]
    arrivals.append(Arrival(f"qos/v1/peers/{PEER}/tests", agent.peer_envelope() or b"", NOW_US))
    committed = ledger.commit([judge(arrival) for arrival in arrivals])
    for message in committed.messages:
        views.learn(message.observations, NOW_US)
    views.learn_comparisons(committed.compared, NOW_US)
    ledger.close()
    lines = b"".join(views.pieces()).splitlines()
    return sum(not line.startswith(b"#") for line in lines)
