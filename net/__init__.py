"""Sockets that keep time (kernel timestamps, paced UDP) and the MQTT session, used at both ends.

May live here: thin shells that move bytes between a socket and a core of ``wire``.
May not: what a program decides about those bytes.
"""
