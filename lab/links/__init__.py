"""Emulated links in user space: UDP relayed through two lines, without root.

Lives here: the line (pure), the link with its sockets, its account of each packet, and the command
  ``plancher-lab link``.
May not live here: kernel queues (``lab.netns``).
Imported by: ``lab.netns``, ``lab.testbed``, ``lab.bench``, ``lab.__main__``.
"""
