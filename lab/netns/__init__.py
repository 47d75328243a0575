"""Network namespaces: links through Linux kernel queues, for benchmarks and tests as root.

    site namespace            router namespace                far namespace
    line 10.90.1.2 <--veth--> site 10.90.1.1 | far 10.90.2.1 <--veth--> line 10.90.2.2

Lives here: requirements, names, addresses, settings and rules of a link, Python functions inside a namespace.
  Links are in ``lab.netns.links``: ``with KernelLink(KernelLinkSettings(down, up)) as link``.
May not live here: programs that run over a link (``lab.testbed``), benchmarks.
Imported by: ``lab.testbed``, ``lab.bench``, tests.

Shapers are on the router's devices (``site`` for down, ``far`` for up). On the sender's own device a full
queue would push back on the sender's socket instead of dropping. No namespace has a device that leads out of
the machine.
"""
