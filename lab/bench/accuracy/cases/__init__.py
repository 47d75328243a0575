"""Cases of ``make bench-accuracy``: one module a part.

Lives here: parts, each with a function that measures and returns a result.
May not live here: tables and documents (``lab.bench.accuracy``).
Imported by: ``lab.bench.accuracy.parts`` by name.
"""
