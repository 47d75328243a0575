"""Outages of one site in live state, as :mod:`collector.incidents.correlation` needs them. Pure.

| source            | outage                                                                          |
|-------------------|---------------------------------------------------------------------------------|
| the agent         | each outage that it reported and that lasts, or ended within the last day       |
| silence           | from the newest measurement on, while the site is silent                        |
| unanswered trains | the peer answered once and no longer does, while the measurements still arrive  |

A silent site has no outage of silence if its agent already reported what is wrong, except with the peer
alone. Sites outside the inventory have no outages: nobody expects them to measure.
"""

from collector.incidents.correlation import DATABLE_US, SiteOutage, SitePlace
from collector.kinds import PROVES_LINE
from collector.kinds.views import is_fresh
from collector.live.site_state import LiveSite, SiteState, densest_us
from collector.model.outages import KEPT_US, Outage, effective_end_us
from wire.records import Cause, Failure

UNANSWERED = frozenset({Failure.NO_ANSWER, Failure.PEER_REFUSED})


def healthy_us(site: LiveSite) -> int | None:
    """Time of the newest successful measurement over the line."""
    found = (state.valued for series, state in site.series.items() if series.probe in PROVES_LINE)
    return max((seen.time_us for seen in found if seen is not None), default=None)


def end_us(site: LiveSite, outage: Outage) -> int | None:
    """End of an outage as far as live state knows, or None while it is open."""
    # Any scheduled measurement shows that a stopped agent runs again.
    sign_us = site.newest_us if outage.cause is Cause.AGENT else healthy_us(site)
    return effective_end_us(outage, sign_us)


def open_outage(site: LiveSite) -> Outage | None:
    """Newest reported outage that is still open, or None."""
    lasting = [outage for outage in site.outages.known.values() if end_us(site, outage) is None]
    return max(lasting, key=lambda outage: (outage.begin_us, outage.name), default=None)


def place_of(site: LiveSite, now_us: int) -> SitePlace:
    """Place of a site, with the peer that it measures against now."""
    found = site.inventory
    newest = [
        state.newest
        for series, state in site.series.items()
        if series.probe in PROVES_LINE and is_fresh(state.newest, now_us)
    ]
    peer = max(newest, key=lambda seen: seen.time_us).peer if newest else ""
    return SitePlace(found.departement, found.pop, peer) if found else SitePlace(peer=peer)


def is_datable(site: LiveSite) -> bool:
    """True if the site measures often enough to date its silence."""
    newest_us = site.newest_us
    return newest_us is not None and densest_us(site, newest_us) <= DATABLE_US


def site_outages(site: LiveSite, state: SiteState, place: SitePlace, now_us: int) -> tuple[SiteOutage, ...]:
    """Outages of a site that last, or ended within the last day."""
    if site.inventory is None:
        return ()
    found = [
        _reported(site, outage, place)
        for outage in site.outages.known.values()
        # Without its resolver a site is reachable, and measures on.
        if outage.cause is not Cause.DNS and now_us - (end_us(site, outage) or now_us) < KEPT_US
    ]
    lasting = [each for each in found if each.end_us is None]
    if state is SiteState.SILENT:
        # Reporting takes a way to the broker, so an outage of the peer alone does not explain the silence.
        if all(each.cause is Cause.PEER for each in lasting):
            return (*(each for each in found if each not in lasting), _silence(site, place))
    elif not lasting and (unanswered := _unanswered(site, place, now_us)) is not None:
        found.append(unanswered)
    return tuple(found)


def _reported(site: LiveSite, outage: Outage, place: SitePlace) -> SiteOutage:
    return SiteOutage(
        site.site_id,
        SitePlace(place.departement, place.pop, outage.peer),
        outage.begin_us,
        # An outage without a date founds no incident: its span is made longer than any datable one.
        -outage.begin_error_us if outage.dated else -KEPT_US,
        end_us(site, outage),
        outage.cause,
        outage.name,
    )


def _silence(site: LiveSite, place: SitePlace) -> SiteOutage:
    newest_us = site.newest_us or 0
    return SiteOutage(site.site_id, place, newest_us, densest_us(site, newest_us))


def _unanswered(site: LiveSite, place: SitePlace, now_us: int) -> SiteOutage | None:
    """Outage of the peer as this site sees it, or None if the peer answered or never did."""
    answered_us = healthy_us(site)
    if answered_us is None:
        return None
    tries = [
        state.newest
        for series, state in site.series.items()
        if series.probe in PROVES_LINE
        and state.newest.failure in UNANSWERED
        and state.newest.time_us > answered_us
        and is_fresh(state.newest, now_us)
    ]
    if not tries:
        return None
    first_us = min(seen.time_us for seen in tries)
    slack_us = max(0, min(densest_us(site, site.newest_us or 0), first_us - answered_us))
    return SiteOutage(site.site_id, place, answered_us, slack_us, cause=Cause.PEER, unanswered=True)
