"""Kernel links: network namespaces joined by veth, shaped by the kernel's own queues.

Lives here: the link, the chain of routers, wires of known delay, and the log of each packet.
May not live here: programs that run over a link (``lab.testbed``).
Imported by: ``lab.testbed``, ``lab.bench``.
"""
