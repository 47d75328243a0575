"""Path to the peer: the trace of hops, the search for the path MTU, and the messages of the path helper.

Lives here: probing packets and their answers, trace and search as generators, the request to the path
  helper, and the verification of its answer.
May not live here: sockets, clocks, packet formats below UDP, and the schedule of traces.
Imported by: ``agent.probes.path`` on both sides of the helper's pipe.
"""
