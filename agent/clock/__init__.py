"""Clock records: changes of the wall clock against CLOCK_BOOTTIME.

Lives here: the watch that reads the clocks, and ``rules``, which decide what counts as a change. ``rules`` is
  pure.
May not live here: corrections: the agent records, the collector corrects.
Imported by: ``agent.service``.
"""
