"""One site against its floor."""

from dashboards.builder import Dashboard, Panel, Query, Unit, Variable, stat, state_timeline, time_series
from dashboards.wording import OF_FLOOR, STATES, VERDICTS, age, of_floor, state_rank

SITE_UID = "plancher-site"
SITE = 'site_id="$site_id"'
FLOOR = "floor"


def _capacity(title: str, direction: str) -> Panel:
    capacity = f'qos_capacity_bits_per_second{{direction="{direction}",{SITE},bound='
    queries = [
        Query(f'max({capacity}"exact"}})', "capacity"),
        Query(f'max({capacity}"at_least"}})', "at least"),
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
        Query(f"max by (dscp) (qos_round_trip_loss_ratio{{{SITE}}})", "DSCP {{dscp}} both ways"),
    ]
    return [
        time_series("Round-trip time by DSCP class", [rtt], Unit.SECONDS, width=24),
        time_series("Packet loss", loss, Unit.RATIO),
        time_series("Delay variation, 95th percentile", [variation], Unit.SECONDS),
    ]


def dashboard() -> Dashboard:
    """Present state, capacity against the floor, verdicts, latency, loss and delay variation."""
    verdicts = [Query(f"min by (direction) (qos_floor_pass{{{SITE}}})", "{{direction}}")]
    return Dashboard(
        uid=SITE_UID,
        title="Plancher: one site against its floor",
        variables=(Variable("site_id", "Site", "qos_site_info", several=False),),
        panels=(
            *_summary(),
            _capacity("Down: capacity against the floor", "down"),
            _capacity("Up: capacity against the floor", "up"),
            state_timeline("Floor verdicts", verdicts, VERDICTS),
            *_latency(),
        ),
        since="now-7d",
    )
