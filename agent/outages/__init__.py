"""What is out, since when and where, and how the run of the agent before this one ended.

May live here: who is asked when, what silence means, the watch that asks and the one that leaves a sign of
life. May not: the probe that asks once (``agent.probes.reachability``), and the session with the broker.
"""
