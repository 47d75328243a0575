"""Measurement agent: the program at a site, from the schedule to the uplink.

Lives here: everything that runs at a site, in rooms of one subject each.
May not live here: formats that peer or collector must know too (``wire``), sockets and clocks of general use
  (``net``, ``host``).
Imported by: ``lab`` and tests only.
"""
