"""The MQTT topic tree, and the only places where a topic is built or taken apart.

``qos/v1/<site>/{results,presence,receipts}``. Site ids cannot hold ``+``, ``#`` or ``/``, so that no id
reaches another site's topics.
"""

import re
from enum import StrEnum

ROOT = "qos/v1"
_SITE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class Kind(StrEnum):
    """The last level of a site's topics."""

    RESULTS = "results"
    PRESENCE = "presence"
    RECEIPTS = "receipts"


def is_site_id(text: str) -> bool:
    """Whether ``text`` may be a site id (UAI, FINESS and SIRET numbers are)."""
    return _SITE.fullmatch(text) is not None


def topic(site: str, kind: Kind) -> str:
    """The topic of one site. Raises ValueError for an impossible site id."""
    if not is_site_id(site):
        raise ValueError(f"impossible site id: {site!r}")
    return f"{ROOT}/{site}/{kind}"


def every_site(kind: Kind) -> str:
    """The subscription to one kind of all sites."""
    return f"{ROOT}/+/{kind}"


def parse(text: str) -> tuple[str, Kind] | None:
    """Site and kind of a topic, or None if it is not one of ours."""
    match text.split("/"):
        case ["qos", "v1", site, kind] if is_site_id(site) and kind in set(Kind):
            return site, Kind(kind)
    return None
