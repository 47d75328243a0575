"""Demo: every real program on one machine, behind emulated lines whose truth is known.

Lives here: its sites, its files, its stage, and the comparison with the truth.
May not live here: anything that the programs would learn of it: they get settings files and nothing else.
Imported by: ``lab.__main__``.
"""
