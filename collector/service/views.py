"""Views of the fleet, kept in step: live state, metrics, overview lines, and incidents.

A site is rendered when something about it changes, or when time makes one of its figures stale. Readers only
collect what is ready.
"""

import heapq
from collections.abc import Collection, Iterable, Iterator

from collector.incidents.current import CurrentIncidents
from collector.ledger.clock.redating import RedatedSite
from collector.live.fleet import Fleet
from collector.live.site_state import LiveSite, next_change_us
from collector.metrics.exposition import Exposition, site_labels
from collector.metrics.families import incidents
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Sites
from collector.model.observation import Observation
from collector.model.peer_comparison import ComparedTest
from collector.pages.overview import SiteSummary, summarise
from wire.messages.envelope import PresenceState


class Views:
    """Everything that readers are shown of the fleet. Times are Unix microseconds.

    ``completeness`` is that of every site, as the ledger was read last.
    """

    def __init__(self, inventory: Sites) -> None:
        self.fleet = Fleet(inventory)
        self.incidents = CurrentIncidents(incidents.render)
        self.completeness: Collection[SiteCompleteness] = ()
        self._exposition = Exposition()
        self._summaries: dict[str, SiteSummary] = {}
        self._due: dict[str, int | None] = {}
        # A dict for its order: rendering takes far longer than the message that sets a presence.
        self._presence_changed: dict[str, None] = {}
        self._queued: dict[str, int] = {}
        self._queue: list[tuple[int, str]] = []

    @property
    def summaries(self) -> Collection[SiteSummary]:
        """Overview lines of all sites."""
        return self._summaries.values()

    def pieces(self) -> Iterator[bytes]:
        """Metrics of the fleet, as pieces of a page."""
        yield from self._exposition.pieces()
        yield from self.incidents.pieces()

    def learn(self, observations: Iterable[Observation], now_us: int) -> None:
        """Learn observations that were just committed."""
        for site_id in self.fleet.learn(observations, now_us):
            self._render(site_id, now_us)

    def relearn(self, redated: Iterable[RedatedSite], now_us: int) -> None:
        """Show sites as the ledger has them after some of their measurements were re-dated."""
        for one in redated:
            self.fleet.relearn(one.site, one.observations, one.outages)
            self._render(one.site, now_us)

    def learn_comparisons(self, compared: Iterable[ComparedTest], now_us: int) -> None:
        """Learn peer comparisons that were just made."""
        for site_id in self.fleet.learn_comparisons(compared, now_us):
            self._render(site_id, now_us)

    def learn_completeness(self, counted: Iterable[SiteCompleteness], now_us: int) -> None:
        """Learn the completeness of these sites."""
        for site_id in self.fleet.learn_completeness(counted):
            self._render(site_id, now_us)

    def set_presence(self, site_id: str, presence: PresenceState) -> None:
        """Set the presence of a known site's agent; ``show_presence`` shows the last one set."""
        if self.fleet.set_presence(site_id, presence):
            self._presence_changed[site_id] = None

    def show_presence(self, now_us: int, most: int) -> bool:
        """Render up to ``most`` sites whose presence changed; return True if there are more."""
        for _ in range(min(most, len(self._presence_changed))):
            site_id = next(iter(self._presence_changed))
            del self._presence_changed[site_id]
            self._render(site_id, now_us)
        return bool(self._presence_changed)

    def take_inventory(self, inventory: Sites) -> list[str]:
        """Use a new inventory; return the sites that ``render`` has to render."""
        self.fleet.take_inventory(inventory)
        self._exposition.keep_only(site.site_id for site in self.fleet)
        # A site that left the inventory stays in the fleet while it has measurements.
        gone = self._summaries.keys() - {site.site_id for site in self.fleet}
        for site_id in gone:
            del self._summaries[site_id]
        self.incidents.drop(gone)
        return [site.site_id for site in self.fleet]

    def render(self, site_ids: Iterable[str], now_us: int) -> None:
        """Render these sites."""
        for site_id in site_ids:
            self._render(site_id, now_us)

    def reschedule(self, site_ids: Iterable[str], now_us: int) -> None:
        """Compute again when time alone changes these sites: the end of a blackout moves their deadlines."""
        for site_id in site_ids:
            if (site := self.fleet.get(site_id)) is not None:
                self._schedule(site, now_us)

    def expire(self, now_us: int, most: int) -> bool:
        """Render up to ``most`` sites whose figures became stale; return True if there are more."""
        for _ in range(most):
            if not self._queue or self._queue[0][0] > now_us:
                return False
            self._wake(*heapq.heappop(self._queue), now_us)
        return True

    def _wake(self, queued: int, site_id: str, now_us: int) -> None:
        """Render the site of a queue entry, unless it was rescheduled since."""
        # A heap cannot move an entry, so the old one stays until its time.
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
        self.incidents.update(site, summary.state, site_labels(site), now_us)
        self._schedule(site, now_us)

    def _schedule(self, site: LiveSite, now_us: int) -> None:
        due = self._due[site.site_id] = next_change_us(site, now_us)
        # Only an earlier time needs another entry: `_wake` puts off one that came too early.
        if due is not None and due < self._queued.get(site.site_id, due + 1):
            self._enqueue(site.site_id, due)

    def _enqueue(self, site_id: str, due: int) -> None:
        self._queued[site_id] = due
        heapq.heappush(self._queue, (due, site_id))
