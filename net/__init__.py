"""Sockets that keep time (kernel timestamps, paced UDP), questions to kernel and SNMP, and the MQTT session.

May live here: thin shells that move bytes between a socket and a core of ``wire``, whichever end needs them,
what the kernel says of the way there, what a connection to a broker needs to be kept or given up, and how
what goes on failing is complained of.
May not: what a program decides about those bytes.
"""
