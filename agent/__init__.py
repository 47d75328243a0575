"""The measurement agent at the site: schedule, probe, watch, journal, uplink.

May live here: everything that runs at a site.
May not: what peer or collector must know too (that is ``wire``).
"""
