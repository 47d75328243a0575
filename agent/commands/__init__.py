"""Commands of ``plancher-agent``: one module a command, each with ``main``.

Lives here: what a person asks for by hand, and the words it is answered with.
May not live here: anything that the resident agent needs.
Imported by: ``agent.__main__`` only.
"""
