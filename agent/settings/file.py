"""Reader of the secrets that ``agent.yaml`` names, which are checked, and the owner of its files.

The resident agent does not import this module, which brings the YAML reader. It gets checked settings, and
imports ``agent.settings.sections`` alone.
"""

from pathlib import Path

from msgspec import structs

from agent.settings import rules
from agent.settings.sections import AgentSettings, PeerAccessSettings, SnmpSettings
from host import rights, settings, shared_key
from net.addresses.host_text import is_loopback


def become_owner_of_files(chosen: AgentSettings) -> None:
    """Go on as the user whose journal and status file these are. Raises as ``rights.become_owner``."""
    rights.become_owner(Path(chosen.journal.path), Path(chosen.runtime_directory))


def peer_key(peer: PeerAccessSettings) -> bytes:
    """Secret shared with the peer. Raises SettingsError if its file cannot be used."""
    if peer.key is not None:
        # A key in the settings file was checked with the other rules.
        return peer.key.strip().encode()
    source = "the operator of the peer has the key of this site: write it there"
    key = shared_key.read_private("peer.key_file", Path(peer.key_file or ""), source).strip()
    problem = shared_key.problem(key, on_loopback=is_loopback(peer.host))
    if problem:
        raise settings.SettingsError(f"peer.key_file: {problem}")
    return key.encode()


def snmp_community(snmp: SnmpSettings) -> str:
    """Word shared with the router. Raises SettingsError if its file cannot be used."""
    if snmp.community is not None:
        return snmp.community

    place = "line_counters.snmp.community_file"
    source = "write the router's SNMP community there"
    community = shared_key.read_private(place, Path(snmp.community_file or ""), source).strip()
    problem = rules.community_problem(community)
    if problem:
        raise settings.SettingsError(f"{place}: {problem}")
    return community


def with_community(chosen: AgentSettings) -> AgentSettings:
    """Settings with the router's community read from its file, if any. Raises as ``snmp_community``."""
    snmp = chosen.line_counters.snmp
    if chosen.line_counters.source != "snmp" or snmp is None:
        return chosen
    known = structs.replace(snmp, community=snmp_community(snmp), community_file=None)
    counters = structs.replace(chosen.line_counters, snmp=known)
    return structs.replace(chosen, line_counters=counters)
