"""The configuration of Prometheus and Alertmanager, judged by their own tools and against each other."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from collector.settings import CollectorSettings
from tests.servers import require

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus" / "prometheus.yml"
ALERTMANAGER = DEPLOY / "alertmanager" / "alertmanager.yml"
RULES = DEPLOY.parent / "dashboards" / "rules"


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
    named = {name for matcher in matchers for name in matcher.split('"')[1].split("|")}
    assert named == alerts
