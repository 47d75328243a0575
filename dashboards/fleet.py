"""Dashboard of the fleet: numbers of sites by state, incidents, and all sites, the worst first."""

from collector.live.site_state import SiteState
from dashboards.builder import Column, Dashboard, Label, Panel, Query, Unit, Variable, stat, table
from dashboards.site import SITE_UID
from dashboards.wording import BUSY, KEPT, LOADED, LOSS, OF_FLOOR, STATES, age, of_floor, sites_in, state_rank

# Names of the drop-downs of the dashboard.
FILTERS = 'departement=~"$departement",category=~"$category",supplier=~"$supplier"'
TO_SITE = f"/d/{SITE_UID}?var-site_id=${{__value.raw}}&${{__url_time_range}}"
LABELS = (
    Label("site_id", "Site", TO_SITE),
    Label("name", "Name"),
    Label("commune", "Commune"),
    Label("departement", "Département"),
    Label("category", "Category"),
    Label("supplier", "Supplier"),
)


def _capacity(direction: str) -> str:
    return f'min by (site_id) (qos_capacity_bits_per_second{{direction="{direction}",{FILTERS}}})'


def _search(direction: str) -> str:
    return f'max by (site_id) (qos_maximum_capacity_bits_per_second{{direction="{direction}",{FILTERS}}})'


COLUMNS = (
    Column("State", state_rank(FILTERS), mappings=STATES),
    Column("Down", _capacity("down"), Unit.BITS_PER_SECOND),
    Column("Down / floor", of_floor("down", FILTERS), Unit.RATIO, OF_FLOOR),
    Column("Up", _capacity("up"), Unit.BITS_PER_SECOND),
    Column("Up / floor", of_floor("up", FILTERS), Unit.RATIO, OF_FLOOR),
    Column("RTT p50", f'max by (site_id) (qos_rtt_seconds{{stat="p50",{FILTERS}}})', Unit.SECONDS),
    Column("Loss", f"max by (site_id) (qos_round_trip_loss_ratio{{{FILTERS}}})", Unit.RATIO, LOSS),
    Column(
        "RTT loaded",
        f'max by (site_id) (qos_rtt_under_load_seconds{{stat="p95",{FILTERS}}})',
        Unit.SECONDS,
        LOADED,
    ),
    Column("Search down", _search("down"), Unit.BITS_PER_SECOND),
    Column("Search up", _search("up"), Unit.BITS_PER_SECOND),
    Column("Classes", f"min by (site_id) (qos_dscp_kept{{{FILTERS}}})", mappings=KEPT),
    Column("Path MTU", f"min by (site_id) (qos_path_mtu_bytes{{{FILTERS}}})"),
    Column("Agent busy", f"max by (site_id) (qos_host_busy_ratio{{{FILTERS}}})", Unit.RATIO, BUSY),
    Column("Age", age(FILTERS), Unit.SECONDS),
)
INCIDENT_LABELS = (Label("incident", "Incident"), Label("level", "Level"), Label("cause", "Cause"))
# An incident has exactly one of the three labels, so their join is its name.
_NAMED = 'label_join({}, "incident", "", "pop", "departement", "peer")'
_BEGIN = _NAMED.format("qos_incident_begin_timestamp_seconds")
INCIDENT_COLUMNS = (
    Column("Sites", f"max by (incident) ({_NAMED.format('qos_incident_sites')})"),
    Column("Since", f"time() - min by (incident) ({_BEGIN})", Unit.SECONDS),
)


def _counts() -> list[Panel]:
    width = 24 // len(STATES)
    return [
        stat(look.text, Query(sites_in(state, FILTERS)), Unit.NONE, colour=look.colour, width=width)
        for state, look in zip(SiteState, STATES, strict=True)
    ]


def dashboard() -> Dashboard:
    """Build the dashboard."""
    rows = f"max by ({', '.join(label.name for label in LABELS)}) (qos_site_info{{{FILTERS}}})"
    return Dashboard(
        uid="plancher-fleet",
        title="Plancher: fleet",
        variables=(
            Variable("departement", "Département", "qos_site_info"),
            Variable("category", "Category", "qos_site_info"),
            Variable("supplier", "Supplier", "qos_site_info"),
        ),
        panels=(
            *_counts(),
            table(
                "Incidents of several sites, now",
                f"max by (incident, level, cause) ({_BEGIN})",
                INCIDENT_LABELS,
                INCIDENT_COLUMNS,
                [("Sites", True)],
                height=6,
            ),
            table("Sites, worst first", rows, LABELS, COLUMNS, [("State", True), ("Down / floor", False)]),
        ),
        since="now-1h",
    )
