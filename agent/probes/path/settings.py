"""Settings of the path probe: section ``path`` of ``agent.yaml``."""

from typing import Annotated

from msgspec import Meta, Struct

from agent.settings.sections import AgentSettings
from host.units import Seconds


class PathSettings(Struct, frozen=True):
    """Section ``path``: hops and packets of a trace to the peer, and the time that it may take.

    ``helper`` is the Unix socket behind which a service manager starts the path helper, which may send such
    packets. Without it the agent starts the helper as its child.
    """

    hops: Annotated[int, Meta(ge=1, le=64)] = 30
    packets: Annotated[int, Meta(ge=1, le=10)] = 3
    # A trace past silent routers and a black hole took 10.7 s (decision 12).
    timeout: Seconds = Seconds(60)
    helper: Annotated[str, Meta(min_length=1, max_length=100)] | None = None


def problem(chosen: AgentSettings) -> str | None:
    """The first broken rule in words, or None."""
    in_range = 5 <= chosen.section(PathSettings).timeout <= 600
    return None if in_range else "path.timeout: out of range: 5 s to 10 min"
