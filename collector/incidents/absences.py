"""What live state says of a site's absence: told by its agent, silent, or its peer unanswering.

Pure; :mod:`collector.incidents.correlation` makes events of it.
"""

from collector.incidents.correlation import DATABLE_US, SiteOutage, SitePlace
from collector.live.site_state import LiveSite, SiteState, densest_us
from collector.model.freshness import is_fresh
from collector.model.outages import KEPT_US, LINE_PROBES, Outage, effective_end_us
from wire.records import Cause, Failure

UNANSWERED = frozenset({Failure.NO_ANSWER, Failure.PEER_REFUSED})


def healthy_us(site: LiveSite) -> int | None:
    """When a measurement over the line last succeeded."""
    found = (state.valued for series, state in site.series.items() if series.probe in LINE_PROBES)
    return max((seen.time_us for seen in found if seen is not None), default=None)


def ended_us(site: LiveSite, outage: Outage) -> int | None:
    """When an outage of the site was over, or None while it is open. Any sign shows an agent back."""
    sign_us = site.newest_us if outage.cause is Cause.AGENT else healthy_us(site)
    return effective_end_us(outage, sign_us)


def open_outage(site: LiveSite) -> Outage | None:
    """The outage that the site is in as far as its agent told, or None."""
    lasting = [outage for outage in site.outages.known.values() if ended_us(site, outage) is None]
    return max(lasting, key=lambda outage: (outage.begin_us, outage.name), default=None)


def place_of(site: LiveSite, now_us: int) -> SitePlace:
    """What the site shares with others; the peer is whom it measures against at present."""
    found = site.inventory
    newest = [
        state.newest
        for series, state in site.series.items()
        if series.probe in LINE_PROBES and is_fresh(state.newest, now_us)
    ]
    peer = max(newest, key=lambda seen: seen.time_us).peer if newest else ""
    return SitePlace(found.departement, found.pop, peer) if found else SitePlace(peer=peer)


def is_watched(site: LiveSite) -> bool:
    """Whether the site measures often enough to date its silence."""
    newest_us = site.newest_us
    return newest_us is not None and densest_us(site, newest_us) <= DATABLE_US


def absences(site: LiveSite, state: SiteState, place: SitePlace, now_us: int) -> tuple[SiteOutage, ...]:
    """How the site is away, or was within the last day. Who is not announced is not missed."""
    if site.inventory is None:
        return ()
    found = [
        _told(site, outage, place)
        for outage in site.outages.known.values()
        if now_us - (ended_us(site, outage) or now_us) < KEPT_US
    ]
    lasting = [each for each in found if each.end_us is None]
    if state is SiteState.SILENT:
        if all(each.cause is Cause.PEER for each in lasting):
            return (*(each for each in found if each not in lasting), _silence(site, place))
    elif not lasting and (unanswered := _unanswered(site, place, now_us)) is not None:
        found.append(unanswered)
    return tuple(found)


def _told(site: LiveSite, outage: Outage, place: SitePlace) -> SiteOutage:
    return SiteOutage(
        site.site_id,
        SitePlace(place.departement, place.pop, outage.peer),
        outage.begin_us,
        -outage.begin_error_us if outage.dated else -KEPT_US,
        ended_us(site, outage),
        outage.cause,
        outage.name,
    )


def _silence(site: LiveSite, place: SitePlace) -> SiteOutage:
    newest_us = site.newest_us or 0
    return SiteOutage(site.site_id, place, newest_us, densest_us(site, newest_us))


def _unanswered(site: LiveSite, place: SitePlace, now_us: int) -> SiteOutage | None:
    """The peer answered once and no longer does, whatever else the site tries of it."""
    answered_us = healthy_us(site)
    if answered_us is None:
        return None
    tries = [
        state.newest
        for series, state in site.series.items()
        if series.probe in LINE_PROBES
        and state.newest.failure in UNANSWERED
        and state.newest.time_us > answered_us
        and is_fresh(state.newest, now_us)
    ]
    if not tries:
        return None
    first_us = min(seen.time_us for seen in tries)
    slack_us = max(0, min(densest_us(site, site.newest_us or 0), first_us - answered_us))
    return SiteOutage(site.site_id, place, answered_us, slack_us, cause=Cause.PEER, unanswered=True)
