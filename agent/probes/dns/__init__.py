"""DNS probe: do the site's resolvers answer, how fast, and rightly?

Lives here: the probe, its settings, one exchange with one resolver, and the judgement of replies in ``rules``
  and ``resolv_conf``, which are pure.
May not live here: name resolution for other probes: they ask the C library, as the site's programs do.
Imported by: the registry ``agent.probes``.
"""

from agent.probes.dns.figures import figures
from agent.probes.dns.probe import DnsProbe
from agent.probes.dns.settings import DnsSettings, problem
from agent.task.declaration import DropOrder, Interval, ProbeDeclaration
from wire.records import DnsMeasurement, Failure

PROBE = ProbeDeclaration(
    record=DnsMeasurement,
    build=DnsProbe,
    figures=figures,
    interval=Interval("5 min", least="10 s", most="1 d"),
    drop_order=DropOrder.EVERY_MINUTE,
    section=DnsSettings,
    problem=problem,
    remedies={
        Failure.NO_ANSWER: "the site's resolvers, or the line to them",
        Failure.UNREACHABLE: "this machine or the line: no route to a resolver",
        Failure.NAME_UNKNOWN: "the named setting, or the site's resolvers, which do not know that name",
    },
)
