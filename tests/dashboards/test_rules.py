"""Recording and alerting rules, checked by the real promtool."""

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
    """Run promtool and return its output. Raises AssertionError with the output if it fails."""
    done = subprocess.run([require("promtool"), *arguments], capture_output=True, text=True, timeout=60)
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
    """A rule that fires after one failed test must fail the scenario of one bad test."""
    weaker = RULES.read_text().replace("count13h >= 2", "count13h >= 1")
    assert weaker != RULES.read_text()
    (tmp_path / "rules.yml").write_text(weaker)
    scenarios = yaml.safe_load(SCENARIOS.read_text())["tests"]
    one_bad_test = [case for case in scenarios if case["name"].startswith("one bad test pages nobody")]
    with pytest.raises(AssertionError, match="one bad test pages nobody"):
        judge(tmp_path, tmp_path / "rules.yml", one_bad_test)


def judge(directory: Path, rules: Path, cases: list[dict[str, Any]], every: str = "1m") -> None:
    """Run these cases against these rules."""
    document = {"rule_files": [str(rules)], "evaluation_interval": every, "tests": cases}
    (directory / "cases.yml").write_text(json.dumps(document))
    promtool("test", "rules", directory / "cases.yml")


def silence(silent: int, dead: int) -> list[dict[str, str]]:
    """Samples of 40 sites for four hours: ``dead`` were silent long before, ``silent`` stop after 2 h."""

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
    """Check the number of alerts, of the fleet and of single sites, 90 minutes after the silence began."""
    tests = [
        {
            "expr": f'count(ALERTS{{alertname="{alert}", alertstate="firing"}})',
            "eval_time": "3h30m",
            "exp_samples": [{"labels": "{}", "value": count}] if count else [],
        }
        for alert, count in (("FleetSilent", fleet), ("SiteSilent", sites))
    ]
    judge(directory, RULES, [{"interval": "1m", "input_series": series, "promql_expr_test": tests}])


def test_when_all_fall_silent_it_is_one_alert_and_none_for_each_site(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=FLEET, dead=0), fleet=1, sites=0)


def test_a_small_fleet_that_falls_silent_is_one_alert_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Six sites are never more than ten; the collector groups them into one incident."""
    monkeypatch.setattr(f"{__name__}.FLEET", 6)
    expect_firing(tmp_path, [*silence(silent=6, dead=0), fleet_event("_x124 6+0x115")], fleet=1, sites=0)


@pytest.mark.parametrize("left", [1, 3])
def test_the_last_sites_of_an_incident_of_the_fleet_have_alerts_of_their_own(
    tmp_path: Path, left: int
) -> None:
    expect_firing(tmp_path, [*silence(silent=3, dead=0), fleet_event(f"{left}+0x240")], fleet=0, sites=3)


def fleet_event(sites: str) -> dict[str, str]:
    return {"series": 'qos_upstream_event_sites{level="fleet",job="plancher-collector"}', "values": sites}


def test_a_few_silent_sites_have_an_alert_each(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=3, dead=0), fleet=0, sites=3)


def test_sites_that_are_dead_for_good_do_not_make_the_fleet_silent(tmp_path: Path) -> None:
    expect_firing(tmp_path, silence(silent=3, dead=15), fleet=0, sites=18)


@pytest.mark.parametrize("gauge", ["broker_connected", "ledger_working"])
def test_a_collector_cut_off_does_not_call_the_fleet_silent(tmp_path: Path, gauge: str) -> None:
    cut_off = {"series": f'qos_collector_{gauge}{{job="plancher-collector"}}', "values": "1+0x119 0+0x120"}
    expect_firing(tmp_path, [*silence(silent=FLEET, dead=0), cut_off], fleet=0, sites=0)


@pytest.mark.parametrize("gauge", ["broker_connected", "ledger_working", "hearing"])
def test_every_cause_of_a_blackout_is_an_alert(tmp_path: Path, gauge: str) -> None:
    """A full queue is a blackout although broker and ledger work, and no site is silent meanwhile."""
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
def test_an_alert_of_the_past_ends_and_fires_again_for_more(
    tmp_path: Path, alert: str, series: str, hours: int
) -> None:
    """Sample each hour: one loss at 10:00, and another one 300 hours later."""
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
def test_missing_measurements_of_many_sites_are_one_alert(tmp_path: Path, lacking: int, fleet: bool) -> None:
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
