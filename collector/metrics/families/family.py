"""A metric family: what it is called, and where a site's samples of it come from."""

from collections.abc import Callable
from dataclasses import dataclass

from collector.kinds.kind import Samples
from collector.live.site_state import LiveSite

UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Family:
    """One metric family and where its samples of a site come from."""

    name: str
    kind: str
    help: str
    samples: Callable[[LiveSite, int], Samples]


def escape(text: str) -> str:
    """A label value as the text format wants it."""
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
