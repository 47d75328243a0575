"""Tools of ``make bench-accuracy``: what several parts measure or compare with.

Lives here: round-trip tools, the truth of a packet's delay, busy processes, binomial bounds.
May not live here: a part of its own.
Imported by: ``lab.bench.accuracy.cases``.
"""
