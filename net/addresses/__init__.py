"""Addresses of a host that may have several: names, preference, and the race between them (RFC 8305).

A resolver only proposes addresses. An address is *proved* when something answered there that has the key of
the peer or the certificate of the broker. Proved addresses are kept whatever a resolver says later.

Lives here: which addresses are known and in which order they are tried, lookups that block nobody, and the
race of TCP connections. May not live here: what proves an address: only its protocol can say that.
Imported by: ``net.mqtt``, ``agent``.
"""
