"""SNMP version 2c, as far as reading interface counters needs it (RFC 3416, RFC 2863).

Lives here: the codec, and the interface variables with their meaning.
May not live here: sockets and retries (``net.snmp``).
Imported by: ``net.snmp``, ``agent.line``.
"""
