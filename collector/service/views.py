"""The views together: live state, its metrics lines and its overview lines, kept in step.

A site is rendered when something about it changes, or when time makes its figures too old; readers only
collect what is ready.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator

from collector.incidents.current import CurrentIncidents
from collector.live.fleet import Fleet
from collector.live.site_state import LiveSite, next_change_us
from collector.metrics.exposition import Exposition, site_labels
from collector.metrics.families import incidents
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Sites
from collector.model.observation import Observation
from collector.model.outages import Outage
from collector.model.peer_comparison import ComparedTest
from collector.pages.overview import SiteSummary, summarise
from wire.messages.envelope import PresenceState


class Views:
    """Everything that readers are shown of the fleet. Times are Unix microseconds."""

    def __init__(self, inventory: Sites) -> None:
        self.fleet = Fleet(inventory)
        self.events = CurrentIncidents(incidents.render)
        self._exposition = Exposition()
        self._summaries: dict[str, SiteSummary] = {}
        self._holdings: Collection[SiteCompleteness] = ()
        self._due: dict[str, int | None] = {}
        self._queued: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []

    @property
    def summaries(self) -> Collection[SiteSummary]:
        """The overview's line of every site."""
        return self._summaries.values()

    def pieces(self) -> Iterator[bytes]:
        """The fleet's metrics, in pieces of a page."""
        yield from self._exposition.pieces()
        yield from self.events.pieces()

    def learn(self, observations: Iterable[Observation], now_us: int) -> None:
        """Take in what has been committed."""
        for site_id in self.fleet.learn(observations, now_us):
            self._render(site_id, now_us)

    def relearn(
        self, moved: Iterable[tuple[str, Iterable[Observation], Iterable[Outage]]], now_us: int
    ) -> None:
        """Show sites as the ledger has them, after some of their measurements were placed anew in time."""
        for site_id, observations, outages in moved:
            if site := self.fleet.get(site_id):
                site.outages.known.clear()  # what moved to before the last day is none of them now
            self.fleet.relearn(site_id, observations)
            self.restore_outages(outages)
            self._render(site_id, now_us)

    def restore_outages(self, told: Iterable[Outage]) -> None:
        """Learn the outages that the ledger holds, without counting them; rendering shows them."""
        for outage in told:
            if site := self.fleet.get(outage.site):
                site.outages.learn(outage)

    def learn_sides(self, joined: Iterable[ComparedTest], now_us: int) -> None:
        """Take in how the two sides of load tests compared."""
        for site_id in self.fleet.learn_sides(joined, now_us):
            self._render(site_id, now_us)

    @property
    def holdings(self) -> Collection[SiteCompleteness]:
        """What the ledger held of every site when it was last asked."""
        return self._holdings

    @holdings.setter
    def holdings(self, held: Collection[SiteCompleteness]) -> None:
        self._holdings = held

    def learn_holdings(self, held: Iterable[SiteCompleteness], now_us: int) -> None:
        """Take in what the ledger holds of these sites."""
        for site_id in self.fleet.take_holdings(held):
            self._render(site_id, now_us)

    def set_presence(self, site_id: str, presence: PresenceState, now_us: int) -> None:
        """Take in whether a site's agent is connected."""
        if self.fleet.set_presence(site_id, presence):
            self._render(site_id, now_us)

    def take_inventory(self, inventory: Sites) -> list[str]:
        """Adopt an inventory; returns the sites to be rendered by :meth:`render`."""
        self.fleet.take_inventory(inventory)
        self._exposition.keep_only(site.site_id for site in self.fleet)
        gone = self._summaries.keys() - {site.site_id for site in self.fleet}
        for site_id in gone:
            del self._summaries[site_id]
        self.events.drop(gone)
        return [site.site_id for site in self.fleet]

    def render(self, site_ids: Iterable[str], now_us: int) -> None:
        """Render these sites anew."""
        for site_id in site_ids:
            self._render(site_id, now_us)

    def reschedule(self, site_ids: Iterable[str], now_us: int) -> None:
        """Find out anew when time alone changes these sites: what the collector can hear has changed."""
        for site_id in site_ids:
            if (site := self.fleet.get(site_id)) is not None:
                self._schedule(site, now_us)

    def expire(self, now_us: int, most: int) -> bool:
        """Render sites whose figures have become too old, at most ``most``; whether there are more."""
        for _ in range(most):
            if not self._queue or self._queue[0][0] > now_us:
                return False
            self._wake(*heapq.heappop(self._queue), now_us)
        return True

    def _wake(self, queued: int, site_id: str, now_us: int) -> None:
        """One entry of the queue has come up: its site may have been put off since, or brought forward."""
        if self._queued.get(site_id) != queued:
            return
        del self._queued[site_id]
        due = self._due.get(site_id)
        if due is not None and due <= now_us:
            self._render(site_id, now_us)
        elif due is not None:
            self._enqueue(site_id, due)

    def _render(self, site_id: str, now_us: int) -> None:
        site = self.fleet.get(site_id)
        if site is None:
            return
        self._exposition.update(site, now_us)
        summary = self._summaries[site_id] = summarise(site, now_us)
        self.events.update(site, summary.state, site_labels(site), now_us)
        self._schedule(site, now_us)

    def _schedule(self, site: LiveSite, now_us: int) -> None:
        due = self._due[site.site_id] = next_change_us(site, now_us)
        if due is not None and due < self._queued.get(site.site_id, due + 1):
            self._enqueue(site.site_id, due)

    def _enqueue(self, site_id: str, due: int) -> None:
        self._queued[site_id] = due
        heapq.heappush(self._queue, (due, site_id))
