"""Shipped configuration as a whole: real broker, collector, Prometheus and Alertmanager, and two sites.

Only ports, paths and the scrape interval are changed: one scrape a minute is too slow for a test.
"""

import asyncio
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from msgspec import structs

from collector.certificates.authority import COLLECTOR, PEER, Authority
from dashboards.__main__ import DASHBOARDS
from dashboards.wording import STATES, state_rank
from tests.collector import examples
from tests.dashboards import expressions
from tests.deploy.shipped_broker import LIMIT_S, Broker, shipped_broker
from tests.processes import free_port, running, wait_until
from tests.servers import require
from wire.messages.topics import Kind, PeerKind, peer_topic, topic
from wire.records import Cause, Direction, FloorValues, HostLoad, Measurement, Standing, Verdict

DEPLOY = Path(__file__).parents[2] / "deploy"
FINE, BELOW = "0631234A", "15-fromagerie-salers"
CAPACITY_BPS = 6_500_000.0
INVENTORY = f"""site_id,name,category,departement,commune,pop,supplier,floor_down,floor_up
{FINE},Lycée Blaise-Pascal,lycée,63,Clermont-Ferrand,pop-clermont,Opérateur A,8 Mbit/s,8 Mbit/s
{BELOW},Fromagerie de Salers,entreprise,15,Salers,pop-aurillac,Opérateur C,8 Mbit/s,8 Mbit/s
"""
FILTERS = {"departement": ".*", "category": ".*", "supplier": ".*"}


def get(port: int, path: str, **query: str) -> Any:
    """Return the JSON of a server on this machine."""
    url = f"http://127.0.0.1:{port}{path}?{urllib.parse.urlencode(query)}"
    with urllib.request.urlopen(url, timeout=10) as response:
        return json.loads(response.read())


def answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=2) as response:
            return bool(response.status == 200)
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Prometheus:
    port: int

    def query(self, expression: str) -> list[Any]:
        """Return the series of an instant query, with labels and values."""
        result: list[Any] = get(self.port, "/api/v1/query", query=expression)["data"]["result"]
        return result

    def value(self, expression: str) -> float:
        """Wait for the single value of a query."""
        wait_until(lambda: len(self.query(expression)) == 1, expression)
        return float(self.query(expression)[0]["value"][1])


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    sites = Authority(tmp_path_factory.mktemp("sites")).make()
    with shipped_broker(tmp_path_factory.mktemp("broker"), (FINE, BELOW, COLLECTOR, PEER), sites) as broker:
        yield broker


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, broker: Broker) -> Iterator[int]:
    """Run the collector until it has the measurements of two sites; return its port."""
    directory, port = tmp_path_factory.mktemp("collector"), free_port()
    (directory / "sites.csv").write_text(INVENTORY)
    password = directory / "password"
    password.write_text(COLLECTOR)
    password.chmod(0o600)
    settings = {
        "inventory": str(directory / "sites.csv"),
        "broker": {"port": broker.port, "username": COLLECTOR, "password_file": str(password)},
        "ledger": {"path": str(directory / "ledger.db")},
        "web": {"port": port},
    }
    (directory / "collector.yaml").write_text(json.dumps(settings))
    command: list[str | Path] = [sys.executable, "-m", "collector", "run", directory / "collector.yaml"]
    with running(command, lambda: answers(port, "/readyz"), directory / "log"):
        asyncio.run(measure(broker))
        yield port


async def measure(broker: Broker) -> None:
    """Publish measurements of every probe for both sites, and the peer's records."""
    now_us = time.time_ns() // 1000 - 5_000_000
    good = structs.replace(examples.floor_values(), under_load=examples.under_load(), standing=Standing.CLEAR)
    fails = structs.replace(
        examples.floor_values(Verdict.FAIL, 6_400_000.0, CAPACITY_BPS),
        under_load=examples.under_load(),
        standing=Standing.CONDEMNED,
    )
    for site, values in ((FINE, good), (BELOW, fails)):
        sent = examples.clock(now_us)
        peer = "peer" if site == FINE else "another"
        payload = examples.payload(*every_kind(now_us, values, peer), site=site, sent=sent)
        async with asyncio.timeout(LIMIT_S), broker.client(site) as client:
            await client.subscribe(topic(site, Kind.RECEIPTS), qos=1)
            await client.publish(topic(site, Kind.RESULTS), payload, qos=1)
            assert b'"committed"' in bytes(str((await anext(aiter(client.messages))).payload), "utf-8")
    contradicting = examples.peer_test(now_us, sent_packets=2_000, sent_bytes=3_000_000)
    told = examples.payload(contradicting, site="peer", sent=examples.clock(now_us))
    async with asyncio.timeout(LIMIT_S), broker.client(PEER) as client:
        await client.subscribe(peer_topic("peer", PeerKind.RECEIPTS), qos=1)
        await client.publish(peer_topic("peer", PeerKind.TESTS), told, qos=1)
        await anext(aiter(client.messages))


