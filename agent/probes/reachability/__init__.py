"""Reachability probe: who answers on the way to the peer, and the watch over outages.

Lives here: the probe, the watch that replaces it in the resident agent, its sockets, and its state file.
May not live here: decisions: they are in ``rules``, which is pure.
Imported by: the registry ``agent.probes``, ``agent.service``.
"""

from agent.probes.reachability.figures import figures
from agent.probes.reachability.probe import ReachabilityProbe
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import Failure, ReachabilityMeasurement

PROBE = ProbeDeclaration(
    record=ReachabilityMeasurement,
    build=ReachabilityProbe,
    figures=figures,
    # With 10 s, an outage is recorded with an error of two intervals at most.
    interval=Interval("10 s", least="500 ms", most="5 min"),
    drop_order=DropOrder.SELDOM,
    remedies={
        Failure.NAME_UNKNOWN: "the configuration or the site's DNS: see who does not resolve",
        Failure.NO_ANSWER: "not yet known where: run it again, and `plancher-agent check`",
    },
    by_name_only=True,  # it has no figures of the line
)
