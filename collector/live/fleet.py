"""All sites and what is known of each: those of the inventory, and those that report without being in it.

Pure, like the states of single sites in :mod:`collector.live.site_state` that it holds. Everything here can
be thrown away and rebuilt from the ledger; counters then begin again at 0, as a restarted program's do.
"""

from collections.abc import Iterable, Iterator

from collector.live.blackout import Blackouts
from collector.live.site_state import LiveSite
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Sites
from collector.model.observation import AHEAD_US, Observation
from collector.model.peer_comparison import ComparedTest
from wire.messages.envelope import PresenceState

MAX_STRANGERS = 10_000  # sites outside the inventory: their names come from outside


class Fleet:
    """All sites: those of the inventory, seen or not, and those that reported without being in it.

    Of the latter 10,000 are shown; ``crowded`` tells that there were more, which the ledger alone holds.
    """

    def __init__(self, inventory: Sites) -> None:
        self.crowded = False
        self.hearing = Blackouts()
        self._sites: dict[str, LiveSite] = {}
        self._strangers = 0
        self.take_inventory(inventory)

    def __iter__(self) -> Iterator[LiveSite]:
        return iter(self._sites.values())

    def __len__(self) -> int:
        return len(self._sites)

    def get(self, site_id: str) -> LiveSite | None:
        """The site, if anything is known of it."""
        return self._sites.get(site_id)

    def take_inventory(self, inventory: Sites) -> None:
        """Adopt an inventory. A site that left it stays while it has measurements."""
        before, self._sites = self._sites, {}
        for site_id, site in inventory.items():
            known = before.pop(site_id, None) or LiveSite(site_id, site, self.hearing)
            known.inventory = site
            self._sites[site_id] = known
        for site_id, known in before.items():
            known.inventory = None
            if known.series:
                self._sites[site_id] = known
        self._strangers = len(self._sites) - len(inventory)
        self.crowded = False

    def restore(self, observations: Iterable[Observation]) -> None:
        """Learn what the ledger holds, without counting it."""
        for seen in observations:
            if site := self._site(seen.series.site):
                site.learn(seen)

    def learn(self, observations: Iterable[Observation], now_us: int) -> set[str]:
        """Take in what has been committed; returns the sites that it concerns.

        A measurement that claims to be of the future is kept in the ledger and passed over here.
        """
        concerned = set()
        for seen in observations:
            if seen.time_us <= now_us + AHEAD_US and (site := self._site(seen.series.site)):
                site.learn(seen)
                site.count(seen)
                concerned.add(seen.series.site)
        return concerned

    def relearn(self, site_id: str, observations: Iterable[Observation]) -> None:
        """Take the newest of a site's series as the ledger has them now; they have been counted before."""
        seen = list(observations)
        if (site := self._site(site_id)) is None:
            return
        for one in seen:
            site.series.pop(one.series, None)
        for one in seen:
            site.learn(one)

    def restore_sides(self, joined: Iterable[ComparedTest]) -> None:
        """Learn the disagreements that the ledger holds, without counting them."""
        for one in joined:
            if one.site is not None and (site := self._sites.get(one.site)):
                site.learn_side(one)

    def learn_sides(self, joined: Iterable[ComparedTest], now_us: int) -> set[str]:
        """Take in comparisons that have just been made; returns the sites that they concern."""
        concerned = set()
        for one in joined:
            if one.site is not None and (site := self._sites.get(one.site)):
                site.learn_side(one)
                site.count_side(one, now_us)
                concerned.add(one.site)
        return concerned

    def take_holdings(self, held: Iterable[SiteCompleteness]) -> set[str]:
        """Take in what the ledger holds; returns the sites of which something else is wrong now."""
        concerned = set()
        for one in self.differing(held):
            self._sites[one.site_id].lacks = one.wrong
            concerned.add(one.site_id)
        return concerned

    def differing(self, held: Iterable[SiteCompleteness]) -> Iterator[SiteCompleteness]:
        """Those of which something else is wrong than is known."""
        for one in held:
            site = self._sites.get(one.site_id)
            if site is not None and site.lacks != one.wrong:
                yield one

    def set_presence(self, site_id: str, presence: PresenceState) -> bool:
        """Note whether the site's agent is connected; False for a site of which nothing else is known."""
        site = self._sites.get(site_id)
        if site is None:
            return False
        site.presence = presence
        return True

    def _site(self, site_id: str) -> LiveSite | None:
        known = self._sites.get(site_id)
        if known is None and self._strangers >= MAX_STRANGERS:
            self.crowded = True
        elif known is None:
            known = self._sites[site_id] = LiveSite(site_id, None, self.hearing)
            self._strangers += 1
        return known
