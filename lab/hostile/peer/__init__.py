"""Attacks on the measurement peer, and good sites that use it meanwhile.

Lives here: one module an attack, the peer with its keys (``testbed``), what attackers and sites send.
May not live here: rules of the peer (``peer``, ``wire``), attacks on the collector.
Imported by: ``lab.hostile.attacks`` and tests.
"""
