from pathlib import Path

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from collector.kinds.views import STALE_INTERVALS
from collector.live.fleet import Fleet
from collector.live.site_state import SiteState
from collector.metrics import exposition as exposition_module
from collector.metrics.exposition import Exposition
from collector.metrics.families import FAMILIES
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Site
from collector.model.peer_comparison import ComparedTest, ComparisonResult
from tests.collector.examples import (
    HOUR_US,
    MINUTE_US,
    NOW_US,
    SITE,
    capacity,
    dns,
    failed,
    floor,
    floor_values,
    interface,
    outage,
    path,
    seen,
    spread,
    stamp,
    stamp_values,
    under_load,
)
from wire.messages.envelope import PresenceState
from wire.records import (
    Cause,
    Direction,
    Failure,
    HostLoad,
    LineCounters,
    Measurement,
    Outcome,
    Standing,
    Verdict,
)

GOLDEN = Path(__file__).with_name("golden_metrics.txt")
LYCEE = Site(
    SITE,
    'Lycée "Blaise"\\Pascal',
    "lycée",
    "63",
    "Clermont",
    "pop-1",
    "Opérateur A",
    45.77,
    3.08,
    8_000_000,
    4_000_000,
)
NEVER = Site("0030025L", "Never seen")
SUSPECT = msgspec.structs.replace(
    floor_values(Verdict.FAIL, 3.4e6, 3.55e6), standing=Standing.SUSPECT, under_load=under_load()
)
REMARKED = msgspec.structs.replace(stamp_values(), forward_dscp=0, requested_dscp=34, reply_dscp=34)


def fleet() -> Fleet:
    """A site with everything, one never seen, one that nobody announced."""
    made = Fleet({SITE: LYCEE, NEVER.site_id: NEVER})
    with_delay = msgspec.structs.replace(stamp_values(12_000), delay_forward=spread(6000))
    records = [
        floor(1, values=floor_values(Verdict.PASS, 7.97e6)),
        floor(2, values=SUSPECT, direction=Direction.UP, host=HostLoad(busy_ratio=0.25)),
        stamp(3, values=with_delay),
        stamp(4, dscp=0, values=stamp_values(31_000, loss=0.05)),
        failed(5, NOW_US + 1),
        capacity(7),
        capacity(
            8, direction=Direction.UP, outcome=Outcome.SKIPPED, failure=Failure.BUDGET_SPENT, values=None
        ),
        interface(9),
        path(10),
        stamp(11, dscp=34, values=REMARKED),
        outage(12, NOW_US - 20 * MINUTE_US, NOW_US - 9 * MINUTE_US),
        dns(14),
        outage(13, NOW_US + 2, cause=Cause.PEER, name="outage-2"),
    ]
    made.learn([seen(record, order) for order, record in enumerate(records)], NOW_US)
    made.learn([seen(floor(6, NOW_US - 9 * HOUR_US), 6, received_us=NOW_US)], NOW_US)
    made.learn([seen(stamp(1), 7, site="unannounced")], NOW_US)
    for result, difference in ((ComparisonResult.AGREE, 0.001), (ComparisonResult.DISAGREE, 0.25)):
        made.learn_comparisons(
            [ComparedTest("pop-1", SITE, Direction.DOWN, NOW_US, result, difference)], NOW_US
        )
    lost = {"dropped": 40, "damaged": 2}
    made.learn_completeness(
        [SiteCompleteness(SITE, 900, 7, 3, lost, 1, 1), SiteCompleteness(NEVER.site_id, 5, pending=1)]
    )
    made.set_presence(SITE, PresenceState.ONLINE)
    made.set_presence("unannounced", PresenceState.CONNECTION_LOST)
    return made


def page(sites: Fleet, now_us: int = NOW_US) -> str:
    exposition = Exposition()
    for site in sites:
        exposition.update(site, now_us)
    return b"".join(exposition.pieces()).decode()


