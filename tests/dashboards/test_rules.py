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


def silence(silent: int, dead: int) -> list[dict[str, str]]:
    """Return samples of 40 sites for four hours: ``dead`` are silent from the start, ``silent`` stop after 2
    h.
    """

    def values(site: int) -> str:
        if site < dead:
            return "-200000+0x240"
        return "0+60x120 7200+0x120" if site < dead + silent else "0+60x240"

    series = [
        {
            "series": f'qos_measurement_timestamp_seconds{{site_id="S{site}",probe="stamp"}}',
            "values": values(site),
        }
        for site in range(FLEET)
    ]
    states = [
        {
            "series": f'qos_site_state{{site_id="S{site}",state="silent"}}',
            "values": "1+0x240" if site < dead else "0+0x124 1+0x115",
        }
        for site in range(dead + silent)
    ]
    return [{"series": 'up{job="plancher-collector"}', "values": "1+0x240"}, *series, *states]


def expect_firing(directory: Path, series: list[dict[str, str]], fleet: int, sites: int) -> None:
    """Check the number of firing alerts, of the fleet and of single sites, 1.5 h after the 2 h."""
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": "3h30m",
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }
        for alert, count in (("FleetSilent", fleet), ("SiteSilent", sites))
    ]
    judge(directory, RULES, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}])


def test_a_silent_fleet_is_one_alert(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=FLEET, dead=0), fleet=1, sites=0)


def test_a_small_silent_fleet_is_one_alert_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Six sites are fewer than the rule's ten; the collector reports them as one incident."""
    monkeypatch.setattr(f"{__name__}.FLEET", 6)
    expect_firing(tmp_path, [*silence(silent=6, dead=0), fleet_event("_x124 6+0x115")], fleet=1, sites=0)


@pytest.mark.parametrize("left", [1, 3])
def test_the_rest_of_a_fleet_incident_inhibits_no_sites_alert(tmp_path: Path, left: int) -> None:
    expect_firing(tmp_path, [*silence(silent=3, dead=0), fleet_event(f"{left}+0x240")], fleet=0, sites=3)


def fleet_event(sites: str) -> dict[str, str]:
    return {"series": 'qos_upstream_event_sites{level="fleet",job="plancher-collector"}', "values": sites}


def test_a_few_silent_sites_are_one_alert_each(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=3, dead=0), fleet=0, sites=3)


def test_sites_that_are_dead_for_good_do_not_make_the_fleet_silent(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=3, dead=15), fleet=0, sites=18)


@pytest.mark.parametrize("gauge", ["broker_connected", "ledger_working"])
def test_a_collector_cut_off_does_not_call_the_fleet_silent(tmp_path: Path, gauge: str) -> None:
    cut_off = {"series": f'qos_collector_{gauge}{{job="plancher-collector"}}', "values": "1+0x119 0+0x120"}
    expect_firing(tmp_path, [*silence(silent=FLEET, dead=0), cut_off], fleet=0, sites=0)


@pytest.mark.parametrize("gauge", ["broker_connected", "ledger_working", "hearing"])
def test_a_collector_that_receives_nothing_is_one_alert(tmp_path: Path, gauge: str) -> None:
    """Include a full queue: broker and ledger work, and no site may be called silent."""
    names = ("broker_connected", "ledger_working", "hearing")
    series = [
        {
            "series": f'qos_collector_{name}{{job="plancher-collector"}}',
            "values": "1+0x10 0+0x50" if name == gauge else "1+0x60",
        }
        for name in names
    ]
    tests = [
        {
            "expr": 'count(ALERTS{alertname="CollectorCutOff", alertstate="firing"})',
            "eval_time": eval_time,
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }
        for eval_time, fires in (("15m", False), ("20m", True))
    ]
    judge(tmp_path, RULES, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}])


@pytest.mark.parametrize(
    ("alert", "series", "hours"),
    [
        ("MeasurementsMissing", 'qos_ledger_missing_measurements{site_id="A"}', 7 * 24),
        ("MeasurementsLost", 'qos_ledger_declared_lost_measurements{site_id="A",reason="dropped"}', 24),
        ("IdentityInDoubt", 'qos_ledger_conflicting_measurements{site_id="A"}', 7 * 24),
        ("IdentityInDoubt", 'qos_ledger_journal_forks{site_id="A"}', 7 * 24),
    ],
)
def test_a_past_loss_fires_for_a_time_and_again_for_each_new_one(
    tmp_path: Path, alert: str, series: str, hours: int
) -> None:
    """Check hour by hour: one loss at 10:00, and another 300 hours later."""
    firing = {10 + hours - 1: True, 10 + hours + 1: False, 305: False, 314: True}
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": f"{hour}h",
            "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
        }
        for hour, fires in firing.items()
    ]
    samples = [{"series": series, "values": "_x10 1+0x299 2+0x20"}]
    case = {"interval": "1h", "input_series": samples, "promql_expr_test": tests}
    judge(tmp_path, RULES, [case], every="1h")


@pytest.mark.parametrize(("lacking", "fleet"), [(3, False), (FLEET, True)])
def test_measurements_missing_at_many_sites_are_one_alert(tmp_path: Path, lacking: int, fleet: bool) -> None:
    names = [f'site_id="S{site}"' for site in range(FLEET)]
    series = [
        *({"series": f"qos_site_info{{{name}}}", "values": "1+0x240"} for name in names),
        *(
            {"series": f"qos_ledger_missing_measurements{{{name}}}", "values": "3+0x240"}
            for name in names[:lacking]
        ),
    ]
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": "3h30m",
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }
        for alert, count in (
            ("LedgerIncomplete", int(fleet)),
            ("MeasurementsMissing", 0 if fleet else lacking),
        )
    ]
    judge(tmp_path, RULES, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}])


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: str(alert["alert"]))
def test_every_alert_has_a_summary_a_description_and_a_runbook(alert: dict[str, Any]) -> None:
    assert set(alert["annotations"]) == {"summary", "description", "runbook_url"}
    assert alert["labels"]["severity"] in {"warning", "critical"}
    prefix, _, page = alert["annotations"]["runbook_url"].rpartition("/")
    assert prefix == "{{ $externalLabels.runbooks }}"
    assert alert["alert"] in (RUNBOOKS / page).read_text().splitlines()[0]
