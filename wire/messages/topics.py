"""The MQTT topic tree, and the only places where a topic is built or taken apart.

``qos/v1/<site>/{results,presence,receipts,commands}`` and ``qos/v1/peers/<peer>/{tests,receipts}``. Site and
peer ids cannot contain ``+``, ``#`` or ``/``, so that no id matches another's topics. A peer's topics have
one level more than a site's, so that no site id can name one.
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
    COMMANDS = "commands"


class PeerKind(StrEnum):
    """The last level of a peer's topics."""

    TESTS = "tests"
    RECEIPTS = "receipts"


def is_site_id(text: str) -> bool:
    """Check that ``text`` may be a site id (UAI, FINESS and SIRET numbers are)."""
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


def peer_topic(peer: str, kind: PeerKind) -> str:
    """The topic of one peer; its id is made like a site's. Raises ValueError for an impossible one."""
    if not is_site_id(peer):
        raise ValueError(f"impossible peer id: {peer!r}")
    return f"{ROOT}/peers/{peer}/{kind}"


def every_peer(kind: PeerKind) -> str:
    """The subscription to one kind of all peers."""
    return f"{ROOT}/peers/+/{kind}"


def of_collector() -> list[str]:
    """The subscriptions of a collector: measurements and presence of every site, tests of every peer."""
    return [every_site(Kind.RESULTS), every_site(Kind.PRESENCE), every_peer(PeerKind.TESTS)]


def parse_peer(text: str) -> tuple[str, PeerKind] | None:
    """Peer and kind of a topic, or None if it is not a peer's."""
    match text.split("/"):
        # Five levels, where a site's topic has four: not even a site called "peers" is taken for a peer.
        case ["qos", "v1", "peers", peer, kind] if is_site_id(peer) and kind in set(PeerKind):
            return peer, PeerKind(kind)
    return None
