"""Sockets that keep time (kernel timestamps, paced UDP), questions by SNMP, and the MQTT session.

May live here: thin shells that move bytes between a socket and a core of ``wire``, whichever end needs them.
May not: what a program decides about those bytes.
"""
