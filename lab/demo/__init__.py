"""The demo: every real program on one machine, behind emulated lines whose truth is known.

The programs learn nothing of it: they get settings files, and the demo reads what any dashboard could.
"""
