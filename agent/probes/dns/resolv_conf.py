"""Resolvers and names of this machine, from the text of its files: resolv.conf(5) and hosts(5). Pure."""

from agent.probes.dns.settings import MOST_RESOLVERS, canonical
from net.addresses.preference import is_address


def nameservers(text: str) -> tuple[str, ...]:
    """Addresses of the first ``nameserver`` lines, as many as the C library reads, each once."""
    lines = (line.split() for line in text.splitlines())
    found = [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]
    return tuple(dict.fromkeys(address for address in found if is_address(address)))[:MOST_RESOLVERS]


def hosts(text: str) -> frozenset[str]:
    """Names that this machine knows without any resolver."""
    lines = (line.partition("#")[0].split() for line in text.splitlines())
    return frozenset(canonical(name) for words in lines for name in words[1:])