def every_kind(now_us: int, values: FloorValues, peer: str) -> list[Measurement]:
    """Return one measurement of each probe, in both directions where it has one."""
    busy = HostLoad(busy_ratio=0.25, load_1min=0.5)
    trains = structs.replace(examples.stamp_values(), forward_dscp=46, reply_dscp=46, requested_dscp=46)
    changed = structs.replace(examples.path_values(), return_mtu_bytes=1400)
    return [
        examples.stamp(1, now_us, trains, host=busy),
        examples.floor(2, now_us, values, Direction.DOWN, peer=peer),
        examples.floor(3, now_us, values, Direction.UP, peer=peer),
        examples.capacity(4, now_us),
        examples.capacity(5, now_us, direction=Direction.UP),
        examples.interface(6, now_us),
        examples.path(7, now_us, changed),
        examples.outage(8, now_us - 120_000_000, now_us - 60_000_000),
        examples.outage(9, now_us + 1, cause=Cause.PEER, name="outage-2"),
    ]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, collector: int) -> Iterator[Prometheus]:
    program = require("prometheus")
    directory, port = tmp_path_factory.mktemp("prometheus"), free_port()
    shipped = DEPLOY / "prometheus" / "prometheus.yml"
    document = yaml.safe_load(shipped.read_text())
    document["global"] |= {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}
    document["rule_files"] = [str((shipped.parent / path).resolve()) for path in document["rule_files"]]
    document["scrape_configs"][0]["static_configs"] = [{"targets": [f"127.0.0.1:{collector}"]}]
    del document["alerting"]
    (directory / "prometheus.yml").write_text(json.dumps(document))
    command: list[str | Path] = [
        program,
        f"--config.file={directory / 'prometheus.yml'}",
        f"--storage.tsdb.path={directory / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with running(command, lambda: answers(port, "/-/ready"), directory / "log"):
        found = Prometheus(port)
        wait_until(lambda: found.query('up{job="plancher-collector"} == 1') != [], "a scrape")
        yield found


def test_prometheus_answers_a_query_for_the_capacity_of_a_site(prometheus: Prometheus) -> None:
    labels = f'{{site_id="{BELOW}",direction="down",bound="exact"}}'
    assert prometheus.value(f"qos_capacity_bits_per_second{labels}") == CAPACITY_BPS
    (series,) = prometheus.query(f"qos_capacity_bits_per_second{labels}")
    assert series["metric"]["supplier"] == "Opérateur C"
    assert prometheus.value(f'qos_floor_bits_per_second{{site_id="{BELOW}",direction="down"}}') == 8e6


def test_the_scrape_of_the_real_page_is_complete(prometheus: Prometheus) -> None:
    (target,) = get(prometheus.port, "/api/v1/targets", state="active")["data"]["activeTargets"]
    assert target["lastError"] == ""
    states = f'qos_site_state{{site_id="{BELOW}",state="below-floor"}}'
    assert prometheus.value(states) == 1


@pytest.mark.parametrize("expression", dict.fromkeys(expressions.of_dashboards()))
def test_every_expression_of_the_dashboards_finds_something(prometheus: Prometheus, expression: str) -> None:
    sites = [expressions.filled_in(expression, FILTERS | {"site_id": site}) for site in (FINE, BELOW)]
    if "qos_incident" in expression:  # of two sites there is none
        assert prometheus.query(sites[0]) == []
        return
    wait_until(lambda: any(prometheus.query(filled) for filled in sites), expression)


def test_every_drop_down_has_an_entry(prometheus: Prometheus) -> None:
    for variable in (found for dashboard in DASHBOARDS for found in expressions.variables(dashboard)):
        label = variable["name"]
        values = get(prometheus.port, f"/api/v1/label/{label}/values", **{"match[]": "qos_site_info"})["data"]
        assert len(values) == 2, label


def test_the_site_below_its_floor_ranks_before_the_other(prometheus: Prometheus) -> None:
    ranks = {site: prometheus.value(state_rank(f'site_id="{site}"')) for site in (FINE, BELOW)}
    assert ranks[BELOW] == max(mapping.value for mapping in STATES)
    assert ranks[FINE] == min(mapping.value for mapping in STATES)


def test_the_rules_are_loaded_and_healthy_and_no_alert_fires(prometheus: Prometheus) -> None:
    def rules() -> list[dict[str, Any]]:
        groups = get(prometheus.port, "/api/v1/rules")["data"]["groups"]
        return [rule for group in groups for rule in group["rules"]]

    wait_until(lambda: all(rule["health"] != "unknown" for rule in rules()), "every rule evaluated")
    assert {rule["health"] for rule in rules()} == {"ok"}
    assert len(rules()) == sum(
        len(group["rules"]) for group in yaml.safe_load(expressions.RULES.read_text())["groups"]
    )
    assert prometheus.query('ALERTS{alertstate="firing"}') == []
    assert prometheus.value("fleet:qos_silent_sites:count") == 0


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[int]:
    """Run one for each test: raised alerts stay."""
    program = require("prometheus-alertmanager")
    directory, port = tmp_path, free_port()
    command: list[str | Path] = [
        program,
        f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={directory}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with running(command, lambda: answers(port, "/-/ready"), directory / "log"):
        yield port


def raise_alerts(port: int, *labels: dict[str, str]) -> None:
    body = json.dumps([{"labels": each} for each in labels]).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/api/v2/alerts", body, headers)
    with urllib.request.urlopen(request, timeout=10) as response:
        assert response.status == 200


def suppressed(port: int) -> dict[tuple[str, str], bool]:
    """Return by alert and site whether it is inhibited by another alert."""
    return {
        (alert["labels"]["alertname"], alert["labels"].get("site_id", "")): alert["status"]["state"]
        == "suppressed"
        for alert in get(port, "/api/v2/alerts")
    }


def test_an_alert_of_the_service_inhibits_those_of_the_sites(alertmanager: int) -> None:
    silent, below = ({"alertname": name, "site_id": FINE} for name in ("SiteSilent", "SiteBelowFloor"))
    raise_alerts(alertmanager, silent, below, {"alertname": "SiteBelowFloor", "site_id": BELOW})
    by_site = {("SiteSilent", FINE): False, ("SiteBelowFloor", FINE): True, ("SiteBelowFloor", BELOW): False}
    wait_until(lambda: suppressed(alertmanager) == by_site, "a silent site's floor is no news")
    raise_alerts(alertmanager, {"alertname": "CollectorDown"})
    all_but_one = dict.fromkeys(by_site, True) | {("CollectorDown", ""): False}
    wait_until(lambda: suppressed(alertmanager) == all_but_one, "the collector speaks for all")


def test_an_incident_inhibits_the_other_alerts_of_its_place(alertmanager: int) -> None:
    places = {"E1": {"pop": "P1"}, "E2": {"pop": "P2"}, "E3": {"pop": "P3", "departement": "48"}}
    sites = [{"alertname": "SiteSilent", "site_id": site, **where} for site, where in places.items()]
    peers = [{"alertname": "PeerReportsNothing", "peer": peer, "site_id": peer} for peer in ("dead", "mute")]
    incident = {"alertname": "MultiSiteIncident"}
    raise_alerts(
        alertmanager,
        *sites,
        *peers,
        {**incident, "level": "pop", "pop": "P1"},
        {**incident, "level": "departement", "departement": "48"},
        {**incident, "level": "peer", "peer": "dead"},
    )
    expected = {("SiteSilent", "E1"): True, ("SiteSilent", "E2"): False, ("SiteSilent", "E3"): True}
    expected |= {("PeerReportsNothing", "dead"): True, ("PeerReportsNothing", "mute"): False}
    expected |= {("MultiSiteIncident", ""): False}
    wait_until(lambda: suppressed(alertmanager) == expected, "an event speaks for its place, and no other")
