"""Checks and figures of the house itself: how the source is laid out, named and written.

``figures`` prints the table of the house, now and at an older revision (``make house``).
``checks`` fails on what may not come in any more, and ``commits`` on commit subjects (``make house-check``).
``owed`` keeps the list of what older code still owes, which only shrinks (``make house-owed``).
``tree`` reads the sources, ``rooms`` their imports, ``writing`` their lines and docstrings.

All of it reads source text. No module here imports a module of the product, so that every revision can be
read from any other one. The standard library is enough, and no test of another room imports this one.
"""
