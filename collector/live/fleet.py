"""Live state of the fleet: the sites of the inventory, and those that report without being in it.

Pure, like the live sites of :mod:`collector.live.site_state` in it. All of it can be rebuilt from the ledger;
its counters then begin at 0 again, as those of a restarted program do.
"""

from collections.abc import Iterable, Iterator, Sequence

from collector.live.blackout import Blackouts
from collector.live.site_state import LiveSite
from collector.model.completeness import SiteCompleteness
from collector.model.inventory import Sites
from collector.model.observation import AHEAD_US, Observation
from collector.model.outages import Outage
from collector.model.peer_comparison import ComparedTest
from wire.messages.envelope import PresenceState

MAX_STRANGERS = 10_000  # sites outside the inventory: a broker that lets anybody in could send any number


class Fleet:
    """Live sites by id, and the collector's blackouts that they share.

    ``crowded`` is true if more than 10,000 sites outside the inventory have reported. The others are in the
    ledger alone.
    """

    def __init__(self, inventory: Sites) -> None:
        self.crowded = False
        self.blackouts = Blackouts()
        self._sites: dict[str, LiveSite] = {}
        self._strangers = 0
        self.take_inventory(inventory)

    def __iter__(self) -> Iterator[LiveSite]:
        return iter(self._sites.values())

    def __len__(self) -> int:
        return len(self._sites)

    def get(self, site_id: str) -> LiveSite | None:
        """Live site of this id, or None if it is neither in the inventory nor has reported."""
        return self._sites.get(site_id)

    def take_inventory(self, inventory: Sites) -> None:
        """Use a new inventory. A site that is no longer in it stays if it has measurements."""
        before, self._sites = self._sites, {}
        for site_id, site in inventory.items():
            # A site keeps its state when its line of the inventory changes.
            known = before.pop(site_id, None) or LiveSite(site_id, site, self.blackouts)
            known.inventory = site
            self._sites[site_id] = known
        for site_id, known in before.items():
            known.inventory = None
            if known.series:
                self._sites[site_id] = known
        self._strangers = len(self._sites) - len(inventory)
        self.crowded = False

    def restore(self, observations: Iterable[Observation]) -> None:
        """Learn observations from the ledger, without counting them."""
        for seen in observations:
            if site := self._site(seen.series.site):
                site.learn(seen)

    def learn(self, observations: Iterable[Observation], now_us: int) -> set[str]:
        """Learn and count observations that were just committed; return the sites concerned.

        An observation from the future is ignored here. The ledger keeps it.
        """
        concerned = set()
        for seen in observations:
            if seen.time_us <= now_us + AHEAD_US and (site := self._site(seen.series.site)):
                site.learn(seen)
                site.count(seen)
                concerned.add(seen.series.site)
        return concerned

    def restore_outages(self, outages: Iterable[Outage]) -> None:
        """Learn outages of known sites from the ledger, without counting them."""
        for outage in outages:
            if site := self._sites.get(outage.site):
                site.outages.learn(outage)

    def relearn(self, site_id: str, observations: Sequence[Observation], outages: Iterable[Outage]) -> None:
        """Replace a site's newest observations and outages by those from the ledger, without counting."""
        if site := self._site(site_id):
            site.relearn(observations, outages)

    def restore_comparisons(self, compared: Iterable[ComparedTest]) -> None:
        """Learn disagreements from the ledger, without counting them."""
        for one in compared:
            if one.site is not None and (site := self._sites.get(one.site)):
                site.comparisons.learn(one)

    def learn_comparisons(self, compared: Iterable[ComparedTest], now_us: int) -> set[str]:
        """Learn and count comparisons that were just made; return the sites concerned."""
        concerned = set()
        for one in compared:
            if one.site is not None and (site := self._sites.get(one.site)):
                site.comparisons.learn(one)
                site.comparisons.count(one, now_us)
                concerned.add(one.site)
        return concerned

    def learn_completeness(self, counted: Iterable[SiteCompleteness]) -> set[str]:
        """Learn the completeness of sites; return those whose defects changed."""
        concerned = set()
        for one in self.with_changed_defects(counted):
            self._sites[one.site_id].defects = one.defects
            concerned.add(one.site_id)
        return concerned

    def with_changed_defects(self, counted: Iterable[SiteCompleteness]) -> Iterator[SiteCompleteness]:
        """Pick the known sites whose defects differ from the ones in live state."""
        for one in counted:
            site = self._sites.get(one.site_id)
            if site is not None and site.defects != one.defects:
                yield one

    def set_presence(self, site_id: str, presence: PresenceState) -> bool:
        """Set the presence of the site's agent; return False if the site is unknown or nothing changes."""
        site = self._sites.get(site_id)
        if site is None or site.presence is presence:
            return False
        site.presence = presence
        return True

    def _site(self, site_id: str) -> LiveSite | None:
        known = self._sites.get(site_id)
        if known is None and self._strangers >= MAX_STRANGERS:
            self.crowded = True
        elif known is None:
            known = self._sites[site_id] = LiveSite(site_id, None, self.blackouts)
            self._strangers += 1
        return known
