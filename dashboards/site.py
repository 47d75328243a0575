"""Dashboard of one site: capacity and floor, latency, classes, traffic, path, and the instruments."""

from dashboards.builder import Dashboard, Panel, Query, Unit, Variable, stat, state_timeline, time_series
from dashboards.wording import KEPT, OF_FLOOR, REACHED, STANDINGS, STATES, VERDICTS, age, of_floor, state_rank

SITE_UID = "plancher-site"
SITE = 'site_id="$site_id"'
FLOOR = "floor"


def _capacity(title: str, direction: str) -> Panel:
    capacity = f'qos_capacity_bits_per_second{{direction="{direction}",{SITE},bound='
    queries = [
        Query(f'max({capacity}"exact"}})', "capacity"),
        Query(f'max({capacity}"at_least"}})', "at least"),
        Query(
            f'max by (bound) (qos_maximum_capacity_bits_per_second{{direction="{direction}",{SITE}}})',
            "search, bound: {{bound}}",
        ),
        Query(f'max(qos_floor_bits_per_second{{direction="{direction}",{SITE}}})', FLOOR),
    ]
    return time_series(title, queries, Unit.BITS_PER_SECOND, floor_of=FLOOR)


def _summary() -> list[Panel]:
    rtt = f'max by (site_id) (qos_rtt_seconds{{stat="p50",{SITE}}})'
    loss = f"max by (site_id) (qos_round_trip_loss_ratio{{{SITE}}})"
    return [
        stat("State", Query(state_rank(SITE)), Unit.NONE, mappings=STATES),
        stat("Down / floor", Query(of_floor("down", SITE)), Unit.RATIO, thresholds=OF_FLOOR),
        stat("Up / floor", Query(of_floor("up", SITE)), Unit.RATIO, thresholds=OF_FLOOR),
        stat("RTT p50, worst class", Query(rtt), Unit.SECONDS),
        stat("Loss, worst class", Query(loss), Unit.RATIO),
        stat("Newest measurement, age", Query(age(SITE)), Unit.SECONDS),
    ]


def _latency() -> list[Panel]:
    rtt = Query(f"max by (dscp, stat) (qos_rtt_seconds{{{SITE}}})", "DSCP {{dscp}} {{stat}}")
    variation = Query(
        f'max by (dscp, direction) (qos_delay_variation_seconds{{stat="p95",{SITE}}})',
        "DSCP {{dscp}} {{direction}}",
    )
    loss = [
        Query(f"max by (dscp, direction) (qos_loss_ratio{{{SITE}}})", "DSCP {{dscp}} {{direction}}"),
        Query(f"max by (dscp) (qos_round_trip_loss_ratio{{{SITE}}})", "DSCP {{dscp}} round trip"),
    ]
    return [
        time_series("Round-trip time by DSCP class", [rtt], Unit.SECONDS, width=24),
        time_series("Packet loss", loss, Unit.RATIO),
        time_series("Delay variation, 95th percentile", [variation], Unit.SECONDS),
    ]


def _standing() -> Panel:
    condemned, suspect = (
        f'qos_floor_standing{{standing="{standing}",{SITE}}}' for standing in ("condemned", "suspect")
    )
    # Numbers of wording.STANDINGS: condemned 2, suspect 1.
    rank = f"max by (direction) (2 * {condemned} or {suspect})"
    return state_timeline("Standing against the floor", [Query(rank, "{{direction}}")], STANDINGS)


def _outages() -> list[Panel]:
    open_now = Query(
        f"max by (cause) (time() - qos_outage_begin_timestamp_seconds{{{SITE}}})", "now: {{cause}}"
    )
    duration = Query(f"sum by (cause) (increase(qos_outage_seconds_total{{{SITE}}}[1d]))", "{{cause}}")
    count = Query(f"sum by (cause) (increase(qos_outages_total{{{SITE}}}[1d]))", "{{cause}}")
    return [
        time_series("Open outage: duration", [open_now], Unit.SECONDS, width=8),
        time_series("Ended outages, duration a day", [duration], Unit.SECONDS, width=8),
        time_series("Ended outages, number a day", [count], Unit.NONE, width=8),
    ]


