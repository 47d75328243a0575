"""Rules of the settings in ``agent.yaml`` that their types alone cannot express. Pure.

A broken rule is one line for a person: the setting, and what to do. It never repeats a secret.
"""

from agent.settings import hours
from agent.settings.sections import FLOOR_LEAST, FLOOR_MOST, AgentSettings, ReflectorKind, SnmpSettings
from host import log
from host.units import ByteSize
from net.addresses.host_text import host_problem, is_loopback
from net.broker_rules import broker_problem
from wire import ip_layer
from wire.messages.topics import is_site_id

# Fewer bytes would empty no bucket that hides a slow line.
PRE_DRAIN_LEAST, PRE_DRAIN_MOST = ByteSize(100_000), ByteSize(100_000_000)


def first_problem(chosen: AgentSettings) -> str | None:
    """First rule that is broken, in words, or None."""
    checks = (
        _site,
        _peer,
        _floors,
        _hours,
        _stamp,
        _line_counters,
        _broker,
        _uplink,
        _storage,
    )
    return next((problem for check in checks if (problem := check(chosen))), None)


def _site(chosen: AgentSettings) -> str | None:
    if is_site_id(chosen.site):
        return None
    return "site: not a site id: 1 to 64 letters, digits, - and _, beginning with a letter or digit"


def _peer(chosen: AgentSettings) -> str | None:
    peer = chosen.peer
    if not is_site_id(peer.name.replace(".", "_")):
        return "peer.name: not a name: 1 to 64 letters, digits, . - and _, beginning with a letter or digit"
    if problem := host_problem(peer.host):
        return f"peer.host: {problem}"
    if peer.key is None and peer.key_file is None:
        return "peer: no key: set peer.key_file (or peer.key) to the secret shared with the peer"
    if peer.key is not None and peer.key_file is not None:
        return "peer: both key and key_file are set: keep one"
    return _key(peer.key, peer.host) if peer.key is not None else None


def _key(key: str, peer_host: str) -> str | None:
    from host import shared_key

    problem = shared_key.problem(key.strip(), on_loopback=is_loopback(peer_host))
    return f"peer.key: {problem}" if problem else None


def _floors(chosen: AgentSettings) -> str | None:
    floor = chosen.floor
    for direction, rate in (("down", floor.down), ("up", floor.up)):
        if rate is None:
            continue
        if not FLOOR_LEAST <= rate <= FLOOR_MOST:
            bare = "; a number without a unit is bit/s" if rate < FLOOR_LEAST else ""
            return f"floor.{direction}: out of range: 1 Mbit/s to 1 Gbit/s, or null for none{bare}"
        if ip_layer.ip_rate(rate, floor.layer) > FLOOR_MOST:
            return f"floor.{direction}: out of range: more than 1 Gbit/s of IP packets at this floor.layer"
    if floor.pre_drain and not PRE_DRAIN_LEAST <= floor.pre_drain <= PRE_DRAIN_MOST:
        return "floor.pre_drain: out of range: 100 kB to 100 MB, or 0 B for never"
    if not 5 <= floor.retest_after <= 86400:
        return "floor.retest_after: out of range: 5 s to 1 d"
    return None


def _hours(chosen: AgentSettings) -> str | None:
    floor = chosen.floor
    for name, text in (("floor.site_hours", floor.site_hours), ("floor.quiet_hours", floor.quiet_hours)):
        if problem := hours.problem(text):
            return f"{name}: {problem}"
    return None


def _stamp(chosen: AgentSettings) -> str | None:
    stamp = chosen.stamp
    dscps = [one.dscp for one in stamp.classes]
    if len(set(dscps)) < len(dscps):
        return "stamp.classes: two classes have the same dscp: keep one"
    if not 0.01 <= stamp.spacing <= 10:
        return "stamp.spacing: out of range: 10 ms to 10 s"
    if stamp.authenticated and stamp.reflector is ReflectorKind.TWAMP_LIGHT:
        return "stamp.reflector: twamp-light knows no authentication: set stamp.authenticated to false"
    return None if 0.1 <= stamp.timeout <= 10 else "stamp.timeout: out of range: 100 ms to 10 s"


def _line_counters(chosen: AgentSettings) -> str | None:
    counters = chosen.line_counters
    match counters.source:
        case "inline" if not counters.interface:
            return "line_counters.interface: missing: the interface that carries all traffic of the site"
        case "directory" if not counters.path:
            return "line_counters.path: missing: a directory like /sys/class/net/eth0/statistics"
        case "snmp":
            return _snmp(counters.snmp)
        case "inline" | "directory" | "none":
            return None
    return "line_counters.source: expected inline, directory, snmp or none"


def _snmp(snmp: SnmpSettings | None) -> str | None:
    if snmp is None:
        return "line_counters.snmp: missing: the router's host, interface and community_file"
    if problem := host_problem(snmp.host):
        return f"line_counters.snmp.host: {problem}"
    if snmp.community is None and snmp.community_file is None:
        return "line_counters.snmp: no community: set community_file (or community) to the router's"
    if snmp.community is not None and snmp.community_file is not None:
        return "line_counters.snmp: both community and community_file are set: keep one"
    if snmp.community is not None and (problem := community_problem(snmp.community)):
        return f"line_counters.snmp.community: {problem}"
    in_range = 0.1 <= snmp.timeout <= 5
    return None if in_range else "line_counters.snmp.timeout: out of range: 100 ms to 5 s"


def community_problem(community: str) -> str | None:
    """Reason why a word cannot be a community, without repeating it, or None."""
    if not 1 <= len(community.encode()) <= 64:
        return "a community has 1 to 64 bytes"
    return None if community.isprintable() else "a character in it cannot be seen: write it anew"


def _broker(chosen: AgentSettings) -> str | None:
    return broker_problem(chosen.broker)


def _uplink(chosen: AgentSettings) -> str | None:
    uplink = chosen.uplink
    for name, value in (("interval", uplink.interval), ("backlog_interval", uplink.backlog_interval)):
        if not 1 <= value <= 3600:
            return f"uplink.{name}: out of range: 1 s to 1 h"
    in_range = 1 <= uplink.receipt_timeout <= 3600
    return None if in_range else "uplink.receipt_timeout: out of range: 1 s to 1 h"


def _storage(chosen: AgentSettings) -> str | None:
    if not 1_000_000 <= chosen.journal.size <= 100_000_000_000:
        return "journal.size: out of range: 1 MB to 100 GB"
    if chosen.log_level not in log.LEVELS:
        return f"log_level: expected one of {', '.join(log.LEVELS)}"
    return None
