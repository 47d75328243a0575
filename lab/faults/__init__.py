"""Faults: ``make test-faults`` and ``plancher-lab soak`` break the real programs and count what was lost.

Lives here: what breaks the programs on purpose, and what counts the results.
May not live here: emulated links (``lab.netns``), and anything that a program needs in service.
Imported by: ``lab.__main__``, ``make`` and tests.

Journal, uplink, Mosquitto and collector are real processes; only the measurements are invented (``source``).
Each site notes what it tried to journal and what the journal reported as durable (``notes``). At the end the
ledger is compared with the notes (``account``). A part is a module with ``run(effort, tell) -> bool``,
an entry in ``parts.PARTS``, and a test. The test runs its short form and shows that it can fail.
"""