def _load() -> list[Panel]:
    labels = "max by (direction, load, stat)"
    loaded = Query(
        f"{labels} (qos_rtt_under_load_seconds{{{SITE}}})", "{{direction}} {{load}} {{stat}} loaded"
    )
    idle = Query(f"{labels} (qos_rtt_before_load_seconds{{{SITE}}})", "{{direction}} {{load}} {{stat}} idle")
    loss = Query(f"max by (direction, load) (qos_loss_under_load_ratio{{{SITE}}})", "{{direction}} {{load}}")
    return [
        time_series("Round-trip time under load, and idle before it", [loaded, idle], Unit.SECONDS, width=16),
        time_series("Loss under load", [loss], Unit.RATIO, width=8),
    ]


def _classes() -> Panel:
    kept = Query(f"min by (dscp, direction) (qos_dscp_kept{{{SITE}}})", "DSCP {{dscp}} {{direction}}")
    return state_timeline("Classes of service: kept or changed", [kept], KEPT)


def _interface() -> list[Panel]:
    traffic = [
        Query(
            f"max by (direction, stat) (qos_interface_bits_per_second{{{SITE}}})", "{{direction}} {{stat}}"
        ),
        Query(f"max(qos_interface_speed_bits_per_second{{{SITE}}})", "link"),
    ]
    refused = [
        Query(
            f"sum by (direction) (increase(qos_interface_{kind}_total{{{SITE}}}[10m]))",
            f"{kind} {{{{direction}}}}",
        )
        for kind in ("errors", "drops")
    ]
    carrier = [
        Query(f"sum(increase(qos_interface_carrier_losses_total{{{SITE}}}[10m]))", "carrier lost"),
        Query(f"1 - min(qos_interface_carrier{{{SITE}}})", "link down now"),
    ]
    return [
        time_series("The site's own traffic", traffic, Unit.BITS_PER_SECOND),
        time_series("Errors and drops of the interface, in 10 minutes", [*refused, *carrier], Unit.NONE),
    ]


def _path() -> list[Panel]:
    by_class = "max by (dscp)"
    figures = [
        Query(f"{by_class} (qos_path_hops{{{SITE}}})", "DSCP {{dscp}} hops"),
        Query(f"{by_class} (qos_path_dscp_changed_hop{{{SITE}}})", "DSCP {{dscp}} changed at hop"),
    ]
    mtu = [Query(f"min by (dscp, direction) (qos_path_mtu_bytes{{{SITE}}})", "DSCP {{dscp}} {{direction}}")]
    reached = [
        Query(
            # Numbers of wording.REACHED: 2 reached, 1 reached with a black hole, 0 not reached.
            f"min by (dscp) (qos_path_reached{{{SITE}}} * (2 - qos_path_black_hole{{{SITE}}}))",
            "DSCP {{dscp}}",
        )
    ]
    return [
        time_series("Path: hops", figures, Unit.NONE),
        time_series("Path: largest packet, bytes", mtu, Unit.NONE),
        state_timeline("Path: peer reached, also by large packets", reached, REACHED),
    ]


def _instrument() -> list[Panel]:
    comparisons = Query(f"sum by (result) (increase(qos_peer_comparisons_total{{{SITE}}}[1d]))", "{{result}}")
    difference = Query(
        f"max by (direction) (qos_peer_comparison_disagreement_ratio{{{SITE}}})", "{{direction}}"
    )
    busy = Query(f"max(qos_host_busy_ratio{{{SITE}}})", "busy")
    budget = Query(f"max by (probe, direction) (qos_budget_spent{{{SITE}}})", "{{probe}} {{direction}}")
    return [
        time_series("Peer comparisons, a day", [comparisons], Unit.NONE, width=6),
        time_series("Last disagreement of agent and peer", [difference], Unit.RATIO, width=6),
        time_series("Load of the agent's machine", [busy], Unit.RATIO, width=6),
        time_series("Searches skipped: byte budget spent", [budget], Unit.NONE, width=6),
    ]


def dashboard() -> Dashboard:
    """Build the dashboard."""
    verdicts = [Query(f"min by (direction) (qos_floor_pass{{{SITE}}})", "{{direction}}")]
    return Dashboard(
        uid=SITE_UID,
        title="Plancher: one site against its floor",
        variables=(Variable("site_id", "Site", "qos_site_info", several=False),),
        panels=(
            *_summary(),
            _capacity("Down: capacity against the floor", "down"),
            _capacity("Up: capacity against the floor", "up"),
            _standing(),
            state_timeline("Floor verdicts", verdicts, VERDICTS),
            *_outages(),
            *_latency(),
            *_load(),
            _classes(),
            *_interface(),
            *_path(),
            *_instrument(),
        ),
        since="now-7d",
    )