def samples(text: str, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {
        tuple(sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_the_page_is_the_golden_one() -> None:
    assert page(fleet()) == GOLDEN.read_text(encoding="utf-8")


def test_every_series_carries_the_labels_of_its_site_and_no_timestamp() -> None:
    for line in page(fleet()).splitlines():
        if not line.startswith("#"):
            labels, _, value = line.rpartition(" ")
            assert float(value) >= 0
            assert labels.endswith("}")
            for name in ("site_id", "category", "departement", "pop", "supplier"):
                assert f'{name}="' in labels


def test_label_values_come_back_as_they_were() -> None:
    (labels,) = [
        dict(found) for found in samples(page(fleet()), "qos_site_info") if ("site_id", SITE) in found
    ]
    assert (labels["name"], labels["supplier"], labels["lat"]) == (
        'Lycée "Blaise"\\Pascal',
        "Opérateur A",
        "45.77",
    )


def test_every_site_is_exposed_and_in_exactly_one_state() -> None:
    found = samples(page(fleet()), "qos_site_state")
    assert len(found) == 3 * len(SiteState)
    now = {(dict(labels)["site_id"], dict(labels)["state"]) for labels, value in found.items() if value}
    assert now == {(SITE, "suspect"), ("0030025L", "waiting"), ("unannounced", "not-in-inventory")}


GAUGES_OF_STAMP = (
    "qos_rtt_seconds",
    "qos_delay_variation_seconds",
    "qos_loss_ratio",
    "qos_round_trip_loss_ratio",
)
GAUGES_OF_FLOOR = (
    "qos_floor_pass",
    "qos_floor_standing",
    "qos_capacity_bits_per_second",
    "qos_rtt_under_load_seconds",
    "qos_rtt_before_load_seconds",
)
UNUSABLE = msgspec.structs.replace(SUSPECT, line_counters=LineCounters.UNUSABLE)


@pytest.mark.parametrize(("record", "interval_us", "gauges"), [
    (stamp(1, values=REMARKED), MINUTE_US, (*GAUGES_OF_STAMP, "qos_dscp_kept")),
    (floor(1, values=SUSPECT), HOUR_US, GAUGES_OF_FLOOR),
    (floor(1, values=UNUSABLE), HOUR_US, ("qos_line_counters_usable",)),
    (capacity(1), 30 * 24 * HOUR_US, ("qos_maximum_capacity_bits_per_second", "qos_budget_spent")),
    (interface(1), MINUTE_US, ("qos_interface_bits_per_second", "qos_interface_carrier")),
    (path(1), 24 * HOUR_US, ("qos_path_hops", "qos_path_reached", "qos_path_mtu_bytes")),
    (dns(1), 5 * MINUTE_US, ("qos_dns_answer_seconds", "qos_dns_failed_names", "qos_dns_names")),
    (floor(1, host=HostLoad(busy_ratio=0.5)), HOUR_US, ("qos_host_busy_ratio",)),
])  # fmt: skip
def test_a_gauge_too_old_disappears_and_its_timestamp_stays(
    record: Measurement, interval_us: int, gauges: tuple[str, ...]
) -> None:
    made = Fleet({SITE: LYCEE})
    made.learn([seen(record)], NOW_US)
    end_us = NOW_US + STALE_INTERVALS * interval_us
    for gauge in gauges:
        assert samples(page(made, end_us - 1), gauge), gauge
        assert not samples(page(made, end_us), gauge), gauge
    (stamp_value,) = samples(page(made, end_us), "qos_measurement_timestamp_seconds").values()
    assert stamp_value == NOW_US / 1e6


def test_a_site_that_is_gone_is_exposed_no_more() -> None:
    exposition, made = Exposition(), fleet()
    for site in made:
        exposition.update(site, NOW_US)
    exposition.keep_only([SITE])
    text = b"".join(exposition.pieces()).decode()
    assert {dict(found)["site_id"] for found in samples(text, "qos_site_info")} == {SITE}


def test_families_stand_once_with_help_and_type() -> None:
    text = page(fleet())
    for family in FAMILIES:
        assert (
            text.count(f"# HELP {family.name} ") == text.count(f"# TYPE {family.name} {family.kind}\n") == 1
        )


def test_what_an_interface_refused_is_summed_and_a_backlog_left_out() -> None:
    made = Fleet({SITE: LYCEE})
    records = [interface(1), interface(2, NOW_US + 1), interface(3, NOW_US - HOUR_US)]
    made.learn([seen(record, order, received_us=NOW_US) for order, record in enumerate(records)], NOW_US)
    found = samples(page(made), "qos_interface_errors_total")
    assert [(dict(labels)["direction"], value) for labels, value in found.items()] == [("down", 6)]


def test_series_that_differ_in_nothing_told_stand_once() -> None:
    made = Fleet({SITE: LYCEE})
    made.learn([seen(interface(1), 1), seen(interface(2, direction=Direction.UP), 2)], NOW_US)
    assert page(made).count("\nqos_interface_carrier{") == 1


def test_a_reply_that_the_peer_would_not_send_in_the_class_says_nothing_of_the_line() -> None:
    made = Fleet({SITE: LYCEE})
    refused = msgspec.structs.replace(REMARKED, reply_refused=True, reply_dscp=0)
    made.learn([seen(stamp(1, dscp=34, values=refused))], NOW_US)
    found = samples(page(made), "qos_dscp_kept")
    assert [(dict(labels)["direction"], value) for labels, value in found.items()] == [("up", 0)]


def test_the_page_is_the_same_from_blocks_kept_and_from_blocks_made_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(exposition_module, "BLOCK_SITES", 2)
    kept, made = Exposition(), fleet()
    for site in made:
        kept.update(site, NOW_US)
    before = b"".join(kept.pieces()).decode()
    assert before == page(made)
    made.learn([seen(stamp(90, NOW_US + 5, stamp_values(77_000)), 90, site="unannounced")], NOW_US + 5)
    (changed,) = [site for site in made if site.site_id == "unannounced"]
    kept.update(changed, NOW_US)
    assert b"".join(kept.pieces()).decode() == page(made) != before
