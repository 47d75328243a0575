"""Alert rules as shipped, run by the real promtool."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.servers import require

ROOT = Path(__file__).parents[2]
RULES = ROOT / "dashboards" / "rules" / "plancher.rules.yml"
RUNBOOKS = ROOT / "docs" / "runbooks"
SCENARIOS = Path(__file__).with_name("plancher.rules.test.yml")
FLEET = 40
UP = 'up{job="plancher-collector"}'
FLEET_EVENT = 'qos_incident_sites{level="fleet",job="plancher-collector"}'
CUT_OFF = 'qos_collector_{}{{job="plancher-collector"}}'


def promtool(*arguments: str | Path) -> str:
    """Run promtool and return its output; raises AssertionError with it on failure."""
    done = subprocess.run([require("promtool"), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def alerts() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if "alert" in rule]


def test_promtool_accepts_the_rules() -> None:
    assert "SUCCESS" in promtool("check", "rules", RULES)


def test_alerts_fire_when_they_must_and_only_then() -> None:
    assert "SUCCESS" in promtool("test", "rules", SCENARIOS)


def test_the_scenarios_can_fail(tmp_path: Path) -> None:
    """Let a single failed test be enough: the scenario of one bad test has to fail."""
    weaker = RULES.read_text().replace("count13h >= 2", "count13h >= 1")
    assert weaker != RULES.read_text()
    (tmp_path / "rules.yml").write_text(weaker)
    scenarios = yaml.safe_load(SCENARIOS.read_text())["tests"]
    one_bad_test = [case for case in scenarios if case["name"].startswith("one bad test fires no alert")]
    with pytest.raises(AssertionError, match="one bad test fires no alert"):
        judge(tmp_path, tmp_path / "rules.yml", one_bad_test)


def judge(directory: Path, rules: Path, cases: list[dict[str, Any]], every: str = "1m") -> None:
    """Run cases against rules with promtool."""
    document = {"rule_files": [str(rules)], "evaluation_interval": every, "tests": cases}
    (directory / "cases.yml").write_text(json.dumps(document))
    promtool("test", "rules", directory / "cases.yml")


def expect_firing(
    directory: Path, series: dict[str, str], *expected: tuple[str, str, int], interval: str = "1m"
) -> None:
    """Check how many alerts of a name fire at a time; ``series`` are samples by series."""
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": at,
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }
        for alert, at, count in expected
    ]
    samples = [{"series": name, "values": values} for name, values in series.items()]
    case = {"interval": interval, "input_series": samples, "promql_expr_test": tests}
    judge(directory, RULES, [case], interval)


def silence(silent: int, dead: int = 0, fleet: int = FLEET) -> dict[str, str]:
    """Return samples of four hours: ``dead`` sites are silent from the start, ``silent`` ones after 2 h."""
    found = {UP: "1+0x240"}
    for site in range(fleet):
        age = "0+60x120 7200+0x120" if site < dead + silent else "0+60x240"
        measured = f'qos_measurement_timestamp_seconds{{site_id="S{site}",probe="stamp"}}'
        found[measured] = "-200000+0x240" if site < dead else age
        if site < dead + silent:
            state = f'qos_site_state{{site_id="S{site}",state="silent"}}'
            found[state] = "1+0x240" if site < dead else "0+0x124 1+0x115"
    return found


@pytest.mark.parametrize(
    ("series", "fleet", "sites"),
    [
        (silence(FLEET), 1, 0),
        # Six sites are fewer than the rule's ten; the collector reports them as one incident.
        (silence(6, fleet=6) | {FLEET_EVENT: "_x124 6+0x115"}, 1, 0),
        # The rest of an incident of the fleet inhibits no site's alert.
        (silence(3) | {FLEET_EVENT: "1+0x240"}, 0, 3),
        (silence(3) | {FLEET_EVENT: "3+0x240"}, 0, 3),
        (silence(3), 0, 3),
        # Sites that are dead for good do not make the fleet silent.
        (silence(3, dead=15), 0, 18),
        # A collector that is cut off does not call the fleet silent.
        (silence(FLEET) | {CUT_OFF.format("broker_connected"): "1+0x119 0+0x120"}, 0, 0),
        (silence(FLEET) | {CUT_OFF.format("ledger_working"): "1+0x119 0+0x120"}, 0, 0),
    ],
)
def test_a_silent_fleet_is_one_alert_and_a_few_silent_sites_are_one_each(
    tmp_path: Path, series: dict[str, str], fleet: int, sites: int
) -> None:
    expect_firing(tmp_path, series, ("FleetSilent", "3h30m", fleet), ("SiteSilent", "3h30m", sites))


@pytest.mark.parametrize("gauge", ["broker_connected", "ledger_working", "receiving"])
def test_a_collector_that_receives_nothing_is_one_alert(tmp_path: Path, gauge: str) -> None:
    """Include a full queue: broker and ledger work, and no site may be called silent."""
    names = ("broker_connected", "ledger_working", "receiving")
    series = {CUT_OFF.format(name): "1+0x10 0+0x50" if name == gauge else "1+0x60" for name in names}
    expect_firing(tmp_path, series, ("CollectorCutOff", "15m", 0), ("CollectorCutOff", "20m", 1))


@pytest.mark.parametrize(("alert", "series", "hours"), [
    ("MeasurementsMissing", 'qos_ledger_missing_measurements{site_id="A"}', 7 * 24),
    ("MeasurementsLost", 'qos_ledger_declared_lost_measurements{site_id="A",reason="dropped"}', 24),
    ("IdentityInDoubt", 'qos_ledger_conflicting_measurements{site_id="A"}', 7 * 24),
    ("IdentityInDoubt", 'qos_ledger_journal_forks{site_id="A"}', 7 * 24),
])  # fmt: skip
def test_a_past_loss_fires_for_a_time_and_again_for_each_new_one(
    tmp_path: Path, alert: str, series: str, hours: int
) -> None:
    """Check hour by hour: one loss at 10:00, and another 300 hours later."""
    firing = {10 + hours - 1: 1, 10 + hours + 1: 0, 305: 0, 314: 1}
    expected = [(alert, f"{hour}h", count) for hour, count in firing.items()]
    expect_firing(tmp_path, {series: "_x10 1+0x299 2+0x20"}, *expected, interval="1h")


@pytest.mark.parametrize(("lacking", "fleet", "sites"), [(3, 0, 3), (FLEET, 1, 0)])
def test_measurements_missing_at_many_sites_are_one_alert(
    tmp_path: Path, lacking: int, fleet: int, sites: int
) -> None:
    series = {f'qos_site_info{{site_id="S{site}"}}': "1+0x240" for site in range(FLEET)}
    missing = 'qos_ledger_missing_measurements{{site_id="S{}"}}'
    series |= {missing.format(site): "3+0x240" for site in range(lacking)}
    expected = (("LedgerIncomplete", "3h30m", fleet), ("MeasurementsMissing", "3h30m", sites))
    expect_firing(tmp_path, series, *expected)


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_has_a_summary_a_description_and_a_runbook(alert: dict[str, Any]) -> None:
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    prefix, _, page = alert["annotations"]["runbook_url"].rpartition("/")
    assert prefix == "{{ $externalLabels.runbooks }}"
    assert alert["alert"] in (RUNBOOKS / page).read_text().splitlines()[0]
