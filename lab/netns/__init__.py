"""Links through real kernel queues: three network namespaces joined by veth, for benchmarks as root.

How to use it: ``with KernelLink(KernelLinkSettings(down, up)) as link`` (``link``), or with the real
measurement peer at the far end, ``with KernelStand(folder, settings) as stand`` (``stand``); by hand,
``plancher-lab kernel-link --help``. ``requirements.lacking()`` says what this machine lacks for it.

    site namespace            router namespace                far namespace
    line 10.90.1.2 <--veth--> site 10.90.1.1 | far 10.90.2.1 <--veth--> line 10.90.2.2

- The shapers stand on the router's devices, ``site`` for down and ``far`` for up: at the sender's own device
  a full queue would push back on its socket instead of dropping.
- A direction with delay, jitter or reordering passes a wire between the router's two devices (``wire``).
- A link that is ``logged`` tells when each packet entered and left it: ``link.log(direction)``.
- A program runs inside by ``link.inside(End.SITE, program, ...)``, a Python function by
  ``inside.call(link.namespace(End.SITE), function, ...)``.
- An agent inside the site sees all traffic of the line: ``line_counters: {source: inline, interface: line}``.
- ``chain`` is another thing: a site, several routers and a peer in a row, for the path probe; ``path_stand``
  runs the agent's probes over it.
- Nothing inside can leave the machine: no namespace has a device that leads out.

What may live here: what sets up, measures and removes such links. No benchmark.
"""
