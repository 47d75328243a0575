"""``make bench-accuracy``: what Plancher says beside the truth, and beside other tools on the same links.

To add a part:

1. One module here, say ``rtt.py``, with one function ``measure(effort, tell) -> Result`` (see ``result``).
   It sets up its own links, repeats each case ``effort.times(short, full)`` times, and may
   ``tell("one line")`` for the terminal. It fills tables (truth, ours, others, ratio; a ``Figure`` is n,
   median and spread), says which bars were met, and which lines belong into README.md (``Headline``).
2. One line in ``parts.PARTS``: name, question, module, minutes of its short run, programs beside ours, and
   ``alone=False`` if another part may load the machine meanwhile.
3. One test in ``tests/lab/accuracy``: what it makes of known results, and one short real run.

Each part runs as a process of its own (``running``), so it may raise what it likes: its bar is then missed,
and the others go on. ``python -m lab.bench.accuracy --only NAME --runs 2`` runs one; ``--list`` names them.
What was measured is kept in one JSON file, part by part with its date (``report``); ``--write`` puts the
tables into README.md and docs/methods.md (``documents``).

What may live here: the benchmark's frame and its parts. No emulation: that is ``lab.netns``.
"""
