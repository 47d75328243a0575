"""``make test-faults`` and ``plancher-lab soak``: nothing lost and nothing invented, whatever breaks.

The journal, the uplink and the collector are the real ones, in processes of their own, with a real Mosquitto
between them; only what is measured is made up (``source``). Beside its journal each site keeps notes
(``notes``) of what it tried to journal and what the journal said was durable; at the end the ledger is held
against those notes (``account``), and a run passes when the account closes.

May live here: what breaks the real programs on purpose, and what counts what came of it. May not: emulated
links (``lab.netns``) and the proxy (``lab.faults.processes.fault_proxy``), and anything the programs need in
service.

To add a part: one module with ``run(effort, tell) -> bool``, one line in ``parts.PARTS``, one test in
``tests/lab/faults`` that runs its short form and shows that it can fail.
"""
