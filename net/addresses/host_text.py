"""Host names and addresses as people write them in settings. Pure."""

import ipaddress
import re

_LABEL = re.compile(r"[A-Za-z0-9_-]{1,63}")
# The C library reads such a name as an IPv4 address: 010.0.0.1 is 8.0.0.1 there.
_NUMERIC = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def host_problem(host: str) -> str | None:
    """Reason why ``host`` is neither a host name nor an address, with the remedy; None if it is one.

    Labels of a name have 1 to 63 letters, digits, - and _.
    """
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return _name_problem(host)
    return None


def _name_problem(host: str) -> str | None:
    if "://" in host:
        return "write the host alone, without mqtt:// or the like"
    if "[" in host or "]" in host:
        return "write the address without brackets; the port is a setting of its own"
    if ":" in host:
        return "write the host alone; the port is a setting of its own"
    labels = host.removesuffix(".").split(".")
    if not all(_LABEL.fullmatch(label) for label in labels):
        return "neither a host name nor an address"
    if _NUMERIC.fullmatch(labels[-1]):
        return "not an address: four numbers of 0 to 255 without leading zeros"
    return None


def is_loopback(host: str) -> bool:
    """True if ``host``, as written, can only be this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
