"""Benchmark ``make bench-accuracy``: figures of Plancher beside the truth and other tools, on the same links.

Lives here: the frame of the benchmark: its parts, processes (``running``), results, report and documents.
May not live here: emulation (``lab.netns``), and what a part measures (``cases``).
Imported by: ``make`` and tests.

To add a part:
1. A module in ``cases`` with ``measure(effort, tell) -> PartResult`` (see ``result``).
2. An entry in ``parts.PARTS``, with ``alone=False`` if other parts may load the machine meanwhile.
3. A test in ``tests/lab/bench/accuracy/cases``, with known results and one short real run.

Each part is a process: when one fails, its bar is missed and the others run on. Results are kept in one JSON
file (``report``); ``--write`` puts the tables into README.md and docs/methods.md (``documents``).
"""
