"""Outages and incidents with the real program and a real broker."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import structs

from collector.ingest.decode import judge
from collector.ledger.write.writer import Ledger
from tests.brokers import mosquitto
from tests.collector.agents import Agent
from tests.collector.examples import HOUR_US, arrival, outage, payload, stamp
from tests.collector.service.test_service import Collector, now_clock
from tests.processes import free_port, wait_until
from wire.records import Cause, Measurement


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[Collector]:
    with mosquitto(tmp_path) as broker:
        yield Collector(tmp_path, broker.port, free_port())


CUT = [f"C{number}" for number in range(10)]
OTHERS = [f"R{number}" for number in range(11)]


def send(collector: Collector, site: str, *records: Measurement) -> None:
    with Agent(collector.broker, site) as agent:
        agent.publish(payload(*records, site=site, sent=now_clock()))
        wait_until(lambda: bool(agent.receipts), f"the receipt of {site}")


def test_a_pop_that_is_cut_is_an_incident_and_then_an_outage_of_each_site(collector: Collector) -> None:
    rows = [f"{site},Lycée {site},63,Clermont-2" for site in CUT] + [f"{site},Lycée,63," for site in OTHERS]
    (collector.directory / "sites.csv").write_text("\n".join(["site_id,name,departement,pop", *rows]))
    now_us = time.time_ns() // 1000
    begin = now_clock(360_000_000)
    sites_down = 'qos_incident_sites{level="pop",pop="Clermont-2"}'
    with collector.run():
        for site in (*CUT, *OTHERS):
            start = begin if site in CUT else now_clock(1_000_000)
            send(collector, site, stamp(1, start=start))
        wait_until(lambda: collector.metric(sites_down) == 10, "the incident shows")
        assert "10 sites unreachable since" in collector.get("/?lang=en")[1]
        values = structs.replace(outage(2, now_us).values, begin=begin, end=now_clock(), cause=Cause.BEYOND)
        for site in CUT:
            send(
                collector,
                site,
                outage(2, now_us, start=now_clock(), values=values),
                stamp(3, start=now_clock()),
            )
        wait_until(lambda: collector.metric(sites_down) is None, "the incident is over")
    with collector.run():
        wait_until(lambda: "10 sites unreachable from" in collector.get("/?lang=en")[1], "it is restored")
        page = collector.get("/outages?site=C3&lang=en")[1]
        assert "beyond the access line" in page
        assert "POP Clermont-2:" in page
        assert ">C7</a>" in collector.get("/outages?lang=en")[1]
        # Counters begin at 0 with each start, as a restarted program's do.
        assert collector.metric('qos_outages_total{site_id="C3"') is None


def test_no_site_is_silent_for_the_time_before_the_start(collector: Collector) -> None:
    long_ago_us = time.time_ns() // 1000 - 3 * HOUR_US
    ledger = Ledger(collector.directory / "ledger.db")
    alive, dead = stamp(1, long_ago_us), stamp(1, long_ago_us - HOUR_US)
    ledger.commit([judge(arrival(alive, site="alive", received_us=long_ago_us))])
    ledger.commit([judge(arrival(dead, site="dead", received_us=long_ago_us))])
    ledger.close()
    (collector.directory / "sites.csv").write_text("site_id,name\nalive,A\ndead,B\n")
    with collector.run():
        labels = 'category="unknown",departement="unknown",pop="unknown",supplier="unknown",state="silent"'
        assert collector.metric(f'qos_site_state{{site_id="alive",{labels}}}') == 0
        assert collector.metric(f'qos_site_state{{site_id="dead",{labels}}}') == 1  # it was before
