"""Settings of the DNS probe: section ``dns`` of ``agent.yaml``, and the rules between its values."""

import ipaddress
from collections.abc import Iterator
from typing import Annotated

from msgspec import Meta, Struct

from agent.settings.sections import AgentSettings, Host, Port
from host.units import Seconds
from net.addresses.host_text import host_problem
from net.addresses.preference import is_address

MOST_NAMES, MOST_RESOLVERS = 16, 3
# Names asked at the same time. More would be a burst that a small resolver drops.
AT_ONCE = 4

Range = Annotated[str, Meta(min_length=1, max_length=64)]


class ExpectedName(Struct, frozen=True):
    """One name, and the ranges in which each of its addresses is to lie."""

    name: Host
    expect: tuple[Range, ...] = ()


class DnsSettings(Struct, frozen=True):
    """Names that the site lives by; the resolvers to ask, and how long each may take.

    Without ``resolvers`` the probe asks those of this machine, in ``/etc/resolv.conf``.
    """

    names: tuple[Host | ExpectedName, ...] = ()
    resolvers: tuple[str, ...] = ()
    port: Port = 53
    timeout: Seconds = Seconds(2)


def expected_names(chosen: DnsSettings) -> Iterator[ExpectedName]:
    """Names of the settings, also those of which nothing is expected."""
    for one in chosen.names:
        yield one if isinstance(one, ExpectedName) else ExpectedName(one)


def longest_run_s(names: int, timeout_s: float) -> float:
    """Duration of a run in which no resolver answers anything, in seconds."""
    return -(-names // AT_ONCE) * MOST_RESOLVERS * timeout_s


def problem(chosen: AgentSettings) -> str | None:
    """The first broken rule in words, or None."""
    dns = chosen.section(DnsSettings)
    found = _names(dns) or _resolvers(dns)
    if found:
        return found
    if not 0.1 <= dns.timeout <= 5:
        return "dns.timeout: out of range: 100 ms to 5 s"
    run_s = longest_run_s(len(dns.names) + 2, dns.timeout)  # the peer's name and the broker's are two more
    if (chosen.every_s("dns") or run_s) < run_s:
        return f"schedule.dns: shorter than a run without any answer, which takes up to {run_s:g} s"
    return None


def _names(dns: DnsSettings) -> str | None:
    if len(dns.names) > MOST_NAMES:
        return f"dns.names: {len(dns.names)} names: {MOST_NAMES} at most"
    known: set[str] = set()
    for place, one in enumerate(expected_names(dns)):
        if found := _name(one):
            return f"dns.names[{place}]{found}"
        name = canonical(one.name)
        if name in known:
            return f"dns.names[{place}]: {name} is there twice: keep one"
        known.add(name)
    return None


def _name(one: ExpectedName) -> str | None:
    if not one.name.isascii():
        return f": not ASCII: write {_ascii_form(one.name)}"
    if is_address(one.name):
        return f": {one.name} is an address: write a name"
    if host_problem(one.name):
        return ": not a host name: labels of 1 to 63 letters, digits, - and _, separated by dots"
    for place, text in enumerate(one.expect):
        try:
            ipaddress.ip_network(text)
        except ValueError:
            return f".expect[{place}]: not a range of addresses: write 192.0.2.0/24 or 2001:db8::/32"
    return None


def _ascii_form(name: str) -> str:
    try:
        return name.encode("idna").decode()
    except UnicodeError:
        return "its IDNA form, which begins with xn--"


def _resolvers(dns: DnsSettings) -> str | None:
    if len(dns.resolvers) > MOST_RESOLVERS:
        return f"dns.resolvers: {len(dns.resolvers)} addresses: {MOST_RESOLVERS} at most"
    for place, text in enumerate(dns.resolvers):
        if not is_address(text):
            return f"dns.resolvers[{place}]: not an address: write 192.0.2.53 or 2001:db8::53"
        if text in dns.resolvers[:place]:
            return f"dns.resolvers[{place}]: {text} is there twice: keep one"
    return None


def canonical(name: str) -> str:
    """A name as it is compared and recorded: lower case, without the dot of the root."""
    return name.removesuffix(".").lower()
