"""Words and colours of states, verdicts and ratios, the same on every dashboard."""

from collector.live.site_state import SiteState
from dashboards.builder import Colour, Mapping, Threshold

_STATES = {
    SiteState.BELOW_FLOOR: ("below floor", Colour.RED),
    SiteState.SILENT: ("silent", Colour.ORANGE),
    SiteState.SUSPECT: ("suspect", Colour.YELLOW),
    SiteState.WAITING: ("waiting", Colour.BLUE),
    SiteState.NOT_IN_INVENTORY: ("not in inventory", Colour.GREY),
    SiteState.OK: ("ok", Colour.GREEN),
}
# The collector lists states worst first. Here the worst has the greatest number, because tables sort by it.
_RANKS = {state: len(SiteState) - place for place, state in enumerate(SiteState, start=1)}

STATES = tuple(Mapping(_RANKS[state], *_STATES[state]) for state in SiteState)
STANDINGS = (
    Mapping(0, "clear", Colour.GREEN),
    Mapping(1, "suspect", Colour.YELLOW),
    Mapping(2, "condemned", Colour.RED),
)
KEPT = (Mapping(0, "changed", Colour.ORANGE), Mapping(1, "kept", Colour.GREEN))
REACHED = (
    Mapping(0, "not reached", Colour.RED),
    Mapping(1, "reached, black hole", Colour.ORANGE),
    Mapping(2, "reached", Colour.GREEN),
)
BUSY = (Threshold(None, Colour.GREEN), Threshold(0.7, Colour.YELLOW), Threshold(0.9, Colour.RED))
# Telephony suffers from 150 ms one way (ITU-T G.114): twice that is the round trip.
LOADED = (Threshold(None, Colour.GREEN), Threshold(0.15, Colour.YELLOW), Threshold(0.3, Colour.RED))
VERDICTS = (Mapping(0, "fail", Colour.RED), Mapping(1, "pass", Colour.GREEN))
# The floor decision: fail at 0.98 of the floor and below, pass from 0.99 on.
OF_FLOOR = (Threshold(None, Colour.RED), Threshold(0.98, Colour.YELLOW), Threshold(0.99, Colour.GREEN))
LOSS = (Threshold(None, Colour.GREEN), Threshold(0.005, Colour.YELLOW), Threshold(0.02, Colour.RED))


def state_rank(filters: str) -> str:
    """PromQL of each site's state as a number, 0 for the best; ``STATES`` has the words."""
    ranked = " or ".join(
        f'{rank} * qos_site_state{{state="{state}",{filters}}}' for state, rank in _RANKS.items()
    )
    return f"max by (site_id) ({ranked})"


def sites_in(state: SiteState, filters: str) -> str:
    """PromQL of the number of sites in this state."""
    return f'count(qos_site_state{{state="{state}",{filters}}} == 1) or vector(0)'


def of_floor(direction: str, filters: str) -> str:
    """PromQL of the last capacity in this direction, as a ratio of the site's floor."""
    labels = f'{{direction="{direction}",{filters}}}'
    return (
        f"min by (site_id) (qos_capacity_bits_per_second{labels}"
        f" / ignoring (bound) group_left () qos_floor_bits_per_second{labels})"
    )


def age(filters: str) -> str:
    """PromQL of the seconds since the newest measurement of a site."""
    return f"time() - max by (site_id) (qos_measurement_timestamp_seconds{{{filters}}})"
